// What a query answered: as a sheet or a chart, to copy and to download.

import { request } from "./api.js";
import { button, h, notice, replace, saveFile } from "./dom.js";
import { bytes, count, duration, rowsOf } from "./format.js";
import { chartOf, emptyState, faultBox, loading } from "./panel.js";
import { RowStore, sheet } from "./sheet.js";
import { isNumber } from "./table.js";

const CHARTED = 5000; // rows fetched for a chart
const MOST_SERIES = 12; // lines that a chart is split into unasked
const CHARTS = { bar: "Bars", line: "Lines", scatter: "Points", heatmap: "Heat map" };

/** A result of `query`. `chart` is what is drawn of it, or null for the table; `onChart(chart)` hears of every choice. */
export class QueryResult {
  constructor(query, { signal, chart, onChart }) {
    this.query = query;
    this.store = new RowStore(query, signal);
    this.chart = chart;
    this.onChart = onChart;
    this.drawn = chart; // the chart that was shown last, also once the table is shown again
    this.place = h("div", null);
  }

  /** The nodes to show, once the first rows are there. */
  async nodes() {
    await this.store.have(1);
    this.tabs = h("div.segments", { role: "group", "aria-label": "Show the result as" }, ["table", "chart"].map((kind) =>
      h("button", { type: "button", onclick: () => this.choose(kind === "chart" ? this.drawn ?? chartFor(this.store.columns) : null) }, kind === "table" ? "Table" : "Chart")));
    this.show();
    return [h("div.row.spread", null, this.tabs,
      h("div.row", null,
        button("Copy rows", { icon: "copy", quiet: true, onclick: () => this.grid?.copyAll() }),
        button("CSV", { icon: "download", quiet: true, "aria-label": "Download as CSV", onclick: () => this.download("csv") }),
        button("Parquet", { icon: "download", quiet: true, "aria-label": "Download as Parquet", onclick: () => this.download("parquet") }))),
    this.place];
  }

  facts() {
    const { query } = this;
    const seconds = query.ended_at && query.started_at ? (new Date(query.ended_at) - new Date(query.started_at)) / 1000 : null;
    return [
      h("span.badge.good", null, rowsOf(this.store.total)),
      seconds !== null && h("span", null, seconds < 1 ? `${Math.round(seconds * 1000)} ms` : duration(seconds)),
      query.bytes_scanned !== null && query.bytes_scanned !== undefined && h("span", null, `${bytes(query.bytes_scanned)} scanned`),
      query.cost_usd > 0 && h("span", null, `$${query.cost_usd.toFixed(4)}`),
      query.reused && h("span", null, "reused a recent result"),
      query.truncated && h("span.badge.warn", null, "cut at the row limit"),
    ];
  }

  choose(chart) {
    this.chart = chart;
    this.onChart(chart);
    this.show();
  }

  /** Draw it (again): a canvas that was out of the page is blank. */
  show() {
    const [asTable, asChart] = this.tabs.children;
    asTable.setAttribute("aria-pressed", String(!this.chart));
    asChart.setAttribute("aria-pressed", String(Boolean(this.chart)));
    replace(this.place, this.chart ? this.charted() : this.table());
  }

  table() {
    if (!this.store.total) return emptyState(["No rows", "The query answered no rows."]);
    this.grid = sheet(this.store);
    this.grid.element.addEventListener("too-many", ({ detail }) =>
      notice(`${count(this.store.total)} rows are too many to sort here: add ORDER BY ${detail} to the query.`));
    return this.grid.element;
  }

  async download(format) {
    notice(`Preparing the ${format} file…`);
    try {
      const answer = await request(`queries/${this.query.query_id}/download`, { query: { format, csv: "excel" }, accept: "*/*" });
      const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? `${this.query.query_id}.${format}`;
      saveFile(await answer.blob(), name);
    } catch (fault) {
      notice(fault.message, { bad: true });
    }
  }

  /** The chart with its choices. */
  charted() {
    const { columns } = this.store;
    const names = columns.map(({ name }) => name);
    const chosen = { ...chartFor(columns), ...this.chart };
    for (const axis of ["x", "y"]) if (!names.includes(chosen[axis])) chosen[axis] = chartFor(columns)[axis];
    const place = h("div", null, loading());
    const series = h("select", { onchange: () => set("by", series.value) }, [["", "nothing"], ...names.map((name) => [name, name])].map(([value, text]) => h("option", { value }, text)));
    const draw = async () => {
      await this.store.have(CHARTED);
      const rows = this.store.rows.slice(0, CHARTED);
      chosen.by = names.includes(chosen.by) || chosen.by === "" ? chosen.by : seriesOf(columns, rows, chosen);
      series.value = chosen.by;
      this.drawn = chosen;
      const records = rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index]])));
      replace(place, chartOf({ columns, rows, records }, hintOf(chosen, names), `${chosen.kind} of ${chosen.y} by ${chosen.x}`, { titled: true }),
        this.store.total > CHARTED && h("p.muted.small", null, `Of the first ${count(CHARTED)} rows.`));
    };
    const redraw = () => draw().catch((fault) => replace(place, faultBox(fault)));
    const set = (name, value) => {
      chosen[name] = value;
      this.chart = chosen;
      this.onChart(chosen);
      redraw();
    };
    const choose = (name, title, options) => h("label.field", null, title, h("select", { onchange: (event) => set(name, event.target.value) },
      options.map(([value, text]) => h("option", { value, selected: chosen[name] === value }, text))));
    const all = names.map((name) => [name, name]);
    redraw();
    return h("div.stack", null,
      h("div.selectors", null,
        choose("kind", "Chart", Object.entries(CHARTS)), choose("x", "Across", all), choose("y", "Value", all), h("label.field", null, "Split by (or rows)", series)),
      place);
  }

  /** What a report that is saved of this result says of its chart. */
  hint(kind) {
    const names = this.store.columns.map(({ name }) => name);
    if (this.drawn?.kind === kind) return hintOf(this.drawn, names);
    if (kind === "table" || kind === "number" || names.length < 2) return { kind };
    const { x, y } = chartFor(this.store.columns);
    return { kind, x, y };
  }
}

function hintOf({ kind, x, y, by }, names) {
  return kind === "heatmap" ? { kind, x, y: by || names[1] || names[0], value: y } : { kind, x, y, series: by || undefined };
}

/** The chart that suits columns of these types. */
function chartFor(columns) {
  const numeric = columns.filter(({ type }) => isNumber(type)).map(({ name }) => name);
  const x = columns.find(({ name }) => !numeric.includes(name)) ?? columns[0];
  const y = numeric.find((name) => name !== x.name) ?? columns.find(({ name }) => name !== x.name)?.name ?? x.name;
  return { kind: /date|timestamp/.test(x.type) || /^(day|week|month|year)/.test(x.name) ? "line" : "bar", x: x.name, y };
}

/** The column that tells apart the rows of one place on the axis: one line for each of its values. "" for none. */
export function seriesOf(columns, rows, { x, y }) {
  const at = columns.findIndex(({ name }) => name === x);
  if (new Set(rows.map((row) => row[at])).size === rows.length) return "";
  const found = columns.findIndex(({ name, type }, index) =>
    name !== x && name !== y && /^(varchar|char|boolean)/.test(type) && new Set(rows.map((row) => row[index])).size <= MOST_SERIES);
  return found < 0 ? "" : columns[found].name;
}
