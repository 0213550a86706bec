// A table of any length: only the rows in sight are elements.

const ROW = 40, AROUND = 6; // pixels of a row; rows that are kept above and below those in sight

class LongTable {
  /** `columns`: name, about, value (to sort by), cell (what is shown), and whether the first click sorts downwards. */
  constructor(host, caption, columns, chosen) {
    Object.assign(this, { columns, chosen, rows: [], order: [], selected: null, key: null, down: true });
    this.head = columns.map((column, i) => el("th", { scope: "col", class: column.kind || null },
      el("button", { type: "button", title: column.about, onclick: () => this.clicked(i) }, column.name, el("span", { class: "arrow", "aria-hidden": "true" }))));
    this.above = el("tr", { class: "spacer", "aria-hidden": "true" }, el("td", { colspan: columns.length }));
    this.below = this.above.cloneNode(true);
    this.body = el("tbody", {});
    this.table = el("table", { class: "long" }, el("caption", { class: "unseen-text" }, caption), el("thead", {}, el("tr", {}, ...this.head)), this.body);
    this.scroller = el("div", { class: "long-scroll", tabindex: "0", role: "group", "aria-label": caption, onkeydown: (event) => this.pressed(event) }, this.table);
    this.scroller.addEventListener("scroll", () => this.soon(), { passive: true });
    new ResizeObserver(() => this.soon()).observe(this.scroller);
    host.replaceChildren(this.scroller);
  }

  clicked(i) { this.sort(i, this.key === i ? !this.down : this.columns[i].down !== false); }

  /** Show these rows, in the order that was chosen last. */
  show(rows) {
    this.rows = rows;
    this.arrange();
  }

  sort(i, down) {
    Object.assign(this, { key: i, down });
    this.head.forEach((cell, j) => {
      if (j === i) cell.setAttribute("aria-sort", down ? "descending" : "ascending"); else cell.removeAttribute("aria-sort");
      cell.querySelector(".arrow").textContent = j === i ? (down ? " ▼" : " ▲") : "";
    });
    this.arrange();
  }

  arrange() {
    this.order = [...this.rows];
    if (this.key !== null) {
      const { value } = this.columns[this.key], sign = this.down ? -1 : 1;
      const keys = new Map(this.order.map((row) => [row, value(row)]));
      // What has no value comes last, whichever way it is sorted.
      this.order.sort((a, b) => {
        const [x, y] = [keys.get(a), keys.get(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return x < y ? -sign : x > y ? sign : 0;
      });
    }
    this.table.setAttribute("aria-rowcount", this.order.length + 1);
    this.scroller.scrollTop = 0;
    this.drawn = null;
    this.draw();
  }

  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  /** Draw the rows in sight anew, where others are in sight than before. */
  draw() {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - AROUND);
    const last = Math.min(this.order.length, first + Math.ceil(this.scroller.clientHeight / ROW) + 2 * AROUND);
    const [from, to] = this.drawn || [0, 0];
    if (this.drawn && from === first && to === last) return;
    const lines = (begin, end) => this.order.slice(begin, end).map((row, i) => this.line(row, begin + i));
    this.above.firstChild.style.height = `${first * ROW}px`;
    this.below.firstChild.style.height = `${(this.order.length - last) * ROW}px`;
    if (!this.drawn || first >= to || last <= from) this.body.replaceChildren(this.above, ...lines(first, last), this.below);
    else { // rows that stay in sight stay as they are
      for (let i = from; i < first; i++) this.above.nextSibling.remove();
      for (let i = to; i > last; i--) this.below.previousSibling.remove();
      this.above.after(...lines(first, Math.max(first, from)));
      this.below.before(...lines(Math.min(to, last), last));
    }
    this.drawn = [first, last];
  }

  refresh() { this.drawn = null; this.draw(); }

  line(row, place) {
    return el("tr", { "aria-rowindex": place + 2, "aria-current": row === this.selected ? "true" : null, onclick: () => this.select(row, true) },
      ...this.columns.map((column, i) => (i ? el("td", { class: column.kind || null }, ...[column.cell(row)].flat())
        : el("th", { scope: "row" }, el("button", { type: "button", tabindex: "-1" }, ...[column.cell(row)].flat())))));
  }

  select(row, byHand = false) {
    this.selected = row;
    const at = this.order.indexOf(row), head = this.table.tHead.offsetHeight, view = this.scroller;
    if (at * ROW < view.scrollTop) view.scrollTop = at * ROW;
    if ((at + 1) * ROW + head > view.scrollTop + view.clientHeight) view.scrollTop = (at + 1) * ROW + head - view.clientHeight;
    this.refresh();
    this.chosen(row, byHand);
  }

  /** The row so many rows further down. */
  step(by) {
    const at = this.order.indexOf(this.selected), wanted = Math.min(Math.max(at + by, 0), this.order.length - 1);
    if (this.order.length && wanted !== at) this.select(this.order[wanted]);
  }

  pressed(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.target !== this.scroller || !steps[event.key]) return;
    event.preventDefault();
    this.step(steps[event.key]);
  }
}
