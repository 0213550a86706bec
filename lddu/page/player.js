"use strict";
// What the pages with a script share: elements, numbers as text, and what plays. Texts of a corpus become text, never markup.

const byId = (id) => document.getElementById(id);

/** A new element; `on…` are listeners, other attributes are set as they are, and children are elements or text. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Seconds as 1:02:03.4 */
function clock(seconds, digits = 1) {
  const unit = 10 ** digits, total = Math.floor(Math.max(0, seconds) * unit + 1e-6), whole = Math.floor(total / unit);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const head = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
  return `${head}:${two(whole % 60)}${digits ? "." + String(total % unit).padStart(digits, "0") : ""}`;
}

const share = (thousandths, digits = 2) => (thousandths === null ? "–" : (thousandths / 1000).toFixed(digits));
const percent = (thousandths) => (thousandths === null ? "–" : `${Math.round(thousandths / 10)} %`);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const several = (count, noun) => (count === 1 ? `1 ${noun}` : `${count} ${noun}s`);

function bytes(base64, Kind = Uint8Array) {
  const text = atob(base64), found = new Kind(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

/** The index of the last item that begins at or before a time, -1 where none does. */
function lastBefore(items, time, start = (item) => item.start) {
  let low = 0, high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start(items[middle]) <= time) low = middle + 1; else high = middle;
  }
  return low - 1;
}

/** Something with a time that runs: a film or sound from `start` to `end` of its file, or, without one, a mere clock. */
class Player {
  constructor(media, seconds, start = 0) {
    Object.assign(this, { media, seconds, start, since: null, at: 0, speed: 1, listeners: [] });
    if (media) {
      for (const name of ["play", "pause", "seeking", "seeked", "timeupdate", "loadedmetadata", "error", "ended"]) {
        media.addEventListener(name, () => this.tell());
      }
    }
  }

  get time() {
    if (this.media) return Math.min(Math.max(this.media.currentTime - this.start, 0), this.seconds);
    const run = this.since === null ? 0 : (this.speed * (performance.now() - this.since)) / 1000;
    return Math.min(this.at + run, this.seconds);
  }

  set time(seconds) {
    const wanted = Math.min(Math.max(seconds, 0), this.seconds);
    if (this.media) this.media.currentTime = this.start + wanted;
    this.at = wanted;
    if (this.since !== null) this.since = performance.now();
    this.tell();
  }

  get paused() { return this.media ? this.media.paused : this.since === null; }

  play() {
    if (this.time >= this.seconds - 0.05) this.time = 0;
    if (this.media) this.media.play().catch(() => this.tell());
    else { this.since = performance.now(); this.tell(); }
  }

  pause() {
    if (this.media) this.media.pause();
    else { this.at = this.time; this.since = null; this.tell(); }
  }

  toggle() { if (this.paused) this.play(); else this.pause(); }

  set rate(speed) {
    if (this.media) this.media.playbackRate = speed;
    else { this.at = this.time; if (this.since !== null) this.since = performance.now(); }
    this.speed = speed;
  }

  /** Call `listener` with the time now, at every change, and at every frame while it runs. */
  follow(listener) { this.listeners.push(listener); listener(this.time); }

  tell() {
    const time = this.time;
    if (!this.paused && time >= this.seconds - 1e-3) this.pause();
    for (const listener of this.listeners) listener(time);
    if (!this.paused && !this.running) {
      this.running = true;
      requestAnimationFrame(() => { this.running = false; this.tell(); });
    }
  }
}

/** A row for each label: probability, decision, doubt, truth, and σ of each modality. */
function decisionTable(labels, thresholds, modalities, utterance, caption) {
  const knows = utterance.true.some((value) => value !== null);
  const head = ["label", "probability", "decided", "doubt", ...(knows ? ["true"] : [])];
  const named = (m) => el("th", { scope: "col" }, el("span", { class: `m ${m}` }, "σ", el("br"), m));
  const rows = labels.map((label, i) => {
    const yes = utterance.yes[i] === 1, unsure = utterance.sure[i] === 0, truth = utterance.true[i];
    const filled = el("u"), mark = el("i");
    filled.style.width = `${utterance.p[i] / 10}%`;
    const bar = el("span", { class: yes ? "bar yes" : "bar", "aria-hidden": "true" }, filled);
    if (thresholds[i] !== null) { mark.style.left = `${100 * thresholds[i]}%`; bar.append(mark); }
    for (const m of utterance.alone ? modalities : []) {
      const alone = utterance.alone[m] ? utterance.alone[m][i] : null;
      if (alone === null) continue;
      const tick = el("s", { class: m, title: `${m} alone: ${share(alone)}` });
      tick.style.left = `${alone / 10}%`;
      bar.append(tick);
    }
    const right = truth === null ? "" : (truth === 1) === yes ? "hit" : "miss";
    const decided = el("span", { class: right }, yes ? "yes" : "no");
    return el("tr", {}, el("th", { scope: "row" }, label),
      el("td", {}, el("span", { class: "p" }, bar, share(utterance.p[i]))),
      el("td", {}, decided, unsure ? el("span", { class: "quiet" }, " unsure") : ""),
      el("td", {}, percent(utterance.doubt[i])),
      ...(knows ? [el("td", {}, truth === null ? "–" : el(truth ? "b" : "span", {}, truth ? "yes" : "no"))] : []),
      ...modalities.map((m) => el("td", {}, sigmaCell(m, utterance.sigma[m] ? utterance.sigma[m][i] : null))));
  });
  return el("table", { class: "decisions" }, el("caption", { class: "quiet" }, caption),
    el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col" }, name)), ...modalities.map(named))),
    el("tbody", {}, ...rows));
}

function sigmaCell(m, quantile) {
  if (quantile === null) return el("span", { class: "quiet" }, "–", el("span", { class: "unseen-text" }, " absent"));
  const bar = el("u");
  bar.style.setProperty("--q", `${quantile / 10}%`);
  return el("span", { class: `q ${m}` }, bar, `${Math.round(quantile / 10)}`);
}
