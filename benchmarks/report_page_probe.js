// What benchmarks/report_page.py measures in the browser; OPENED says whether folded sections are opened first.
window.addEventListener("load", () => {
  if (OPENED) document.querySelectorAll("details").forEach(part => { part.open = true; });
  const root = document.documentElement;
  const channels = text => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return {rgb: [red, green, blue], alpha};
  };
  const over = (front, back) => front.rgb.map((value, index) => value * front.alpha + back[index] * (1 - front.alpha));
  const behind = node => {
    const layers = [];
    for (let place = node; place; place = place.parentElement) {
      const layer = channels(getComputedStyle(place).backgroundColor);
      layers.push(layer);
      if (layer.alpha === 1) break;
    }
    return layers.reverse().reduce((back, layer) => over(layer, back), [255, 255, 255]);
  };
  const luminance = rgb => {
    const [red, green, blue] = rgb.map(value => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const worst = {share: Infinity, ratio: 0, text: "", texts: 0};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), node = walker.currentNode.parentElement;
    if (!text || ["SCRIPT", "STYLE"].includes(node.tagName) || node.closest(".unseen, .skip, .quiet")) continue;
    const style = getComputedStyle(node), color = channels(style.color);
    // Names that repeat in a column are there for readers of screens alone.
    if (color.alpha === 0 || !node.getClientRects().length) continue;
    const back = behind(node), [low, high] = [luminance(over(color, back)), luminance(back)].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05), size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const share = ratio / (size >= 24 || (bold && size >= 18.66) ? 3 : 4.5);
    worst.texts += 1;
    if (share < worst.share) Object.assign(worst, {share, ratio, text: text.slice(0, 40)});
  }
  const stops = [...document.querySelectorAll("a[href], summary, [tabindex], button, input, select")];
  const wide = [...document.querySelectorAll("*")].filter(
    node => ["auto", "scroll"].includes(getComputedStyle(node).overflowX) && node !== root && node !== document.body);
  const found = {
    width: window.innerWidth,
    height: root.scrollHeight,
    overflow: root.scrollWidth - root.clientWidth,
    runs: document.querySelectorAll(".glance").length,
    seen: [...document.querySelectorAll(".glance .thumbs li, .glance .chips li, .glance .light")]
      .map(node => node.getBoundingClientRect().bottom),
    contrast: worst,
    reachable: stops.filter(node => node.tabIndex >= 0).length,
    unreachable: [...stops, ...wide].filter(node => node.tabIndex < 0).length,
  };
  window.parent.postMessage(JSON.stringify(found), "*");
});
