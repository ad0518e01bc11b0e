(function () {
  "use strict";

  const PLANES = [
    { name: "axial", across: 0, up: 1, through: 2 },
    { name: "coronal", across: 0, up: 2, through: 1 },
    { name: "sagittal", across: 1, up: 2, through: 0 },
  ];
  const LETTERS = [["L", "R"], ["P", "A"], ["I", "S"]];
  const MASK_COLOR = "#f0e442";
  const GAP = 8;
  const BAR = 64;
  const NARROW = 560;

  // ---------------------------------------------------------------- what reports.viewer.packing has packed

  function bytesOf(text) {
    const raw = atob(text.trim());
    const bytes = new Uint8Array(raw.length);
    for (let n = 0; n < raw.length; n++) bytes[n] = raw.charCodeAt(n);
    return bytes;
  }

  async function inflate(bytes) {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** The voxels of a domain in their order, and for each of them its three neighbours before it (-1: none). */
  function domainOf(inside, shape, stride) {
    const [nx, ny, nz] = shape;
    const index = new Int32Array(nx * ny * nz).fill(-1);
    let count = 0;
    for (let n = 0; n < index.length; n++) if (inside(n)) index[n] = count++;
    const before = [new Int32Array(count), new Int32Array(count), new Int32Array(count)];
    for (let z = 0, n = 0; z < nz; z++)
      for (let y = 0; y < ny; y++)
        for (let x = 0; x < nx; x++, n++) {
          const own = index[n];
          if (own < 0) continue;
          before[0][own] = x > 0 ? index[n - 1] : -1;
          before[1][own] = y > 0 ? index[n - nx] : -1;
          before[2][own] = z > 0 ? index[n - nx * ny] : -1;
        }
    return { index: index, shape: shape, count: count, before: before, stride: stride };
  }

  /** Every second voxel of a domain along each axis. */
  function halfOf(domain) {
    const [nx, ny] = domain.shape;
    const shape = domain.shape.map((size) => (size + 1) >> 1);
    const whole = (n) => {
      const x = n % shape[0], y = Math.floor(n / shape[0]) % shape[1], z = Math.floor(n / (shape[0] * shape[1]));
      return 2 * x + nx * (2 * y + ny * 2 * z);
    };
    return domainOf((n) => domain.index[whole(n)] >= 0, shape, 2);
  }

  /** The number of a voxel among those of a domain (of the one that was kept for it, of a half domain); -1: outside. */
  function numberIn(domain, x, y, z) {
    if (domain.stride === 1) return domain.index[x + domain.shape[0] * (y + domain.shape[1] * z)];
    return domain.index[(x >> 1) + domain.shape[0] * ((y >> 1) + domain.shape[1] * (z >> 1))];
  }

  function unpack(bytes, channel, domain) {
    const count = domain.count;
    const [left, front, below] = domain.before;
    const head = (count + 7) >> 3;
    const known = new Uint8Array(count);
    let told = 0;
    for (let n = 0; n < count; n++) if (bytes[n >> 3] & (1 << (n & 7))) { known[n] = 1; told++; }
    const codes = new Int32Array(count);
    const values = new Float32Array(count).fill(NaN);
    let last = 0;
    for (let n = 0, place = 0; n < count; n++) {
      if (!known[n]) continue;
      let total = 0, around = 0;
      if (left[n] >= 0 && known[left[n]]) { total += codes[left[n]]; around++; }
      if (front[n] >= 0 && known[front[n]]) { total += codes[front[n]]; around++; }
      if (below[n] >= 0 && known[below[n]]) { total += codes[below[n]]; around++; }
      let folded = bytes[head + place];
      for (let plane = 1, scale = 256; plane < channel.planes; plane++, scale *= 256)
        folded += bytes[head + plane * told + place] * scale;
      const difference = folded % 2 ? -(folded + 1) / 2 : folded / 2;
      const code = (around ? Math.floor(total / around) : last) + difference;
      codes[n] = last = code;
      place++;
      if (channel.ratio) values[n] = code === channel.zero ? 0 : Math.pow(channel.ratio, code);
      else values[n] = channel.origin + channel.step * code;
    }
    return values;
  }

  // ---------------------------------------------------------------- numbers and colours

  function digitsOf(step) {
    return Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  }

  function minus(text) {
    return text.replace("-", "\u2212");
  }

  function numberText(value, step, limit) {
    const size = Math.abs(value);
    if (limit && size >= limit * (1 - 1e-6))
      return (value < 0 ? "< \u2212" : "> ") + (limit < 1e7 ? String(limit) : limit.toExponential(0));
    if (size >= 1e7 || step < 1e-6) return minus(value.toPrecision(5));
    return minus((Math.round(value / step) * step || 0).toFixed(digitsOf(step)));
  }

  function spreadText(value) {
    if (value === 0) return "0";
    const digits = Math.max(0, 1 - Math.floor(Math.log10(value)));
    if (digits > 6 || value >= 1e7) return value.toExponential(1);
    const shown = Number(value.toPrecision(2));
    return shown.toFixed(digits);
  }

  function colorsOf(hex) {
    const table = new Uint8Array(hex.length / 2);
    for (let n = 0; n < table.length; n++) table[n] = parseInt(hex.slice(2 * n, 2 * n + 2), 16);
    return table;
  }

  /** Where a value lies in a table of colours that is processed logarithmically: drawing.colormaps.color_position. */
  function colorPosition(value, low, high) {
    if (low < 0 || high <= 0) return (value - low) / (high - low);
    const bend = high / Math.E;
    const start = Math.max(bend, low);
    const share = low < bend ? (bend - low) / (2 * bend - low) : 0;
    if (value > start) return share + (1 - share) * Math.log(value / start) / Math.log(high / start);
    return low < bend ? share * (value - low) / (bend - low) : 0;
  }

  /** 256 packed colours in even steps of the value over the window. */
  function paint(table, low, high, logarithmic) {
    const colors = new Uint32Array(256);
    for (let n = 0; n < 256; n++) {
      const at = logarithmic ? colorPosition(low + (high - low) * n / 255, low, high) : n / 255;
      const place = 3 * Math.round(255 * at);
      colors[n] = packed(table[place], table[place + 1], table[place + 2]);
    }
    return colors;
  }

  function packed(red, green, blue) {
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }

  function packedHex(color) {
    const part = colorsOf(color.slice(1));
    return packed(part[0], part[1], part[2]);
  }

  // ---------------------------------------------------------------- one viewer

  class Viewer {
    constructor(root) {
      this.root = root;
      this.opened = null;
      this.find = (name) => root.querySelector(".viewer-" + name);
    }

    open() {
      if (!this.opened) this.opened = this.start().catch((error) => {
        this.say("The viewer could not be opened (" + error.message + "). The pictures below show the same maps.");
        throw error;
      });
      return this.opened;
    }

    say(text) {
      const state = this.find("state");
      state.textContent = text;
      state.hidden = !text;
    }

    async start() {
      if (typeof DecompressionStream === "undefined") {
        this.say("This browser cannot unpack the viewer (it lacks DecompressionStream, which Chrome 80, Firefox 113 and " +
          "Safari 16.4 have). The pictures below show the same maps.");
        return;
      }
      this.say("Unpacking the maps …");
      const began = performance.now();
      this.meta = JSON.parse(this.find("meta").textContent);
      const meta = this.meta;
      this.blobs = Array.from(this.root.querySelectorAll(".viewer-blob"));
      const groups = Object.keys(meta.status);
      const [mask, head, tissue, ...codes] = await Promise.all([this.blob(meta.mask), this.blob(meta.head),
        meta.tissue ? this.blob(meta.tissue.labels) : null, ...groups.map((group) => this.blob(meta.status[group]))]);
      this.mask = domainOf((n) => mask[n >> 3] & (1 << (n & 7)), meta.shape, 1);
      this.head = domainOf((n) => head[n >> 3] & (1 << (n & 7)), meta.shape, 1);
      this.half = new Map([[this.mask, null], [this.head, null]]);
      this.status = Object.fromEntries(groups.map((group, n) => [group, codes[n]]));
      this.tissue = tissue;
      this.list = this.listed();
      this.middle = meta.start;
      this.at = this.centre();
      this.neurological = false;
      this.fill();
      this.around = this.list.find((entry) => entry.kind === "image");
      await Promise.all([this.ready(this.list[0]), this.ready(this.around)]);
      this.show(this.list[0]);
      this.say("");
      this.find("body").hidden = false;
      this.layOut();
      this.root.dataset.ready = String(Math.round(performance.now() - began));
      for (const entry of this.list) {
        await this.ready(entry);
        await new Promise((resolve) => setTimeout(resolve));
      }
      this.read();
      this.root.dataset.complete = String(Math.round(performance.now() - began));
    }

    async blob(number) {
      const element = this.blobs[number];
      const bytes = await inflate(bytesOf(element.textContent));
      element.textContent = "";
      return bytes;
    }

    /** The domain of a volume: all voxels of the brain or head, or every second one. */
    domain(whole, channel) {
      if (channel.stride === 1) return whole;
      if (!this.half.get(whole)) this.half.set(whole, halfOf(whole));
      return this.half.get(whole);
    }

    /** All that can be shown, in the order of the list. */
    listed() {
      const list = [];
      const volumes = this.meta.volumes;
      for (const map of this.meta.maps)
        list.push({ kind: "map", label: map.label, unit: map.unit, window: map.window.slice(), colors: map.colors,
          channel: volumes[map.volume], domain: this.domain(this.mask, volumes[map.volume]), group: map.group, of: map });
      for (const map of this.meta.maps) if (map.stdev) {
        const entry = { kind: "stdev", label: "sd of " + map.label, unit: map.unit, window: map.stdev.window.slice(),
          colors: "plasma", channel: volumes[map.stdev.volume], group: map.group, of: map,
          domain: this.domain(this.mask, volumes[map.stdev.volume]) };
        list.find((other) => other.of === map).stdev = entry;
        list.push(entry);
      }
      for (const image of this.meta.images)
        list.push({ kind: "image", label: image.label, unit: image.unit, window: image.window.slice(),
          colors: "gray", channel: volumes[image.volume], domain: this.domain(this.head, volumes[image.volume]),
          of: image });
      for (const group in this.meta.status)
        list.push({ kind: "quality", label: group ? "quality mask of " + group : "quality mask", unit: "", group: group,
          domain: this.mask, values: this.status[group] });
      for (const entry of list) if (entry.window) entry.opening = entry.window.slice();
      return list;
    }

    ready(entry) {
      if (entry.values) return Promise.resolve();
      if (!entry.pending) entry.pending = this.blob(entry.channel.blob).then((bytes) => {
        entry.values = unpack(bytes, entry.channel, entry.domain);
      });
      return entry.pending;
    }

    /** Where the crosshair begins: in white matter, or on the voxel of the mask that is next to its middle. */
    centre() {
      if (this.middle) return this.middle.slice();
      const [nx, ny, nz] = this.meta.shape;
      const domain = this.mask.count ? this.mask : this.head;
      this.middle = [nx >> 1, ny >> 1, nz >> 1];
      if (!domain.count) return this.middle.slice();
      const sum = [0, 0, 0];
      for (let z = 0, n = 0; z < nz; z++) for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++, n++)
        if (domain.index[n] >= 0) { sum[0] += x; sum[1] += y; sum[2] += z; }
      const [mx, my, mz] = sum.map((total) => total / domain.count);
      let nearest = Infinity;
      for (let z = 0, n = 0; z < nz; z++) for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++, n++) {
        if (domain.index[n] < 0) continue;
        const far = (x - mx) * (x - mx) + (y - my) * (y - my) + (z - mz) * (z - mz);
        if (far < nearest) { nearest = far; this.middle = [x, y, z]; }
      }
      return this.middle.slice();
    }

    fill() {
      const meta = this.meta;
      const select = this.find("map");
      const groups = { map: "Maps", stdev: "Standard deviations", image: "Images", quality: "Quality" };
      for (const kind in groups) {
        const entries = this.list.filter((entry) => entry.kind === kind);
        if (!entries.length) continue;
        const group = document.createElement("optgroup");
        group.label = groups[kind];
        for (const entry of entries) group.append(new Option(entry.label, String(this.list.indexOf(entry))));
        select.append(group);
      }
      select.addEventListener("change", async () => {
        const entry = this.list[Number(select.value)];
        await this.ready(entry);
        this.show(entry);
      });
      this.find("tissue").closest("label").hidden = !this.tissue;
      for (const name of ["outline", "tissue", "around"])
        this.find(name).addEventListener("change", () => { this.key(); this.draw(); });
      this.find("sides").addEventListener("change", (event) => {
        this.neurological = event.target.value === "neurological";
        this.layOut();
      });
      const limits = [this.find("low"), this.find("high")];
      for (const input of limits) input.addEventListener("input", () => {
        const window = limits.map((other) => other.valueAsNumber);
        const valid = Number.isFinite(window[0]) && Number.isFinite(window[1]) && window[0] < window[1];
        for (const other of limits) other.setAttribute("aria-invalid", String(!valid));
        if (valid) { this.shown.window = window; this.color(); this.draw(); }
      });
      this.find("reset").addEventListener("click", () => {
        this.shown.window = this.shown.opening.slice();
        this.show(this.shown);
      });
      this.panels = PLANES.filter((plane) => Math.min(meta.shape[plane.across], meta.shape[plane.up]) > 1)
        .map((plane) => this.panel(plane));
      const told = [];
      const halved = this.list.filter((entry) => entry.domain.stride > 1).map((entry) => entry.label);
      if (halved.length)
        told.push("To keep this page small, of " + (halved.length === 1 ? halved[0] : halved.slice(0, -1).join(", ") + " and " +
          halved[halved.length - 1]) + " every second voxel along each axis is kept, with its own value, and stands for its " +
          "neighbours; the files hold all of them.");
      const far = this.list.filter((entry) => entry.channel && entry.channel.limit).map((entry) => entry.label);
      if (far.length)
        told.push("Values of " + far.join(", ") + " that are too far from 0 for the steps of the others are shown as above (>) or " +
          "below (<) a limit; the files hold them.");
      if (meta.oblique)
        told.push("Slices follow the axes of the voxels, which lie up to " + meta.oblique + "° off those of the scanner; " +
          "letters name the nearest side.");
      this.find("told").textContent = told.join(" ");
      new ResizeObserver(() => this.layOut()).observe(this.find("planes"));
    }

    panel(plane) {
      const canvas = document.createElement("canvas");
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "application");
      canvas.setAttribute("aria-roledescription", "slice");
      canvas.setAttribute("aria-label", plane.name[0].toUpperCase() + plane.name.slice(1) +
        " slice. Arrow keys move the crosshair, page up and page down change the slice, home goes back to the start.");
      this.find("bar-side").before(canvas);
      const panel = { plane: plane, canvas: canvas, slice: document.createElement("canvas") };
      const seek = (event) => {
        const place = this.placeOf(panel, event);
        if (place) this.go(place);
      };
      canvas.addEventListener("pointerdown", (event) => {
        if (event.button !== 0) return;
        canvas.focus({ preventScroll: true });
        try { canvas.setPointerCapture(event.pointerId); } catch (error) { /* a pointer that is gone again */ }
        panel.dragged = true;
        seek(event);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (panel.dragged) seek(event);
        this.hover(this.placeOf(panel, event));
      });
      for (const end of ["pointerup", "pointercancel"])
        canvas.addEventListener(end, () => { panel.dragged = false; });
      canvas.addEventListener("pointerleave", () => this.hover(null));
      canvas.addEventListener("wheel", (event) => {
        // The page scrolls as usual until a slice is clicked or reached by the tab key.
        if (document.activeElement !== canvas || event.ctrlKey || !event.deltaY) return;
        event.preventDefault();
        this.step(plane.through, event.deltaY < 0 ? 1 : -1);
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => {
        const far = event.shiftKey ? 5 : 1;
        const right = this.flipped(plane) ? -far : far;
        const moves = { ArrowRight: [plane.across, right], ArrowLeft: [plane.across, -right], ArrowUp: [plane.up, far],
          ArrowDown: [plane.up, -far], PageUp: [plane.through, far], PageDown: [plane.through, -far] };
        if (event.key === "Home") this.go(this.centre());
        else if (moves[event.key]) this.step(moves[event.key][0], moves[event.key][1]);
        else return;
        event.preventDefault();
      });
      return panel;
    }

    /** Whether the index falls from left to right: sagittal slices face left, the sides follow the convention. */
    flipped(plane) {
      return plane.across === 1 || !this.neurological;
    }

    step(axis, by) {
      const place = this.at.slice();
      place[axis] = Math.min(Math.max(place[axis] + by, 0), this.meta.shape[axis] - 1);
      this.go(place);
    }

    go(place) {
      this.at = place;
      this.draw();
      this.read();
    }

    layOut() {
      if (!this.shown) return;
      const meta = this.meta;
      const size = (axis) => meta.shape[axis] * meta.sizes[axis];
      const whole = this.find("planes").clientWidth;
      if (!whole) return;
      const narrow = whole < NARROW;
      const widths = this.panels.map((panel) => size(panel.plane.across));
      const scale = narrow ? (whole - BAR - GAP) / Math.max(...widths)
        : Math.min((whole - BAR - GAP * this.panels.length) / widths.reduce((sum, width) => sum + width, 0),
          460 / Math.max(...this.panels.map((panel) => size(panel.plane.up))));
      const highest = Math.max(...this.panels.map((panel) => size(panel.plane.up)));
      const dense = window.devicePixelRatio || 1;
      for (const panel of this.panels) {
        const width = Math.floor(size(panel.plane.across) * scale);
        const height = Math.ceil((narrow ? size(panel.plane.up) : highest) * scale);
        panel.scale = scale;
        panel.top = (height - size(panel.plane.up) * scale) / 2;
        panel.canvas.style.width = width + "px";
        panel.canvas.style.height = height + "px";
        panel.canvas.width = Math.round(width * dense);
        panel.canvas.height = Math.round(height * dense);
      }
      this.find("bar-side").style.height = (narrow ? 200 : Math.ceil(highest * scale)) + "px";
      this.draw();
    }

    show(entry) {
      this.shown = entry;
      this.find("map").value = String(this.list.indexOf(entry));
      const quality = entry.kind === "quality";
      this.find("window").hidden = this.find("reset").hidden = quality;
      this.find("bar-side").style.visibility = quality ? "hidden" : "visible";
      if (!quality) {
        for (const [n, name] of ["low", "high"].entries()) {
          this.find(name).value = String(Number(entry.window[n].toPrecision(4)));
          this.find(name).setAttribute("aria-invalid", "false");
        }
        this.find("unit").textContent = entry.unit;
      }
      this.key();
      this.color();
      this.draw();
      this.read();
    }

    /** The legend of what the colours mean beside the bar: no value, and codes of the quality mask. */
    key() {
      const key = this.find("key");
      key.textContent = "";
      const add = (color, text, hatched) => {
        const item = document.createElement("span");
        const mark = document.createElement("i");
        mark.style.backgroundColor = color;
        if (hatched) mark.className = "hatched";
        item.append(mark, text);
        key.append(item);
      };
      const entry = this.shown;
      if (entry.kind === "quality") {
        const seen = new Set(entry.values);
        for (const code in this.meta.codes)
          if (seen.has(Number(code)) && Number(code) !== this.meta.outside)
            add(this.meta.codes[code].color, code + " " + this.meta.codes[code].name);
      } else if (entry.kind !== "image") add(this.meta.missing[entry.colors], "no value", true);
      if (this.tissue && this.find("tissue").checked) for (const label in this.meta.tissue.outlines)
        add(this.meta.tissue.outlines[label], "outline of " + this.meta.tissue.names[label]);
      if (this.find("outline").checked) add(MASK_COLOR, "outline of the " + this.meta.mask_name);
    }

    color() {
      const entry = this.shown;
      if (entry.kind === "quality") return;
      const [low, high] = entry.window;
      const table = colorsOf(this.meta.colors[entry.colors]);
      this.colors = paint(table, low, high, this.meta.logarithmic.includes(entry.colors));
      this.lack = packedHex(this.meta.missing[entry.colors]);
      const bar = this.find("bar");
      const context = bar.getContext("2d");
      bar.width = 1;
      bar.height = 256;
      const strip = new ImageData(1, 256);
      const pixels = new Uint32Array(strip.data.buffer);
      for (let n = 0; n < 256; n++) pixels[n] = this.colors[255 - n];
      context.putImageData(strip, 0, 0);
      bar.setAttribute("aria-label", "Colour bar from " + low + " to " + high + " " + entry.unit);
      const ticks = this.find("ticks").children;
      for (let n = 0; n < ticks.length; n++) {
        const share = 1 - n / (ticks.length - 1);
        ticks[n].textContent = minus(String(Number((low + share * (high - low)).toPrecision(3))));
      }
      this.find("bar-unit").textContent = entry.unit;
    }

    draw() {
      if (!this.shown) return;
      for (const panel of this.panels) if (panel.scale) this.drawPanel(panel);
    }

    drawPanel(panel) {
      const { plane, canvas, slice, scale, top } = panel;
      const meta = this.meta;
      const columns = meta.shape[plane.across], rows = meta.shape[plane.up];
      const flip = this.flipped(plane);
      const spot = this.at.slice();
      const number = (domain, column, row) => {
        spot[plane.across] = flip ? columns - 1 - column : column;
        spot[plane.up] = rows - 1 - row;
        return numberIn(domain, spot[0], spot[1], spot[2]);
      };
      slice.width = columns;
      slice.height = rows;
      const picture = new ImageData(columns, rows);
      const pixels = new Uint32Array(picture.data.buffer);
      const entry = this.shown, values = entry.values, mask = this.mask;
      const clipped = entry.domain.stride > 1 && entry.kind !== "image";
      const quality = entry.kind === "quality";
      const [low, high] = quality ? [0, 1] : entry.window;
      const codes = {};
      if (quality) for (const code in meta.codes) codes[code] = packedHex(meta.codes[code].color);
      const back = entry.kind !== "image" && this.find("around").checked ? this.around : null;
      const missing = [];
      const black = packed(0, 0, 0);
      for (let row = 0, n = 0; row < rows; row++)
        for (let column = 0; column < columns; column++, n++) {
          // A voxel kept for its neighbours does not stand for those that lie outside the mask.
          const own = clipped && number(mask, column, row) < 0 ? -1 : number(entry.domain, column, row);
          const around = back ? number(back.domain, column, row) : -1;
          if (own >= 0) {
            const value = values[own];
            if (quality) pixels[n] = codes[value];
            else if (value !== value) { pixels[n] = this.lack; missing.push(n); }
            else pixels[n] = this.colors[Math.round(255 * Math.min(Math.max((value - low) / (high - low), 0), 1))];
          } else if (around >= 0) {
            const bright = back.values[around];
            const gray = Math.round(150 * Math.min(Math.max((bright - back.opening[0]) / (back.opening[1] - back.opening[0]), 0), 1));
            pixels[n] = packed(gray, gray, gray);
          } else pixels[n] = black;
        }
      slice.getContext("2d").putImageData(picture, 0, 0);
      const context = canvas.getContext("2d");
      const dense = canvas.width / parseFloat(canvas.style.width);
      context.setTransform(dense, 0, 0, dense, 0, 0);
      context.fillStyle = "#000";
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = false;
      const wide = meta.sizes[plane.across] * scale, tall = meta.sizes[plane.up] * scale;
      context.drawImage(slice, 0, top, columns * wide, rows * tall);
      if (missing.length) {
        const area = new Path2D();
        for (const n of missing) area.rect((n % columns) * wide, top + Math.floor(n / columns) * tall, wide, tall);
        context.save();
        context.clip(area);
        context.strokeStyle = "rgba(255,255,255,.55)";
        context.lineWidth = 1;
        context.beginPath();
        for (let x = -rows * tall; x < columns * wide; x += 5) {
          context.moveTo(x, top + rows * tall);
          context.lineTo(x + rows * tall, top);
        }
        context.stroke();
        context.restore();
      }
      const outline = (inside, color, width) => {
        context.beginPath();
        for (let row = 0; row <= rows; row++)
          for (let column = 0; column <= columns; column++) {
            const here = row < rows && column < columns && inside(number(mask, column, row));
            const x = column * wide, y = top + row * tall;
            if (row < rows && here !== (column > 0 && inside(number(mask, column - 1, row)))) {
              context.moveTo(x, y); context.lineTo(x, y + tall);
            }
            if (column < columns && here !== (row > 0 && inside(number(mask, column, row - 1)))) {
              context.moveTo(x, y); context.lineTo(x + wide, y);
            }
          }
        context.strokeStyle = color;
        context.lineWidth = width;
        context.stroke();
      };
      if (this.tissue && this.find("tissue").checked) for (const label in meta.tissue.outlines) {
        const own = Number(label);
        outline((voxel) => voxel >= 0 && this.tissue[voxel] === own, meta.tissue.outlines[label], 1.2);
      }
      if (this.find("outline").checked) outline((voxel) => voxel >= 0, MASK_COLOR, 1.2);
      this.crosshair(context, panel, { columns, rows, wide, tall, flip });
      this.letters(context, panel);
    }

    crosshair(context, panel, { columns, rows, wide, tall, flip }) {
      const { plane, top } = panel;
      const across = this.at[plane.across];
      const x = ((flip ? columns - 1 - across : across) + 0.5) * wide;
      const y = top + (rows - 1 - this.at[plane.up] + 0.5) * tall;
      const open = Math.max(wide, tall) / 2 + 4;
      const right = columns * wide, bottom = top + rows * tall;
      for (const [color, width] of [["rgba(0,0,0,.6)", 3], ["#7dff9a", 1]]) {
        context.beginPath();
        context.moveTo(0, y); context.lineTo(x - open, y); context.moveTo(x + open, y); context.lineTo(right, y);
        context.moveTo(x, top); context.lineTo(x, y - open); context.moveTo(x, y + open); context.lineTo(x, bottom);
        context.strokeStyle = color;
        context.lineWidth = width;
        context.stroke();
      }
    }

    letters(context, panel) {
      const { plane, canvas } = panel;
      const width = parseFloat(canvas.style.width), height = parseFloat(canvas.style.height);
      const sides = LETTERS[plane.across], ends = LETTERS[plane.up];
      const flip = this.flipped(plane) ? 1 : 0;
      context.font = "600 13px system-ui, sans-serif";
      context.textBaseline = "middle";
      const write = (text, x, y, align) => {
        context.textAlign = align;
        context.lineWidth = 3;
        context.strokeStyle = "#000";
        context.strokeText(text, x, y);
        context.fillStyle = "#fff";
        context.fillText(text, x, y);
      };
      write(sides[flip], 6, height / 2, "left");
      write(sides[1 - flip], width - 6, height / 2, "right");
      write(ends[1], width / 2, 11, "center");
      write(ends[0], width / 2, height - 11, "center");
      const at = this.world(this.at)[plane.through];
      context.font = "12px system-ui, sans-serif";
      write("xyz"[plane.through] + " = " + minus(at.toFixed(1)) + " mm", 6, height - 11, "left");
      if (plane.across === 0)
        write(this.neurological ? "neurological" : "radiological", width - 6, 11, "right");
    }

    placeOf(panel, event) {
      const { plane, canvas, scale, top } = panel;
      const meta = this.meta;
      const box = canvas.getBoundingClientRect();
      const column = Math.floor((event.clientX - box.left) / (meta.sizes[plane.across] * scale));
      const row = Math.floor((event.clientY - box.top - top) / (meta.sizes[plane.up] * scale));
      const columns = meta.shape[plane.across], rows = meta.shape[plane.up];
      if (column < 0 || row < 0 || column >= columns || row >= rows) return null;
      const place = this.at.slice();
      place[plane.across] = this.flipped(plane) ? columns - 1 - column : column;
      place[plane.up] = rows - 1 - row;
      return place;
    }

    transformed(matrix, place) {
      return [0, 1, 2].map((row) => matrix[row][0] * place[0] + matrix[row][1] * place[1] + matrix[row][2] * place[2] + matrix[row][3]);
    }

    world(place) {
      return this.transformed(this.meta.world, place);
    }

    /** What is known of an entry at a place: a value, or why there is none. */
    told(entry, place) {
      const own = numberIn(entry.domain, place[0], place[1], place[2]);
      const voxel = numberIn(this.mask, place[0], place[1], place[2]);
      if (entry.kind !== "image" && voxel < 0) return { reason: "outside the " + this.meta.mask_name + ", not estimated" };
      if (own < 0)
        return { reason: entry.kind === "image" ? "outside the head, not kept" : "not kept (its neighbour lies outside the mask)" };
      if (!entry.values) return { reason: "…" };
      const value = entry.values[own];
      if (entry.kind === "quality") {
        const code = this.meta.codes[value];
        return { code: value, words: value + " " + code.name + ": " + code.meaning };
      }
      const kept = entry.domain.stride > 1 && place.some((at) => at % 2) ? place.map((at) => at - at % 2) : null;
      if (value === value) return { value: value, kept: kept };
      const group = this.status[entry.group] || this.status[""];
      const code = group ? this.meta.codes[group[voxel]] : null;
      if (entry.kind === "stdev") return { reason: "not known" };
      return { reason: code && !code.valued ? code.name + ": " + code.meaning : "no value in this map" };
    }

    /** The words for an entry at a place: of a map with its standard deviation and unit. */
    words(entry, place) {
      const told = this.told(entry, place);
      if (told.words) return told.words;
      if (told.reason) return told.reason;
      const unit = entry.unit ? " " + entry.unit : "";
      if (entry.kind === "stdev") return spreadText(told.value) + unit;
      const stdev = entry.stdev ? this.told(entry.stdev, place) : {};
      return numberText(told.value, entry.channel.step, entry.channel.limit) + ("value" in stdev ? " ± " + spreadText(stdev.value) : "") + unit;
    }

    hover(place) {
      this.find("hover").textContent = place ? "Under the pointer: " + this.shown.label + " " + this.words(this.shown, place) : "\u00a0";
    }

    /** What is said where a value or standard deviation is that of a neighbour, which was kept for this voxel. */
    neighbour(told, stdev) {
      const kept = told.kept || stdev.kept;
      if (!kept) return "";
      const file = this.transformed(this.meta.file, kept).map((at) => Math.round(at)).join(", ");
      return (told.kept ? "of voxel (" : "sd of voxel (") + file + ")";
    }

    /** The table of all values at the crosshair. */
    read() {
      if (!this.shown) return;
      const world = this.world(this.at).map((at) => minus(at.toFixed(1)));
      const file = this.transformed(this.meta.file, this.at).map((at) => Math.round(at));
      const place = "x = " + world[0] + ", y = " + world[1] + ", z = " + world[2] + " mm";
      this.find("place").textContent = place + " · voxel (" + file.join(", ") + ") of the files, counted from 0";
      const rows = document.createDocumentFragment();
      for (const entry of this.list) {
        if (entry.kind === "stdev") continue;
        const row = document.createElement("tr");
        if (entry === this.shown) row.className = "shown";
        const name = document.createElement("th");
        name.scope = "row";
        name.textContent = entry.label;
        row.append(name);
        const told = this.told(entry, this.at);
        if ("value" in told) {
          const stdev = entry.stdev ? this.told(entry.stdev, this.at) : {};
          const cells = [numberText(told.value, entry.channel.step, entry.channel.limit), "value" in stdev ? spreadText(stdev.value) : "–", entry.unit,
            numberText(entry.channel.step, entry.channel.step), this.neighbour(told, stdev)];
          for (const [n, text] of cells.entries()) {
            const cell = document.createElement("td");
            cell.className = n === 2 || n === 4 ? "" : "n";
            cell.textContent = text;
            row.append(cell);
          }
        } else {
          const cell = document.createElement("td");
          cell.colSpan = 5;
          cell.className = "why";
          cell.textContent = told.words || told.reason;
          row.append(cell);
        }
        rows.append(row);
      }
      this.find("values").replaceChildren(rows);
      clearTimeout(this.telling);
      this.telling = setTimeout(() => {
        this.find("live").textContent = this.shown.label + " " + this.words(this.shown, this.at) + ". " + place + ".";
      }, 400);
    }
  }

  // ---------------------------------------------------------------- two pictures in turn

  function flicker(figure) {
    const picture = figure.querySelector("img");
    const controls = figure.querySelector(".flicker-controls");
    if (!picture || !controls) return;
    const names = JSON.parse(controls.dataset.names);
    const step = Number(controls.dataset.step);
    const frame = document.createElement("div");
    frame.className = "flicker-frame";
    picture.before(frame);
    frame.append(picture);
    const [other, turn, both] = controls.querySelectorAll("button");
    const said = controls.querySelector(".flicker-said");
    let now = -1, timer = null;
    const show = (number) => {
      now = number;
      figure.classList.toggle("flickering", number >= 0);
      frame.style.aspectRatio = number >= 0 ? picture.naturalWidth + " / " + picture.naturalHeight * (1 - step) : "";
      picture.style.transform = number >= 0 ? "translateY(" + -100 * number * step + "%)" : "";
      said.textContent = number >= 0 ? "Shown: " + names[number] : "";
      both.hidden = number < 0;
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      turn.setAttribute("aria-pressed", "false");
    };
    const next = () => show((now + 1) % names.length);
    other.addEventListener("click", () => { stop(); next(); });
    turn.addEventListener("click", () => {
      if (timer) { stop(); return; }
      turn.setAttribute("aria-pressed", "true");
      next();
      timer = setInterval(next, 700);
    });
    both.addEventListener("click", () => { stop(); show(-1); });
    turn.hidden = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    controls.hidden = false;
  }

  const viewers = Array.from(document.querySelectorAll(".viewer"), (root) => new Viewer(root));
  window.qmriViewers = viewers;
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      near.unobserve(entry.target);
      viewers.find((viewer) => viewer.root === entry.target).open().catch(() => {});
    }
  }, { rootMargin: "300px" });
  for (const viewer of viewers) near.observe(viewer.root);
  for (const figure of document.querySelectorAll("figure.flicker")) flicker(figure);
})();
