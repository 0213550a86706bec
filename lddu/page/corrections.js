// Corrections of clips: kept in this browser until they are saved as corrections.csv, or are seen in the corpus.

const EDITABLE = ["text", "start", "end", "split"]; // before the labels

class Corrections {
  /** `values(clip)` is what the corpus says of it, by column, as text. */
  constructor(place, clips, values, changed) {
    Object.assign(this, { place, values, changed, of: new Map(), kept: true });
    const known = new Map(clips.map((clip) => [clip.id, clip]));
    this.done = 0;
    for (const [id, cells] of Object.entries(this.read())) {
      for (const [column, cell] of Object.entries(cells)) {
        const clip = known.get(id);
        // A cell that has become what was wanted needs no correction any more; one of a clip that is gone is kept, and shown.
        if (clip && same(values(clip)[column], cell.new)) this.done += 1; else this.put(id, column, cell.old, cell.new);
      }
    }
    this.write();
  }

  read() {
    try {
      const tree = JSON.parse(localStorage.getItem(this.place) || "{}");
      return tree && typeof tree === "object" ? tree : {};
    } catch {
      this.kept = false;
      return {};
    }
  }

  write() {
    try {
      localStorage.setItem(this.place, JSON.stringify(Object.fromEntries([...this.of].map(([id, cells]) => [id, Object.fromEntries(cells)]))));
    } catch {
      this.kept = false;
    }
  }

  put(id, column, before, after) {
    if (!this.of.has(id)) this.of.set(id, new Map());
    this.of.get(id).set(column, { old: before, new: after });
  }

  /** One cell, as it was typed; back to what the corpus says takes the correction away. */
  set(clip, column, text) {
    const before = this.values(clip)[column];
    if (same(before, text)) this.drop(clip.id, column);
    else { this.put(clip.id, column, before, text); this.write(); this.changed(); }
  }

  drop(id, column) {
    const cells = this.of.get(id);
    if (!cells || !cells.delete(column)) return;
    if (!cells.size) this.of.delete(id);
    this.write();
    this.changed();
  }

  get(id, column) { const cell = this.of.get(id) && this.of.get(id).get(column); return cell ? cell.new : null; }
  get rows() { return [...this.of].flatMap(([id, cells]) => [...cells].map(([column, cell]) => [id, column, cell.old, cell.new])); }

  csv() {
    const quoted = (cell) => (/[",\r\n]/.test(cell) || cell !== cell.trim() ? `"${cell.replaceAll('"', '""')}"` : cell);
    const rows = [["clip_id", "column", "old", "new"], ...this.rows.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0))];
    return rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  }
}

/** Whether two cells say the same: texts without spaces around them, and numbers however they are written. */
function same(a, b) {
  const [x, y] = [String(a ?? "").trim(), String(b ?? "").trim()];
  return x === y || (x !== "" && y !== "" && Number(x) === Number(y));
}

/** The form of one clip. */
class Form {
  constructor(corrections, columns, labels) {
    Object.assign(this, { corrections, labels });
    const field = (column, input) => el("label", { class: `field ${EDITABLE.includes(column) ? column : "of-label"}` }, el("span", {}, column), input);
    this.inputs = new Map(columns.map((column) => [column, this.input(column)]));
    const first = columns.filter((column) => EDITABLE.includes(column)), rest = columns.filter((column) => !EDITABLE.includes(column));
    this.message = el("p", { class: "message", role: "status" });
    this.node = el("form", { class: "correct", onsubmit: (event) => event.preventDefault() }, el("h4", {}, "Correct this clip"),
      ...first.map((column) => field(column, this.inputs.get(column))),
      el("fieldset", {}, el("legend", {}, "labels: how strong, or the share of raters"), ...rest.map((column) => field(column, this.inputs.get(column)))),
      this.message);
  }

  input(column) {
    const attributes = { name: column, autocomplete: "off", oninput: (event) => this.typed(column, event.target.value) };
    if (column === "text") return el("textarea", { rows: 2, ...attributes });
    if (column === "split") return el("select", attributes, ...["train", "valid", "test", ""].map((name) => el("option", { value: name }, name || "none")));
    return el("input", { type: "text", inputmode: "decimal", size: 6, ...attributes });
  }

  show(clip) {
    this.clip = clip;
    const values = this.corrections.values(clip);
    for (const [column, input] of this.inputs) {
      const corrected = this.corrections.get(clip.id, column);
      input.value = corrected ?? (column === "text" && clip.heard ? clip.text : values[column]);
      input.disabled = (column === "start" || column === "end") && clip.start === null;
    }
    this.mark();
  }

  typed(column, text) {
    if (column === "text" && this.clip.heard && text.trim() === this.clip.text.trim()) this.corrections.drop(this.clip.id, column);
    else this.corrections.set(this.clip, column, text);
    this.mark();
  }

  mark() {
    for (const [column, input] of this.inputs) input.classList.toggle("changed", this.corrections.get(this.clip.id, column) !== null);
    this.message.textContent = this.problem();
  }

  /** What the corpus' rules will refuse. */
  problem() {
    const value = (column) => (this.inputs.has(column) ? this.inputs.get(column).value.trim() : "");
    const numbers = ["start", "end", ...this.labels].filter((column) => value(column) !== "" && !Number.isFinite(Number(value(column))));
    if (numbers.length) return `${numbers.join(", ")}: a number is expected`;
    if (value("end") !== "" && Number(value("end")) <= Number(value("start"))) return "the end must be after the start";
    const blank = this.labels.filter((label) => value(label) === "");
    return blank.length && blank.length < this.labels.length ? `${blank.join(", ")}: give all labels a value, or none` : "";
  }
}
