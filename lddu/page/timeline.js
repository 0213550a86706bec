// One time line, drawn as far as it is in sight: axis, faces, sound, words, and a curve with its band for every label.

const LANES = { axis: 24, faces: 58, wave: 62, words: 86, label: 52 };
const WIDEST = 480, USUAL = 70, SNAP = 6; // pixels a second, at most and at first; pixels
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600];
const COLOURS = 8;

class TimeLine {
  /** `film`: seconds, utterances, wave, faces; `labels` and `thresholds` may be empty, then there are no curves. */
  constructor(host, film, player, labels = [], thresholds = []) {
    Object.assign(this, { film, player, labels, thresholds, images: new Map(), widths: new Map() });
    this.wave = film.wave;
    this.words = film.utterances.flatMap((utterance) => utterance.words.filter((word) => word[1] !== null && word[2] !== null));
    this.layOut();
    this.canvas = el("canvas", { role: "img", "aria-label": this.description(), onclick: (event) => this.clicked(event),
      onpointermove: (event) => this.pointed(event), onpointerleave: () => { this.tip.hidden = true; } });
    this.cursor = el("div", { class: "tl-cursor" });
    this.tip = el("div", { class: "tl-tip", hidden: true });
    this.names = el("div", { class: "tl-names", "aria-hidden": "true" });
    this.sticky = el("div", { class: "tl-sticky" }, this.canvas, this.names, this.cursor, this.tip);
    this.space = el("div", { class: "tl-space" }, this.sticky);
    this.scroller = el("div", { class: "tl-scroll", tabindex: "0", role: "group", "aria-label": "time line" }, this.space);
    host.replaceChildren(this.scroller);
    this.nameLanes();
    this.scroller.addEventListener("scroll", () => this.soon(), { passive: true });
    this.scroller.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    this.sizes = new ResizeObserver(() => this.resized());
    this.sizes.observe(this.scroller);
    this.ended = new AbortController();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour(), { signal: this.ended.signal });
    this.recolour();
    this.resized();
    player.follow((time) => this.moved(time));
  }

  /** Listen to nothing any more. */
  end() {
    this.sizes.disconnect();
    this.ended.abort();
  }

  layOut() {
    let top = 0;
    this.lanes = [];
    const add = (kind, name, height, index = 0) => { this.lanes.push({ kind, name, top, height, index }); top += height; };
    add("axis", "", LANES.axis);
    if (this.film.pictures) add("faces", "picture", LANES.faces);
    else if (this.film.faces.length) add("faces", "face", LANES.faces);
    if (this.wave) add("wave", "sound", LANES.wave);
    if (this.words.length) add("words", "words", LANES.words);
    this.labels.forEach((label, i) => add("label", label, LANES.label, i));
    this.height = top;
  }

  description() {
    const parts = this.lanes.filter((lane) => lane.name).map((lane) => lane.name);
    return `${several(Math.round(this.film.seconds), "second")}: ${parts.join(", ")}. The same is below in words and numbers.`;
  }

  nameLanes() {
    this.values = [];
    for (const lane of this.lanes.filter((item) => item.name)) {
      const value = el("b"), name = el("span", { class: `tl-name ${lane.kind}` }, lane.name, " ", value);
      name.style.top = `${lane.top + 3}px`;
      if (lane.kind === "label") { name.style.setProperty("--own", `var(--c${lane.index % COLOURS})`); this.values.push(value); }
      this.names.append(name);
    }
  }

  recolour() {
    const names = ["ink", "quiet", "line", "faint", "card", "text", "audio", "vision", "strong"];
    this.colour = Object.fromEntries(names.map((name) => [name, style(`--${name}`)]));
    this.colour.labels = Array.from({ length: COLOURS }, (_, i) => style(`--c${i}`));
    this.soon();
  }

  resized() {
    const width = this.scroller.clientWidth;
    if (!width || width === this.width) return;
    const first = this.width === undefined;
    this.width = width;
    this.fit = width / Math.max(this.film.seconds, 0.1);
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.sticky.style.width = `${width}px`;
    this.sticky.style.height = this.canvas.style.height = `${this.height}px`;
    this.canvas.style.width = `${width}px`;
    this.zoom(first ? USUAL : this.scale, this.player.time);
  }

  /** Show so many pixels a second, and keep `time` where it is on the screen. */
  zoom(scale, time = this.player.time) {
    const before = this.scale ? time * this.scale - this.scroller.scrollLeft : this.width / 3;
    this.scale = Math.min(Math.max(scale, this.fit), Math.max(WIDEST, this.fit));
    this.space.style.width = `${Math.round(this.film.seconds * this.scale)}px`;
    this.scroller.dataset.scale = this.scale;
    this.scroller.scrollLeft = time * this.scale - Math.min(Math.max(before, 0), this.width);
    this.rows = null;
    this.soon();
  }

  wheeled(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    const x = event.clientX - this.scroller.getBoundingClientRect().left;
    this.zoom(this.scale * (event.deltaY < 0 ? 1.2 : 1 / 1.2), (this.scroller.scrollLeft + x) / this.scale);
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  timeAt(x) { return (this.scroller.scrollLeft + x) / this.scale; }
  place(time) { return time * this.scale - this.scroller.scrollLeft; }
  utteranceAt(time) {
    const i = lastBefore(this.film.utterances, time);
    return i >= 0 && time <= this.film.utterances[i].end ? i : -1;
  }

  clicked(event) {
    const lane = this.lanes.find((item) => event.offsetY < item.top + item.height), time = this.timeAt(event.offsetX);
    const word = lane && lane.kind === "words" ? this.words[lastBefore(this.words, time, (item) => item[1])] : null;
    this.player.time = word && time <= word[2] + SNAP / this.scale ? word[1] : time;
  }

  pointed(event) {
    const time = this.timeAt(event.offsetX), lane = this.lanes.find((item) => event.offsetY < item.top + item.height);
    const utterance = this.film.utterances[this.utteranceAt(time)];
    let text = clock(time);
    if (lane && lane.kind === "label" && utterance) {
      const i = lane.index;
      text += ` · ${lane.name} ${share(utterance.p[i])}, doubt ${percent(utterance.doubt[i])}`;
    }
    this.tip.textContent = text;
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(event.offsetX + 12, this.width - this.tip.offsetWidth - 4)}px`;
    this.tip.style.top = `${Math.max(event.offsetY - 30, 0)}px`;
  }

  moved(time) {
    if (!this.scale) return;
    const inSight = (x) => x >= 0 && x <= this.width - 8;
    const before = this.cursorTime === undefined ? time : this.cursorTime;
    let x = this.place(time);
    // Who scrolls away while it plays is left alone; a jump is always shown.
    if (!inSight(x) && (Math.abs(time - before) > 0.5 || (!this.player.paused && inSight(this.place(before))))) {
      this.scroller.scrollLeft = time * this.scale - 0.15 * this.width;
      x = this.place(time);
    }
    this.cursorTime = time;
    this.cursor.style.transform = `translateX(${x.toFixed(1)}px)`;
    const at = this.utteranceAt(time);
    if (at !== this.shown) {
      this.shown = at;
      const utterance = this.film.utterances[at];
      this.values.forEach((value, i) => { value.textContent = utterance ? share(utterance.p[i]) : ""; });
    }
  }

  draw() {
    if (!this.width) return;
    const ratio = devicePixelRatio || 1, brush = this.canvas.getContext("2d");
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    brush.clearRect(0, 0, this.width, this.height);
    const from = this.timeAt(0), to = this.timeAt(this.width);
    const first = Math.max(0, lastBefore(this.film.utterances, from)), last = lastBefore(this.film.utterances, to);
    const shown = this.film.utterances.slice(first, last + 1);
    this.drawAxis(brush, from, to);
    for (const lane of this.lanes) {
      brush.fillStyle = this.colour.line;
      brush.fillRect(0, lane.top + lane.height - 1, this.width, 1);
      if (lane.kind === "faces") this.drawFaces(brush, lane, from, to);
      if (lane.kind === "wave") this.drawWave(brush, lane, from, to);
      if (lane.kind === "words") this.drawWords(brush, lane, from, to, shown);
      if (lane.kind === "label") this.drawLabel(brush, lane, first, last);
      for (const utterance of shown) this.drawMissing(brush, lane, utterance);
    }
    this.cursor.style.transform = `translateX(${this.place(this.player.time).toFixed(1)}px)`;
  }

  drawAxis(brush, from, to) {
    const step = STEPS.find((item) => item * this.scale >= 70) || 7200;
    brush.font = "11px system-ui, sans-serif";
    brush.textBaseline = "top";
    for (let i = Math.floor(from / step); i * step <= to; i++) {
      const x = Math.round(this.place(i * step));
      brush.fillStyle = this.colour.line;
      brush.fillRect(x, 0, 1, this.height);
      brush.fillStyle = this.colour.quiet;
      brush.fillText(clock(i * step, step < 1 ? 1 : 0), x + 4, 6);
    }
  }

  drawFaces(brush, lane, from, to) {
    const faces = this.film.faces, side = lane.height - 6;
    const margin = side / this.scale;
    let free = -Infinity;
    const spacing = side + 1;
    // The same pictures are chosen wherever the line is scrolled to: the first of every slot.
    for (let i = Math.max(0, lastBefore(faces, from - margin, (face) => face[0])); i < faces.length && faces[i][0] <= to; i++) {
      const slot = Math.floor((faces[i][0] * this.scale) / spacing);
      if (slot <= free) continue;
      free = slot;
      const image = this.image(i), x = this.place((slot * spacing) / this.scale);
      if (image.complete === false || image.naturalWidth === 0) continue;
      brush.drawImage(image, x, lane.top + 3, side, side);
    }
  }

  /** A picture that is there, or that is being decoded. */
  image(i) {
    if (this.film.faces[i][1] instanceof HTMLCanvasElement) return this.film.faces[i][1];
    if (!this.images.has(i)) {
      const image = new Image();
      image.onload = () => this.soon();
      image.src = `data:image/jpeg;base64,${this.film.faces[i][1]}`;
      this.images.set(i, image);
    }
    return this.images.get(i);
  }

  drawWave(brush, lane, from, to) {
    const { rate, low, high } = this.wave, middle = lane.top + lane.height / 2, half = (lane.height / 2 - 4) / 127;
    brush.fillStyle = this.colour.audio;
    for (let x = 0; x < this.width; x++) {
      const begin = Math.max(0, Math.floor(this.timeAt(x) * rate));
      const end = Math.min(low.length, Math.max(begin + 1, Math.floor(this.timeAt(x + 1) * rate)));
      let bottom = 0, top = 0;
      for (let i = begin; i < end; i++) {
        if (low[i] < bottom) bottom = low[i];
        if (high[i] > top) top = high[i];
      }
      if (begin < low.length) brush.fillRect(x, middle - top * half - 0.4, 1, (top - bottom) * half + 0.8);
    }
  }

  /** The row of each word, so that the letters of neighbours stay apart, at this scale. */
  pack(brush) {
    const free = [0, 0, 0];
    brush.font = "13px system-ui, sans-serif";
    this.rows = this.words.map(([word, start, end]) => {
      if (!this.widths.has(word)) this.widths.set(word, brush.measureText(word).width + 9);
      const left = start * this.scale, row = free.findIndex((edge) => edge <= left);
      if (row >= 0) free[row] = Math.max(end * this.scale, left + this.widths.get(word));
      return row;
    });
    this.legible = this.rows.filter((row) => row >= 0).length > 0.9 * this.rows.length;
  }

  drawWords(brush, lane, from, to, shown) {
    if (!this.rows) this.pack(brush);
    brush.font = "13px system-ui, sans-serif";
    brush.textBaseline = "middle";
    if (!this.legible) {
      for (const utterance of shown) this.drawSaid(brush, lane, utterance);
      return;
    }
    for (let i = Math.max(0, lastBefore(this.words, from, (word) => word[1]) - 3); i < this.words.length; i++) {
      const [word, start, end, sure] = this.words[i];
      if (start > to) break;
      if (this.rows[i] < 0) continue;
      const x = this.place(start), y = lane.top + 19 + this.rows[i] * 22, wide = Math.max((end - start) * this.scale - 1, 2);
      brush.globalAlpha = sure === 1 ? 0.22 : sure > 0 ? 0.12 : 0.05;
      brush.fillStyle = this.colour.text;
      brush.fillRect(x, y, wide, 19);
      brush.globalAlpha = sure === 1 ? 1 : 0.5;
      brush.fillRect(x, y + 18, wide, 2);
      brush.globalAlpha = 1;
      brush.fillStyle = this.colour.ink;
      brush.fillText(word, x + 3, y + 10);
    }
  }

  /** What is not there, with the reason where it has room. */
  drawMissing(brush, lane, utterance) {
    const reasons = utterance.missing.filter(([kind]) => kind === lane.kind);
    if (!reasons.length) return;
    const x = this.place(utterance.start), wide = (utterance.end - utterance.start) * this.scale - 1;
    brush.save();
    brush.beginPath();
    brush.rect(x, lane.top + 3, wide, lane.height - 7);
    brush.clip();
    brush.strokeStyle = this.colour.line;
    brush.lineWidth = 3;
    brush.beginPath();
    for (let at = x - lane.height - (x % 9); at < x + wide; at += 9) {
      brush.moveTo(at, lane.top + lane.height);
      brush.lineTo(at + lane.height, lane.top);
    }
    brush.stroke();
    brush.font = "italic 12px system-ui, sans-serif";
    brush.textBaseline = "middle";
    const text = reasons.map(([, reason]) => reason).join("; "), left = Math.max(x, 0) + 6, middle = lane.top + lane.height / 2;
    brush.fillStyle = this.colour.card;
    brush.fillRect(left - 4, middle - 9, Math.min(brush.measureText(text).width + 8, wide), 18);
    brush.fillStyle = this.colour.quiet;
    brush.fillText(text, left, middle);
    brush.restore();
  }

  drawSaid(brush, lane, utterance) {
    const x = this.place(utterance.start), wide = (utterance.end - utterance.start) * this.scale - 1;
    brush.globalAlpha = 0.18;
    brush.fillStyle = this.colour.text;
    brush.fillRect(x, lane.top + 30, Math.max(wide, 1), 22);
    brush.globalAlpha = 1;
    if (wide < 40) return;
    brush.save();
    brush.beginPath();
    brush.rect(x, lane.top, wide, lane.height);
    brush.clip();
    brush.fillStyle = this.colour.ink;
    brush.fillText(utterance.text || "", Math.max(x, 0) + 4, lane.top + 41);
    brush.restore();
  }

  drawLabel(brush, lane, first, last) {
    const { top, height, index } = lane, own = this.colour.labels[index % COLOURS], inner = height - 13;
    const level = (p) => top + height - 7 - (Math.min(Math.max(p, 0), 1000) / 1000) * inner;
    const threshold = this.thresholds[index];
    brush.strokeStyle = this.colour.quiet;
    brush.lineWidth = 1;
    if (threshold !== null && threshold !== undefined) {
      brush.globalAlpha = 0.55;
      brush.setLineDash([2, 4]);
      brush.beginPath();
      brush.moveTo(0, level(1000 * threshold));
      brush.lineTo(this.width, level(1000 * threshold));
      brush.stroke();
      brush.setLineDash([]);
      brush.globalAlpha = 1;
    }
    let before = null;
    for (let i = Math.max(0, first - 1); i <= Math.min(last + 1, this.film.utterances.length - 1); i++) {
      const utterance = this.film.utterances[i];
      if (!utterance.modalities.length) { before = null; continue; }
      const p = utterance.p[index], doubt = utterance.doubt[index] || 0;
      const x = this.place(utterance.start), end = Math.max(this.place(utterance.end), x + 1.5);
      brush.fillStyle = brush.strokeStyle = own;
      brush.globalAlpha = 0.2;
      brush.fillRect(x, level(p + doubt), end - x, level(p - doubt) - level(p + doubt));
      if (before) this.joined(brush, before, [x, level(p)]);
      brush.globalAlpha = 1;
      brush.fillRect(x, level(p) - 1.25, end - x, 2.5);
      if (utterance.yes[index]) {
        brush.globalAlpha = utterance.sure[index] === 0 ? 0.35 : 1;
        brush.fillRect(x, top + height - 5, end - x, 3);
        brush.globalAlpha = 1;
      }
      before = [end, level(p)];
    }
  }

  joined(brush, from, to) {
    const bend = (to[0] - from[0]) / 2;
    brush.globalAlpha = 0.35;
    brush.lineWidth = 1.25;
    brush.beginPath();
    brush.moveTo(...from);
    brush.bezierCurveTo(from[0] + bend, from[1], to[0] - bend, to[1], ...to);
    brush.stroke();
  }
}
