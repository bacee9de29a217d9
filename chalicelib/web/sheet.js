// The table of a large result: only the rows in sight are in the page, and pages of rows are fetched as they are
// needed. Arrow keys move, Shift extends, Ctrl+C copies, Enter on a heading sorts.

import { get } from "./api.js";
import { announce, copyText, h, replace } from "./dom.js";
import { count } from "./format.js";
import { cellText, isNumber } from "./table.js";

const ROW = 28; // px, as in style.css
const PAGE = 10_000; // rows of one request, the API's most
const SPARE = 12; // rows drawn above and below what is in sight
const MOST_SORTED = 200_000; // rows sorted here; more are for ORDER BY
const MOST_ROWS = 1_000_000; // rows a browser can scroll over (its tallest element is about 33 million px)

/** Rows of one query, fetched in order and kept. */
export class RowStore {
  constructor(query, signal) {
    this.query = query;
    this.signal = signal;
    this.total = query.rows ?? 0;
    this.rows = [];
    this.columns = query.columns ?? [];
    this.token = null;
    this.ended = false;
    this.fetching = null;
  }

  /** Have at least `wanted` rows, or all there are. */
  async have(wanted) {
    while (this.rows.length < wanted && !this.ended) {
      this.fetching ??= this.more().finally(() => { this.fetching = null; });
      await this.fetching;
    }
  }

  async more() {
    const first = this.rows.length === 0;
    const query = { limit: first ? 500 : PAGE, page_token: this.token };
    const page = await get(`queries/${this.query.query_id}/rows`, query, this.signal);
    this.columns = page.columns;
    for (const row of page.rows) this.rows.push(row);
    this.token = page.next_page_token;
    this.ended = !this.token;
    if (this.ended || this.rows.length > this.total) this.total = this.rows.length;
  }
}

/** A scrolling grid over a RowStore: {element, order(), copyAll()}. */
export function sheet(store, { label = "Rows of the result" } = {}) {
  const columns = store.columns;
  const widths = columns.map((column, index) => widthOf(column, store.rows, index));
  let order = null; // permutation when sorted
  let sorted = { column: -1, down: false };
  let active = { row: 0, column: 0 };
  let anchor = { row: 0, column: 0 };
  const total = () => Math.min(store.total, MOST_ROWS);

  const head = h("div.sheet-head", { role: "row", "aria-rowindex": "1" });
  const body = h("div.sheet-body", { role: "rowgroup" });
  const element = h("div.sheet", {
    role: "grid", tabindex: "0", "aria-label": label, "aria-rowcount": total() + 1, "aria-colcount": columns.length,
    "aria-multiselectable": "true", onscroll: () => requestAnimationFrame(draw), onkeydown: onKey, onmousedown: onMouse,
  }, h("div", { role: "rowgroup" }, head), body);

  function drawHead() {
    replace(head,
      h("div.sheet-cell.index", { role: "columnheader", "aria-label": "Row" }, "#"),
      columns.map((column, index) => {
        const direction = sorted.column === index ? (sorted.down ? "descending" : "ascending") : "none";
        const mark = { ascending: " ↑", descending: " ↓", none: "" }[direction];
        return h("div", { role: "columnheader", "aria-sort": direction, style: { "--w": `${widths[index]}px` } },
          h("button", { type: "button", tabindex: "-1", title: `Sort by ${column.name}`, onclick: () => sortBy(index), class: isNumber(column.type) ? "right" : "", style: { "--w": `${widths[index]}px` } },
            `${column.name}${mark}`, h("small", null, column.type)),
          h("span.widen", { "aria-hidden": "true", onmousedown: (event) => widen(event, index) }));
      }));
  }

  function draw() {
    body.style.height = `${total() * ROW}px`;
    const top = Math.max(0, Math.floor(element.scrollTop / ROW) - SPARE);
    const bottom = Math.min(total(), Math.ceil((element.scrollTop + element.clientHeight) / ROW) + SPARE);
    const shown = [];
    for (let at = top; at < bottom; at++) shown.push(rowAt(at));
    replace(body, shown);
    element.setAttribute("aria-activedescendant", `${id}-${active.row}-${active.column}`);
    if (!order && bottom > store.rows.length && !store.ended) store.have(bottom).then(draw, () => {});
  }

  const id = `sheet-${Math.random().toString(36).slice(2, 8)}`;

  function rowAt(at) {
    const row = store.rows[order ? order[at] : at];
    const cells = columns.map((column, index) => {
      const value = row?.[index];
      const text = row === undefined ? "…" : cellText(value);
      const chosen = inRange(at, index);
      return h("div.sheet-cell", {
        role: "gridcell", id: `${id}-${at}-${index}`, "aria-colindex": index + 1, "aria-selected": chosen ? "true" : "false", "data-at": `${at},${index}`,
        class: [isNumber(column.type) && "right", chosen && "chosen", at === active.row && index === active.column && "active", text === null && "null"].filter(Boolean).join(" "),
        style: { "--w": `${widths[index]}px` },
      }, text ?? "null");
    });
    return h("div.sheet-row", { role: "row", "aria-rowindex": at + 2, style: { top: `${at * ROW}px` } },
      h("div.sheet-cell.index", { role: "rowheader" }, count(at + 1)), cells);
  }

  function inRange(row, column) {
    const between = (value, a, b) => value >= Math.min(a, b) && value <= Math.max(a, b);
    return between(row, anchor.row, active.row) && between(column, anchor.column, active.column);
  }

  function onKey(event) {
    const steps = {
      ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1],
      PageDown: [Math.floor(element.clientHeight / ROW) - 2, 0], PageUp: [2 - Math.floor(element.clientHeight / ROW), 0],
    };
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "c") copySelection();
    else if (control && event.key === "a") {
      anchor = { row: 0, column: 0 };
      active = { row: total() - 1, column: columns.length - 1 };
      draw();
    } else if (event.key === "Home") go(control ? 0 : active.row, 0, event.shiftKey);
    else if (event.key === "End") go(control ? total() - 1 : active.row, columns.length - 1, event.shiftKey);
    else if (event.key === "Enter" && !control) sortBy(active.column);
    else if (steps[event.key]) go(active.row + steps[event.key][0], active.column + steps[event.key][1], event.shiftKey);
    else return;
    event.preventDefault();
  }

  function go(row, column, extend) {
    active = { row: clamp(row, total() - 1), column: clamp(column, columns.length - 1) };
    if (!extend) anchor = active;
    const top = active.row * ROW;
    const headHeight = head.offsetHeight;
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top + ROW + headHeight > element.scrollTop + element.clientHeight) element.scrollTop = top + ROW + headHeight - element.clientHeight;
    const left = widths.slice(0, active.column).reduce((sum, width) => sum + width, 0);
    if (left < element.scrollLeft) element.scrollLeft = left;
    else if (left + widths[active.column] + 72 > element.scrollLeft + element.clientWidth) element.scrollLeft = left + widths[active.column] + 72 - element.clientWidth;
    draw();
  }

  function onMouse(event) {
    const at = event.target.closest?.("[data-at]")?.dataset.at;
    if (!at) return;
    const [row, column] = at.split(",").map(Number);
    active = { row, column };
    if (!event.shiftKey) anchor = active;
    draw();
  }

  async function copySelection() {
    const [top, bottom] = [anchor.row, active.row].sort((a, b) => a - b);
    const [left, right] = [anchor.column, active.column].sort((a, b) => a - b);
    await store.have(bottom + 1);
    const lines = [];
    for (let at = top; at <= bottom; at++) {
      const row = store.rows[order ? order[at] : at] ?? [];
      lines.push(row.slice(left, right + 1).map(tsv).join("\t"));
    }
    await copyText(lines.join("\n"));
  }

  async function sortBy(column) {
    if (store.total > MOST_SORTED) {
      announce("too many rows to sort here");
      element.dispatchEvent(new CustomEvent("too-many", { bubbles: true, detail: columns[column].name }));
      return;
    }
    sorted = sorted.column === column ? (sorted.down ? { column: -1, down: false } : { column, down: true }) : { column, down: false };
    await store.have(store.total);
    order = sorted.column < 0 ? null : permutation(store.rows, column, columns[column].type, sorted.down);
    drawHead();
    draw();
    announce(sorted.column < 0 ? "not sorted" : `sorted by ${columns[column].name}, ${sorted.down ? "descending" : "ascending"}`);
  }

  function widen(event, index) {
    event.preventDefault();
    const start = event.clientX - widths[index];
    const move = (moved) => {
      widths[index] = Math.max(48, moved.clientX - start);
      drawHead();
      draw();
    };
    const stop = () => removeEventListener("mousemove", move);
    addEventListener("mousemove", move);
    addEventListener("mouseup", stop, { once: true });
  }

  drawHead();
  new ResizeObserver(draw).observe(element);
  return {
    element,
    copyAll: async () => {
      await store.have(Math.min(store.total, MOST_SORTED));
      const rows = order ? order.map((at) => store.rows[at]) : store.rows;
      await copyText([columns.map(({ name }) => name).join("\t"), ...rows.slice(0, MOST_SORTED).map((row) => row.map(tsv).join("\t"))].join("\n"));
    },
  };
}

/** Row numbers in the order of a column: by value, nulls last, ties as they were. */
export function permutation(rows, column, type, down) {
  const keys = rows.map((row) => keyOf(row[column], type));
  const order = Array.from(rows, (_, at) => at);
  const sign = down ? -1 : 1;
  return order.sort((a, b) => {
    const [x, y] = [keys[a], keys[b]];
    if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1;
    return (x < y ? -sign : x > y ? sign : 0) || a - b;
  });
}

function keyOf(value, type) {
  if (value === null || value === undefined) return null;
  if (isNumber(type)) return typeof value === "string" && /^-?\d{16,}$/.test(value) ? BigInt(value) : Number(value);
  if (typeof value === "object") return JSON.stringify(value);
  return typeof value === "boolean" ? Number(value) : value;
}

function widthOf(column, rows, index) {
  const texts = rows.slice(0, 60).map((row) => (cellText(row[index]) ?? "null").length);
  const longest = Math.max(column.name.length + 2, column.type.length * 0.85, ...texts);
  return Math.round(Math.min(360, Math.max(72, longest * 7.6 + 26)));
}

function tsv(value) {
  return (cellText(value) ?? "").replace(/[\t\n\r]+/g, " ");
}

function clamp(value, most) {
  return Math.max(0, Math.min(most, value));
}
