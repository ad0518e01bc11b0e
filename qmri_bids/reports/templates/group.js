"use strict";
(() => {
  const data = JSON.parse(document.getElementById("group-data").textContent);
  const by = id => document.getElementById(id);
  document.documentElement.classList.add("js");
  // Okabe and Ito without yellow, which is too light on white; cividis for numbers. Both hold for colour-blind readers.
  const hues = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#7a5195"];
  const ramp = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
  const places = Object.keys(data.runs).map(Number);
  const order = new Map(places.map((place, number) => [place, number]));
  const marks = [];
  const panels = [...document.querySelectorAll("svg")].filter(svg => svg.querySelector("[data-r]"));
  for (const svg of panels) {
    svg.points = [];
    for (const group of svg.querySelectorAll("[data-r]")) {
      const runs = group.dataset.r.split(","), values = group.dataset.v.split(",");
      [...group.children].forEach((node, number) => {
        const point = { node, place: Number(runs[number]), value: Number(values[number]), apart: group.classList.contains("a"), svg };
        svg.points.push(point);
        marks.push(point);
      });
    }
    svg.points.sort((one, other) => one.value - other.value);
  }
  const tiles = [...document.querySelectorAll("[data-place]")];
  const text = value => (Math.abs(value) >= 1e4 ? Math.round(value).toString() : Number(value.toPrecision(4)).toString()).replace("-", "−");

  const choice = by("color"), legend = by("legend");
  data.columns.forEach((column, number) => choice.add(new Option(column.name, number)));
  const mix = share => {
    const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1), low = Math.floor(at), high = Math.min(low + 1, ramp.length - 1);
    const part = (color, start) => parseInt(color.slice(start, start + 2), 16);
    return "#" + [1, 3, 5].map(start =>
      Math.round(part(ramp[low], start) + (at - low) * (part(ramp[high], start) - part(ramp[low], start))).toString(16).padStart(2, "0")).join("");
  };
  const entry = (color, words) => {
    const item = document.createElement("li"), dot = document.createElement("i");
    dot.style.background = color;
    item.append(dot, words);
    legend.append(item);
  };
  function paint() {
    const column = choice.value === "" ? null : data.columns[choice.value];
    legend.replaceChildren();
    let color = () => "";
    if (column) {
      const grey = "var(--missing)", missing = column.values.some(value => value === null);
      if (column.continuous) {
        const known = column.values.filter(value => value !== null).sort((one, other) => one - other);
        // The ends of the scale are the 2nd and 98th percentile: one far value does not take all colours.
        const at = share => known[Math.round(share * (known.length - 1))], low = at(.02), high = at(.98);
        color = value => value === null ? grey : mix((value - low) / (high - low || 1));
        const item = document.createElement("li"), strip = document.createElement("i");
        strip.className = "ramp";
        strip.style.background = `linear-gradient(90deg, ${ramp.join(",")})`;
        item.append(`≤ ${text(low)}`, strip, `≥ ${text(high)}`);
        legend.append(item);
      } else {
        const levels = column.levels, rest = "#5f4b3b";
        color = value => value === null ? grey : levels.includes(value) ? hues[levels.indexOf(value)] : rest;
        levels.forEach((level, number) => entry(hues[number], level));
        if (column.values.some(value => value !== null && !levels.includes(value))) entry(rest, "all others");
      }
      if (missing) entry(grey, "missing");
    }
    for (const point of marks) point.node.style.fill = column ? color(column.values[order.get(point.place)]) : "";
    for (const tile of tiles) {
      if (column) tile.style.setProperty("--c", color(column.values[order.get(Number(tile.dataset.place))]));
      else tile.style.removeProperty("--c");
    }
  }
  choice.addEventListener("change", paint);
  if (data.first !== null) {
    choice.value = data.first;
    paint();
  }

  const tip = by("tip");
  let current = null;
  function show(point) {
    if (current) current.node.classList.remove("now");
    current = point;
    tip.style.display = point ? "block" : "none";
    if (!point) return;
    point.node.classList.add("now");
    const svg = point.svg, [name] = data.runs[point.place], column = choice.value === "" ? null : data.columns[choice.value];
    const unit = svg.closest("[data-unit]")?.dataset.unit || "", lines = [name, `${text(point.value)} ${unit}`.trim()];
    const region = point.node.parentNode.dataset.of;
    if (region) lines.unshift(region);
    if (point.apart) lines[lines.length - 1] += ", lies apart";
    if (column) lines.push(`${column.name}: ${column.values[order.get(point.place)] ?? "missing"}`);
    if (data.runs[point.place][1]) lines.push("click or Enter: its report");
    tip.replaceChildren(...lines.flatMap((line, number) => number ? [document.createElement("br"), line] : [line]));
    const box = point.node.getBoundingClientRect(), wide = tip.offsetWidth;
    tip.style.left = `${Math.max(4, Math.min(box.left + box.width / 2 - wide / 2, document.documentElement.clientWidth - wide - 4)) + scrollX}px`;
    tip.style.top = `${(box.top - tip.offsetHeight - 8 > 0 ? box.top - tip.offsetHeight - 8 : box.bottom + 8) + scrollY}px`;
  }
  const open = point => { if (point && data.runs[point.place][1]) location.href = data.runs[point.place][1]; };
  const nearest = (svg, event) => {
    let best = null, least = 14;
    for (const point of svg.points) {
      const box = point.node.getBoundingClientRect();
      const away = Math.hypot(event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2);
      if (away < least && !point.node.classList.contains("dim")) { best = point; least = away; }
    }
    return best;
  };
  for (const svg of panels) {
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", event => show(nearest(svg, event)));
    svg.addEventListener("pointerleave", () => show(null));
    svg.addEventListener("click", event => open(nearest(svg, event)));
    svg.addEventListener("blur", () => show(null));
    svg.addEventListener("keydown", event => {
      const number = svg.points.indexOf(current), last = svg.points.length - 1;
      const next = { ArrowRight: Math.min(number + 1, last), ArrowUp: Math.min(number + 1, last), ArrowLeft: Math.max(number - 1, 0),
        ArrowDown: Math.max(number - 1, 0), Home: 0, End: last }[event.key];
      if (next !== undefined) { show(svg.points[next]); event.preventDefault(); }
      if (event.key === "Enter") open(current);
      if (event.key === "Escape") show(null);
    });
  }

  const search = by("search"), found = by("found"), rows = [...document.querySelectorAll("tr[data-who]")];
  const only = by("only"), everybody = new Map();
  for (const [, link, label] of Object.values(data.runs)) {
    const page = link.split("#")[0];
    if (!everybody.has(label) || page) everybody.set(label, page);
  }
  for (const label of data.others) everybody.set(label, `sub-${label}.html`);
  function filter() {
    const wanted = search.value.trim().toLowerCase();
    const fits = words => words.toLowerCase().includes(wanted);
    for (const point of marks) point.node.classList.toggle("dim", wanted !== "" && !fits(data.runs[point.place][0]));
    for (const tile of tiles) tile.classList.toggle("off", wanted !== "" && !fits(data.runs[Number(tile.dataset.place)][0]));
    for (const row of rows) {
      const quiet = only.checked && row.dataset.look === "no";
      row.classList.toggle("off", quiet || (wanted !== "" && !fits(row.dataset.who)));
    }
    const hits = wanted === "" ? [] : [...everybody].filter(([label]) => fits(`sub-${label}`));
    found.replaceChildren();
    if (wanted === "") return;
    found.append(`${hits.length} participant${hits.length === 1 ? "" : "s"}${hits.length ? ": " : ""}`);
    hits.slice(0, 20).forEach(([label, page], number) => {
      if (number) found.append(", ");
      if (!page) { found.append(`sub-${label} (no report)`); return; }
      const link = document.createElement("a");
      link.href = page;
      link.textContent = `sub-${label}`;
      found.append(link);
    });
    if (hits.length > 20) found.append(" …");
  }
  search.addEventListener("input", filter);
  only.addEventListener("change", filter);
})();
