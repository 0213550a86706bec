// The report's clips: a table that sorts and filters, the clip that was chosen beside it, and corrections.

const DATA = JSON.parse(byId("data").textContent);
const CLIPS = DATA.clips.map((row) => Object.fromEntries(DATA.columns.map((name, i) => [name, row[i]])));
const LEAST = 0.001; // probability that a cross-entropy is taken of, at least
const PICTURES = 60; // of a clip, at most
let label = -1; // the label that the table is about, -1: all
let stage = null; // what plays

const mean = (values) => { const known = values.filter((x) => x !== null && x !== undefined); return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null; };
const ofLabel = (values) => (label < 0 ? mean(values) : values[label]);
const each = DATA.labels.map((_, i) => i);
const looked = () => (label < 0 ? each : [label]);
const isWrong = (clip, i) => clip.true[i] !== null && clip.true[i] !== clip.yes[i];
const wrong = (clip) => looked().filter((i) => isWrong(clip, i)).length;
const known = (clip) => looked().some((i) => clip.true[i] !== null);

function surprise(clip, i) {
  if (clip.true[i] === null) return null;
  return -Math.log(Math.max(LEAST, (clip.true[i] ? clip.p[i] : 1000 - clip.p[i]) / 1000));
}

/** How far the readings of single modalities are apart, on the label where they are farthest. */
function conflict(clip, labels = looked()) {
  let most = null;
  for (const i of labels) {
    const read = clip.modalities.map((m) => clip.alone[m][i]).filter((p) => p !== null);
    if (read.length > 1) most = Math.max(most ?? 0, Math.max(...read) - Math.min(...read));
  }
  return most;
}

const error = (clip) => mean(looked().map((i) => surprise(clip, i)));
const sigma = (clip, m) => (clip.sigma[m] ? ofLabel(clip.sigma[m]) : null);

function chips(clip, holds, decided = false) {
  return looked().filter(holds).map((i) => {
    const unsure = decided && clip.sure[i] === 0;
    const chip = el("span", { class: unsure ? "chip unsure" : "chip" }, DATA.labels[i], unsure ? " ?" : "");
    chip.style.setProperty("--own", `var(--c${i % COLOURS})`);
    return chip;
  });
}

const share2 = (value) => (value === null ? "–" : (value / 1000).toFixed(2));
const COLUMNS = [
  { name: "clip", about: "its id", kind: "id", value: (c) => c.id, cell: (c) => [corrections.of.has(c.id) ? el("b", { class: "pen", title: "corrected" }, "✎ ") : "", c.id], down: false },
  { name: "decided", about: "labels that were decided to be there; with ? where the decision is unsure", kind: "labels", value: (c) => ofLabel(c.p), cell: (c) => [label < 0 ? "" : `${share2(c.p[label])} `, ...chips(c, (i) => c.yes[i] === 1, true)] },
  { name: "true", about: "labels that are there", kind: "labels", value: (c) => (known(c) ? looked().filter((i) => c.true[i]).length : null), cell: (c) => (known(c) ? chips(c, (i) => c.true[i] === 1) : el("span", { class: "quiet" }, "unknown")) },
  { name: "wrong", about: "decisions that are wrong", kind: "number", value: (c) => (known(c) ? wrong(c) : null), cell: (c) => (known(c) ? el("span", { class: wrong(c) ? "miss" : "hit" }, wrong(c) || "✓") : "–") },
  { name: "error", about: "cross-entropy: how surprised the probability is by the truth", kind: "number", value: (c) => error(c), cell: (c) => (error(c) === null ? "–" : error(c).toFixed(2)) },
  { name: "doubt", about: "the chance that a decision is wrong, mean of the labels", kind: "number", value: (c) => ofLabel(c.doubt), cell: (c) => percent(ofLabel(c.doubt)) },
  { name: "conflict", about: "how far what single modalities say of a label is apart", kind: "number", value: (c) => conflict(c), cell: (c) => share2(conflict(c)) },
  ...DATA.modalities.map((m) => ({ name: `σ ${m}`, about: `σ of ${m}, as a percentile of the training clips`, kind: `number ${m}`, value: (c) => sigma(c, m), cell: (c) => sigmaCell(m, sigma(c, m)) })),
  { name: "words", about: "what is said", kind: "said", value: (c) => c.text.toLowerCase() || null, cell: (c) => c.text, down: false },
  { name: "split", about: "which split it is in", kind: "number", value: (c) => c.split, cell: (c) => (c.split === "other" ? "–" : c.split), down: false },
  { name: "missing", about: "what a stage could not do", kind: "said", value: (c) => c.missing.length, cell: (c) => (c.missing.length ? el("span", { title: c.missing.join("\n") }, c.missing.map((text) => text.split(",")[0]).join("; ")) : "") },
];
const at = (name) => COLUMNS.findIndex((column) => column.name === name);
const SHOWN = {
  "all clips": () => true,
  "wrong decisions": (c) => wrong(c) > 0,
  "false alarms": (c) => looked().some((i) => c.true[i] === 0 && c.yes[i]),
  "missed labels": (c) => looked().some((i) => c.true[i] === 1 && !c.yes[i]),
  "unsure decisions": (c) => looked().some((i) => c.sure[i] === 0),
  "decided to be there": (c) => looked().some((i) => c.yes[i]),
  "truly there": (c) => looked().some((i) => c.true[i]),
  "without a label": (c) => !known(c),
  "something missing": (c) => c.missing.length > 0 || c.modalities.length < DATA.modalities.length,
  corrected: (c) => corrections.of.has(c.id),
};
const VIEWS = {
  "All clips": () => choose("all clips", "clip", false),
  "Most doubtful first": () => choose("all clips", "doubt", true),
  "Modalities disagree": () => choose("all clips", "conflict", true),
  "Wrong and sure": () => choose("wrong decisions", "error", true),
};

/** What the corpus says of a clip, by column, as text. */
function valuesOf(clip) {
  const number = (value) => (value === null || value === undefined ? "" : String(Number(value.toFixed(6))));
  const labels = Object.fromEntries(DATA.labels.map((name, i) => [name, number(clip.intensities[i])]));
  return { text: clip.given, start: number(clip.start), end: number(clip.end), split: clip.table_split === "other" ? "" : clip.table_split, ...labels };
}

const corrections = new Corrections(`lddu corrections of ${DATA.corpus} in ${location.pathname}`, CLIPS, valuesOf, () => tell());
const table = new LongTable(byId("table"), "clips", COLUMNS, (clip, byHand) => open(clip, byHand));
const form = DATA.correctable.length ? new Form(corrections, DATA.correctable, DATA.labels) : null;

function choose(shown, column, down) {
  byId("shown").value = shown;
  filter();
  table.sort(at(column), down);
  if (table.order.length) table.select(table.order[0]);
}

function filter() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean), split = byId("split").value, test = SHOWN[byId("shown").value];
  const rows = CLIPS.filter((clip) => {
    if (split && clip.split !== split) return false;
    const text = `${clip.id} ${clip.speaker} ${clip.text} ${clip.missing.join(" ")}`.toLowerCase();
    return words.every((word) => text.includes(word)) && test(clip);
  });
  table.show(rows);
  byId("count").textContent = rows.length === CLIPS.length ? several(rows.length, "clip") : `${rows.length} of ${several(CLIPS.length, "clip")}`;
}

/** The clip that was chosen: it plays beside its time line. */
function open(clip, byHand) {
  if (stage) { stage.player.pause(); stage.line.end(); }
  const screen = byId("screen"), remark = byId("remark");
  const media = clip.source ? el(clip.picture ? "video" : "audio", { controls: true, preload: "auto", src: clip.source, "aria-label": clip.id, playsinline: true }) : null;
  screen.replaceChildren(media || el("p", { class: "nothing" }, clip.remark || (clip.start === null ? "This clip has only text." : "Nothing is played here.")));
  remark.textContent = media ? clip.remark : "";
  if (media) {
    media.addEventListener("loadedmetadata", () => { media.currentTime = clip.from; }, { once: true });
    media.addEventListener("error", () => { remark.textContent = "The film is not where it was, or this browser cannot play it: with report.media: copy, a small copy lies beside the page."; });
  }
  byId("clip").textContent = clip.id;
  const facts = [clip.seconds ? `${clip.seconds.toFixed(1)} s` : "", clip.split === "other" ? "without split" : clip.split, clip.speaker ? `spoken by ${clip.speaker}` : "", clip.heard ? "words heard by Whisper" : ""];
  byId("clip-facts").textContent = facts.filter(Boolean).join(" · ");
  byId("clip-said").textContent = clip.text;
  byId("clip-missing").replaceChildren(...clip.missing.map((text) => el("li", {}, text)));
  const caption = clip.modalities.length ? `from ${clip.modalities.join(", ")}; ticks in the bar: what each of them says alone` : "from no modality: the shares of the labels in training";
  byId("clip-decisions").replaceChildren(decisionTable(DATA.labels, DATA.thresholds, DATA.modalities, clip, caption));
  const player = new Player(media, clip.seconds || 1, clip.from);
  const peaks = clip.peaks && clip.seconds ? bytes(clip.peaks) : null;
  const wave = peaks && { rate: peaks.length / clip.seconds, low: Int8Array.from(peaks, (x) => -(x >> 1)), high: Int8Array.from(peaks, (x) => x >> 1) };
  const line = new TimeLine(byId("line"), { seconds: clip.seconds || 1, utterances: [{ ...clip, start: 0, end: clip.seconds, missing: [] }], wave, faces: [], pictures: Boolean(media && clip.picture) }, player);
  byId("line").hidden = !clip.seconds;
  stage = { player, line, clip };
  if (line.film.pictures && clip.seconds) takePictures(clip, line);
  if (form) form.show(clip);
  byId("detail").hidden = false;
  if (byHand && media) player.play();
  if (byHand && innerWidth < 1000) byId("detail").scrollIntoView({ block: "start" });
}

/** Pictures of the clip along its time line, taken from its film while it is looked at. */
function takePictures(clip, line) {
  const film = el("video", { preload: "auto", muted: true, src: clip.source }), side = LANES.faces - 6;
  const each = (side + 1) / line.scale, count = Math.min(Math.ceil(clip.seconds / each), PICTURES);
  const times = Array.from({ length: count }, (_, i) => Math.min((i + 0.5) * each, clip.seconds));
  const next = () => {
    if (stage.line !== line || !times.length) { film.removeAttribute("src"); film.load(); return; }
    film.currentTime = clip.from + times[0];
  };
  film.addEventListener("loadedmetadata", next, { once: true });
  film.addEventListener("seeked", () => {
    const picture = el("canvas", { width: 2 * side, height: 2 * side }), part = Math.min(film.videoWidth, film.videoHeight);
    if (part) {
      picture.getContext("2d").drawImage(film, (film.videoWidth - part) / 2, (film.videoHeight - part) / 2, part, part, 0, 0, 2 * side, 2 * side);
      line.film.faces.push([line.film.faces.length * each + 1e-6, picture]);
      times.shift();
      line.soon();
    } else times.length = 0;
    next();
  });
}

/** The list of corrections, and how to take them into the corpus. */
function tell() {
  const { rows } = corrections, ids = new Set(CLIPS.map((clip) => clip.id));
  byId("corrections").hidden = !rows.length && !corrections.done;
  byId("save").textContent = `Save corrections.csv (${rows.length})`;
  byId("save").disabled = !rows.length;
  byId("corrected").replaceChildren(...rows.map(([id, column, before, after]) => el("tr", {}, el("th", { scope: "row" }, id, ids.has(id) ? "" : " (gone)"), el("td", {}, column),
    el("td", {}, before || "blank"), el("td", {}, after || "blank"), el("td", {}, el("button", { type: "button", onclick: () => { corrections.drop(id, column); if (form && stage) form.show(stage.clip); } }, "undo", el("span", { class: "unseen-text" }, ` ${column} of ${id}`))))));
  const notes = [corrections.done ? `${several(corrections.done, "correction")} made here before ${corrections.done === 1 ? "is" : "are"} in the corpus now.` : "",
    corrections.kept ? "" : "This browser keeps nothing: save the corrections before you leave the page."];
  byId("corrections-note").textContent = notes.filter(Boolean).join(" ");
  table.refresh();
}

function save() {
  const link = el("a", { href: URL.createObjectURL(new Blob([corrections.csv()], { type: "text/csv" })), download: "corrections.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

for (const name of Object.keys(SHOWN)) byId("shown").append(el("option", {}, name));
for (const name of DATA.splits) byId("split").append(el("option", { value: name }, name === "other" ? "without split" : name));
DATA.labels.forEach((name, i) => byId("label").append(el("option", { value: i }, name)));
for (const [name, view] of Object.entries(VIEWS)) byId("views").append(el("button", { type: "button", "aria-pressed": "false", onclick: (event) => {
  for (const button of byId("views").children) button.setAttribute("aria-pressed", button === event.target);
  view();
} }, name));
byId("search").oninput = filter;
byId("split").onchange = byId("shown").onchange = filter;
byId("label").onchange = (event) => { label = Number(event.target.value); filter(); };
byId("save").onclick = save;
byId("before").onclick = () => table.step(-1);
byId("after").onclick = () => table.step(1);
if (form) byId("form").replaceChildren(form.node);
filter();
table.sort(at("clip"), false);
tell();
if (table.order.length) table.select(table.order[0]);
