// The page of a film: fills film.html from its data, and keeps film, time line, words and decisions at the same moment.

const DATA = JSON.parse(byId("data").textContent);
const SECOND = 1;
let view = null;

/** One recording on the page. */
class View {
  constructor(film) {
    this.film = film;
    if (typeof film.wave?.low === "string") film.wave = { rate: film.wave.rate, low: bytes(film.wave.low, Int8Array), high: bytes(film.wave.high, Int8Array) };
    byId("name").textContent = film.name;
    const media = this.screen();
    this.player = new Player(media, film.seconds);
    this.facts();
    this.transcript();
    this.line = new TimeLine(byId("line"), film, this.player, DATA.labels, DATA.thresholds);
    this.overview = new Overview(byId("overview"), this.line, DATA.labels);
    const position = byId("position");
    position.max = film.seconds;
    byId("whole").textContent = film.timed ? `of ${clock(film.seconds, 0)}` : `of ${clock(film.seconds, 0)}, read aloud`;
    this.player.follow((time) => this.moved(time));
  }

  /** The film or the sound; a file that is not beside the page any more can be chosen. */
  screen() {
    const { medium, timed } = this.film, remarks = byId("remarks");
    remarks.replaceChildren(...(medium.remark ? [el("p", { class: "quiet" }, medium.remark)] : []));
    if (!medium.source) {
      byId("screen").replaceChildren(...(timed ? [el("p", { class: "nothing" }, "There is no film here: the time line runs alone.")]
        : [el("p", { class: "spoken", id: "spoken", "aria-hidden": "true" })]));
      return null;
    }
    const media = el(medium.picture ? "video" : "audio", { controls: true, preload: "auto", src: medium.source,
      "aria-label": this.film.name, playsinline: true });
    media.addEventListener("error", () => {
      if (remarks.querySelector("input")) return;
      const chooser = el("input", { type: "file", accept: "video/*,audio/*", onchange: (event) => {
        media.src = URL.createObjectURL(event.target.files[0]);
      } });
      remarks.append(el("label", { class: "refused" }, "The film is not beside this page, or this browser cannot play it. Choose it: ", chooser));
    });
    byId("screen").replaceChildren(media);
    return media;
  }

  facts() {
    const { film } = this, count = film.utterances.length;
    const words = film.utterances.reduce((sum, utterance) => sum + utterance.words.length, 0);
    const found = DATA.labels.filter((_, i) => film.utterances.some((utterance) => utterance.yes[i]));
    const facts = [film.timed ? clock(film.seconds, 0) : "text", several(count, "utterance"), several(words, "word"),
      found.length ? `found: ${found.join(", ")}` : "no label found"];
    byId("facts").replaceChildren(facts.join(" · "));
    const notes = [...film.notes, ...(film.error ? [film.error] : [])];
    if (notes.length) byId("facts").append(el("span", { class: "refused" }, notes.join(" · ")));
    const legend = film.utterances.length ? "curve: probability · band: doubt, the chance that the decision is wrong · dotted: threshold"
      + " · bar below: decided to be there" : "";
    byId("legend").textContent = legend;
  }

  transcript() {
    const go = (time) => { this.player.time = time; };
    this.items = this.film.utterances.map((utterance) => {
      const spans = utterance.words.map(([word, start, end, sure]) => start === null ? el("span", {}, word)
        : el("button", { type: "button", tabindex: "-1", class: sure === 1 ? "w" : sure > 0 ? "w open" : "w guess", onclick: () => go(start) }, word));
      const chips = DATA.labels.flatMap((label, i) => {
        if (!utterance.yes[i]) return [];
        const chip = el("span", { class: utterance.sure[i] === 0 ? "chip unsure" : "chip" }, `${label} ${share(utterance.p[i])}${utterance.sure[i] === 0 ? " ?" : ""}`);
        chip.style.setProperty("--own", `var(--c${i % COLOURS})`);
        return [chip];
      });
      const missing = utterance.missing.map(([, text]) => el("p", { class: "missing" }, `missing: ${text}`));
      const said = el("p", { class: "said" }, ...(spans.length ? spans.flatMap((span) => [span, " "]) : [el("i", { class: "quiet" }, "no words")]));
      return { node: el("li", {}, el("button", { type: "button", class: "when", onclick: () => go(utterance.start) }, clock(utterance.start)),
        el("div", {}, utterance.speaker ? el("b", { class: "speaker" }, utterance.speaker) : "", said, el("p", { class: "chips" }, ...chips), ...missing)), spans };
    });
    byId("transcript").replaceChildren(...this.items.map((item) => item.node));
  }

  moved(time) {
    const { film } = this;
    byId("time").textContent = clock(time);
    const position = byId("position");
    if (document.activeElement !== position || !this.player.paused) position.value = time;
    position.setAttribute("aria-valuetext", `${clock(time)} of ${clock(film.seconds)}`);
    byId("play").textContent = this.player.paused ? "▶ Play" : "❚❚ Pause";
    const last = lastBefore(film.utterances, time), at = last >= 0 && time <= film.utterances[last].end ? last : -1;
    if (at !== this.at || last !== this.last) this.enter(at, last);
    if (at < 0) return;
    const word = lastBefore(film.utterances[at].words, time, (item) => (item[1] === null ? Infinity : item[1]));
    if (word !== this.word) this.say(at, word);
  }

  /** Show an utterance; between two of them (-1) the last one that began, or the first, as past. */
  enter(at, last) {
    if (this.at >= 0) this.items[this.at].node.classList.remove("here");
    this.leave();
    Object.assign(this, { at, last });
    const now = byId("now"), place = Math.max(last, 0), utterance = this.film.utterances[place];
    now.classList.toggle("past", at < 0);
    if (utterance) now.replaceChildren(...this.of(utterance, place));
    if (at < 0) return;
    const item = this.items[at].node, list = byId("transcript");
    item.classList.add("here");
    if (!this.player.paused || item.offsetTop < list.scrollTop || item.offsetTop > list.scrollTop + list.clientHeight) {
      list.scrollTop = item.offsetTop - list.clientHeight / 3;
    }
  }

  /** What was decided of one utterance. */
  of(utterance, at) {
    const caption = `from ${utterance.modalities.join(", ") || "no modality, so the shares of the labels in training are all there is"}`;
    const warning = utterance.unlike ? [el("p", { class: "refused" }, "Unlike anything that the network learned from: trust neither probabilities nor doubts.")] : [];
    const said = [...utterance.says, ...utterance.missing.map(([, text]) => `missing: ${text}`)];
    const modalities = DATA.modalities;
    return [el("h2", {}, this.film.timed ? `${clock(utterance.start)} – ${clock(utterance.end)}` : `line ${at + 1}`), ...warning,
      el("p", { class: "said" }, utterance.text || el("i", { class: "quiet" }, "no words")),
      decisionTable(DATA.labels, DATA.thresholds, modalities, utterance, caption),
      ...(said.length ? [el("ul", { class: "remarks" }, ...said.map((text) => el("li", {}, text)))] : [])];
  }

  leave() {
    if (this.word >= 0 && this.at >= 0) this.items[this.at].spans[this.word].classList.remove("now-said");
    this.word = -1;
  }

  say(at, word) {
    this.leave();
    this.word = word;
    if (word >= 0) this.items[at].spans[word].classList.add("now-said");
    const spoken = byId("spoken"), utterance = this.film.utterances[at];
    if (spoken) spoken.replaceChildren(...utterance.words.map(([text], i) => el("span", { class: i === word ? "now-said" : "" }, `${text} `)));
  }

  /** Go to the utterance before or after the one that plays. */
  step(by) {
    const { utterances } = this.film, time = this.player.time;
    const last = lastBefore(utterances, time + 0.01);
    const wanted = by > 0 ? last + 1 : last >= 0 && time - utterances[last].start > SECOND ? last : last - 1;
    if (utterances[wanted]) this.player.time = utterances[wanted].start;
  }
}

/** The whole recording in a few pixels: how strong each label is, and which part of the time line is in sight. */
class Overview {
  constructor(canvas, line, labels) {
    Object.assign(this, { canvas, line, labels, row: 7 });
    canvas.onpointerdown = (event) => { canvas.setPointerCapture(event.pointerId); this.go(event); };
    canvas.onpointermove = (event) => { if (event.buttons) this.go(event); };
    line.scroller.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.picture = null; this.soon(); });
    line.player.follow(() => this.soon());
  }

  go(event) { this.line.player.time = (event.offsetX / this.canvas.clientWidth) * this.line.film.seconds; }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    const { canvas, line } = this, ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = this.labels.length * this.row + 4;
    if (!width) return;
    if (!this.picture || this.picture.width !== Math.round(width * ratio)) {
      canvas.style.height = `${height}px`;
      this.picture = this.paint(width, height, ratio);
      canvas.width = this.picture.width;
      canvas.height = this.picture.height;
    }
    const brush = canvas.getContext("2d"), scale = width / line.film.seconds;
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.clearRect(0, 0, canvas.width, canvas.height);
    brush.drawImage(this.picture, 0, 0);
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    const from = line.timeAt(0) * scale, to = line.timeAt(line.width) * scale;
    brush.strokeStyle = line.colour.quiet;
    brush.lineWidth = 1.5;
    if (to - from < width - 2) brush.strokeRect(from + 1, 1, Math.max(to - from - 2, 2), height - 2);
    brush.fillStyle = line.colour.strong;
    brush.fillRect(line.player.time * scale - 1, 0, 2, height);
  }

  paint(width, height, ratio) {
    const picture = el("canvas"), brush = picture.getContext("2d"), { film } = this.line, scale = width / film.seconds;
    picture.width = Math.round(width * ratio);
    picture.height = Math.round(height * ratio);
    brush.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const utterance of film.utterances.filter((item) => item.modalities.length)) {
      const x = utterance.start * scale, wide = Math.max((utterance.end - utterance.start) * scale, 1);
      this.labels.forEach((_, i) => {
        brush.fillStyle = this.line.colour.labels[i % COLOURS];
        brush.globalAlpha = 0.06 + 0.94 * (utterance.p[i] / 1000) ** 1.5;
        brush.fillRect(x, 2 + i * this.row, wide, this.row - 1);
      });
    }
    return picture;
  }
}

function show(place) {
  if (view) { view.player.pause(); view.line.end(); }
  view = new View(DATA.films[place]);
  view.player.rate = Number(byId("speed").value);
}

byId("play").onclick = () => view.player.toggle();
byId("back").onclick = () => view.step(-1);
byId("next").onclick = () => view.step(1);
byId("position").oninput = (event) => { view.player.time = Number(event.target.value); };
byId("speed").onchange = (event) => { view.player.rate = Number(event.target.value); };
byId("in").onclick = () => view.line.zoom(view.line.scale * 1.6);
byId("out").onclick = () => view.line.zoom(view.line.scale / 1.6);
byId("all").onclick = () => view.line.zoom(0);
if (byId("recording")) byId("recording").onchange = (event) => show(Number(event.target.value));
const KEYS = { " ": () => view.player.toggle(), ArrowLeft: () => { view.player.time -= SECOND; }, ArrowRight: () => { view.player.time += SECOND; },
  j: () => view.step(-1), k: () => view.step(1), "+": () => byId("in").click(), "-": () => byId("out").click() };
document.addEventListener("keydown", (event) => {
  const { target } = event, typing = target.closest("input, select, textarea, video, audio");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  if (event.key === " " && target.closest("button, summary, a")) return;
  event.preventDefault();
  KEYS[event.key]();
});
show(0);
