// The SQL page: catalogue, editor, result as a sheet or a chart, history.

import { get, request, send } from "./api.js";
import { announce, button, copyText, h, notice, replace, saveFile } from "./dom.js";
import { makeEditor } from "./editor.js";
import { ago, bytes, count, duration, moment, rowsOf } from "./format.js";
import { chartOf, emptyState, faultBox, loading } from "./panel.js";
import { forgetReports, waitFor } from "./reports.js";
import { RowStore, sheet } from "./sheet.js";
import { href, selection } from "./state.js";
import { isNumber } from "./table.js";

const DRAFT = "lake-sql-draft"; // in sessionStorage, so that leaving the page loses nothing
const FIRST = `SELECT artist_name, count_if(play_seconds >= 30) AS plays, round(sum(ms) / 3600000.0, 1) AS hours
FROM heard
GROUP BY artist_name
ORDER BY plays DESC
LIMIT 100`;
const CHARTED = 5000; // rows fetched for a chart
const MOST_SERIES = 12; // lines that a chart is split into unasked
const LISTED = 100; // queries of the history, newest first

export async function render(main, { signal }) {
  const bench = new Workbench(signal);
  replace(main, bench.element);
  bench.start();
}

class Workbench {
  constructor(signal) {
    this.signal = signal;
    this.query = null;
    this.store = null;
    this.editor = makeEditor({
      text: sessionStorage.getItem(DRAFT) || FIRST,
      onRun: () => this.run(),
      onChange: (text) => sessionStorage.setItem(DRAFT, text),
    });
    this.runButton = button("Run", { icon: "play", primary: true, onclick: () => this.run() });
    this.cancelButton = button("Cancel", { icon: "stop", danger: true, onclick: () => this.cancel() });
    this.cancelButton.hidden = true;
    this.facts = h("div.result-facts", { role: "status" });
    this.result = h("div.stack", null, emptyState(["No result yet", "Run the query with Ctrl+Enter. Tables and columns complete as you type."]));
    this.catalogue = h("aside.panel.catalogue", { "aria-label": "Tables" }, h("h2", null, "Tables"), loading(120));
    this.history = h("div", null);
    this.pages = h("input", { type: "checkbox", onchange: () => this.showHistory() });
    this.element = h("div", null,
      h("div.page-head", null, h("div", null, h("h1", null, "SQL"),
        h("p.lead", null, "Athena’s dialect, read-only, over every table of the lake. The same SQL works on your computer and on AWS."))),
      h("div.workbench", null, this.catalogue,
        h("div.stack", null,
          h("section.panel", { "aria-label": "Query" }, this.editor.element,
            h("div.row.spread", null,
              h("div.row", null, this.runButton, this.cancelButton,
                button("Save as report", { icon: "save", onclick: () => this.save() }),
                button("Copy", { icon: "copy", quiet: true, onclick: () => copyText(this.editor.text()) })),
              h("span.muted.small.for-keyboards", null, h("kbd", null, "Ctrl"), " ", h("kbd", null, "Enter"), " runs"))),
          h("section.panel", { "aria-label": "Result" }, this.facts, this.result),
          h("section.panel", { "aria-labelledby": "history-title" },
            h("div.panel-head", null, h("h2", { id: "history-title" }, "History"),
              h("div.row", null, h("label.row.small.muted", null, this.pages, "With those of reports"),
                button("Refresh", { icon: "refresh", quiet: true, onclick: () => this.showHistory() }))),
            this.history))));
  }

  async start() {
    this.showHistory();
    try {
      const { tables } = await get("tables", {}, this.signal);
      this.editor.setTables(tables);
      this.showCatalogue(tables);
    } catch (fault) {
      if (fault.name !== "AbortError") replace(this.catalogue, h("h2", null, "Tables"), faultBox(fault));
    }
  }

  showCatalogue(tables) {
    const shown = tables.map((table) => h("details", null,
      h("summary", null, table.name, " ", h("small", null, table.rows === null || table.rows === undefined ? "" : count(table.rows))),
      h("p.muted.small", null, table.description),
      h("ul", null, table.columns.map((column) => h("li", null,
        h("button", { type: "button", title: column.description || column.name, onclick: () => this.editor.insert(column.name) },
          column.name, " ", h("small", null, column.type)))))));
    replace(this.catalogue, h("h2", null, "Tables"), tables.length ? shown : h("p.muted", null, "No table yet: start a run on the pipeline page."));
  }

  // --- running ---

  async run() {
    const sql = this.editor.text().trim();
    if (!sql || this.running) return;
    this.editor.markFault(null);
    this.setRunning(true);
    this.query = null;
    const started = performance.now();
    replace(this.result, loading(200));
    const tick = setInterval(() => this.showProgress(started), 100);
    try {
      const query = await send("POST", "queries", { sql }, this.signal);
      this.query = query;
      if (this.cancelled) await this.cancel();
      const ended = await waitFor(query, this.signal, (now) => { this.query = now; });
      await this.showResult(ended, sql);
      announce(rowsOf(ended.rows));
    } catch (fault) {
      if (fault.name === "AbortError") return;
      this.showFault(fault);
    } finally {
      clearInterval(tick);
      this.setRunning(false);
      this.showHistory();
    }
  }

  setRunning(running) {
    this.running = running;
    this.cancelled = false;
    this.runButton.disabled = running;
    this.cancelButton.hidden = !running;
  }

  showProgress(started) {
    const state = this.query?.state === "queued" ? "Waiting for a free slot" : "Running";
    replace(this.facts, h("span.badge.busy", null, state), h("span.number", null, `${((performance.now() - started) / 1000).toFixed(1)} s`));
  }

  async cancel() {
    this.cancelled = true;
    if (!this.query) return;
    await send("DELETE", `queries/${this.query.query_id}`).catch((fault) => notice(fault.message, { bad: true }));
  }

  showFault(fault) {
    if (fault.code === "query_cancelled") {
      replace(this.facts, h("span.badge.warn", null, "Cancelled"));
      replace(this.result, emptyState(["Cancelled", "The query was cancelled."]));
      return;
    }
    const position = fault.details?.position;
    this.editor.markFault({ message: fault.message, position });
    replace(this.facts, h("span.badge.bad", null, "Failed"));
    replace(this.result, faultBox(fault), position?.line && h("p.muted.small", null, `Line ${position.line}, column ${position.column}; marked in the editor.`));
  }

  // --- the result ---

  async showResult(query, sql) {
    this.query = query;
    this.hint = null; // the chart of another result says nothing of this one
    this.store = new RowStore(query, this.signal);
    await this.store.have(1);
    const seconds = query.ended_at && query.started_at ? (new Date(query.ended_at) - new Date(query.started_at)) / 1000 : null;
    replace(this.facts,
      h("span.badge.good", null, rowsOf(this.store.total)),
      seconds !== null && h("span", null, seconds < 1 ? `${Math.round(seconds * 1000)} ms` : duration(seconds)),
      query.bytes_scanned !== null && query.bytes_scanned !== undefined && h("span", null, `${bytes(query.bytes_scanned)} scanned`),
      query.cost_usd > 0 && h("span", null, `$${query.cost_usd.toFixed(4)}`),
      query.reused && h("span", null, "reused a recent result"),
      query.truncated && h("span.badge.warn", null, "cut at the row limit"));
    const place = h("div", null);
    const show = (kind) => replace(place, kind === "chart" ? this.chart(sql) : this.sheet());
    const tabs = h("div.segments", { role: "group", "aria-label": "Show the result as" }, ["table", "chart"].map((kind) =>
      h("button", { type: "button", "aria-pressed": String(kind === "table"), onclick: (event) => {
        for (const other of tabs.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
        show(kind);
      } }, kind === "table" ? "Table" : "Chart")));
    replace(this.result,
      h("div.row.spread", null, tabs,
        h("div.row", null,
          button("Copy rows", { icon: "copy", quiet: true, onclick: () => this.grid?.copyAll() }),
          button("CSV", { icon: "download", quiet: true, "aria-label": "Download as CSV", onclick: () => this.download("csv") }),
          button("Parquet", { icon: "download", quiet: true, "aria-label": "Download as Parquet", onclick: () => this.download("parquet") }))),
      place);
    show("table");
  }

  sheet() {
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

  chart() {
    const { columns } = this.store;
    const numeric = columns.filter(({ type }) => isNumber(type)).map(({ name }) => name);
    const x = columns.find(({ name }) => !numeric.includes(name))?.name ?? columns[0].name;
    const chosen = { kind: /date|timestamp/.test(columns.find(({ name }) => name === x).type) || /^(day|week|month|year)/.test(x) ? "line" : "bar", x, y: numeric.find((name) => name !== x) ?? numeric[0] ?? columns[0].name, series: "" };
    const place = h("div", null, loading());
    const series = h("select", { onchange: () => {
      chosen.series = series.value;
      redraw();
    } });
    let guessed = false;
    const draw = async () => {
      await this.store.have(CHARTED);
      const rows = this.store.rows.slice(0, CHARTED);
      if (!guessed) {
        guessed = true;
        chosen.series = series.value = seriesOf(columns, rows, chosen);
      }
      const names = this.store.columns.map(({ name }) => name);
      const records = rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index]])));
      const hint = chosen.kind === "heatmap" ? { kind: "heatmap", x: chosen.x, y: chosen.series || names[1] || names[0], value: chosen.y } : { ...chosen, series: chosen.series || undefined };
      this.hint = hint;
      replace(place, chartOf({ columns: this.store.columns, rows, records }, hint, `${hint.kind} of ${chosen.y} by ${chosen.x}`, { titled: true }),
        this.store.total > CHARTED && h("p.muted.small", null, `Of the first ${count(CHARTED)} rows.`));
    };
    const redraw = () => draw().catch((fault) => replace(place, faultBox(fault)));
    const choose = (name, title, options) => h("label.field", null, title, h("select", { onchange: (event) => {
      chosen[name] = event.target.value;
      redraw();
    } }, options.map(([value, text]) => h("option", { value, selected: chosen[name] === value }, text))));
    const all = columns.map(({ name }) => [name, name]);
    replace(series, [["", "nothing"], ...all].map(([value, text]) => h("option", { value }, text)));
    redraw();
    return h("div.stack", null,
      h("div.selectors", null,
        choose("kind", "Chart", [["bar", "Bars"], ["line", "Lines"], ["scatter", "Points"], ["heatmap", "Heat map"]]),
        choose("x", "Across", all), choose("y", "Value", all), h("label.field", null, "Split by (or rows)", series)),
      place);
  }

  // --- saving and history ---

  save() {
    const field = (title, props) => {
      const input = h("input", { required: true, autocomplete: "off", ...props });
      return [input, h("label.field", null, title, input)];
    };
    const [name, nameField] = field("Name, for addresses", { pattern: "[a-z][a-z0-9_]*", placeholder: "my_report", maxlength: "64", title: "a small letter, then small letters, digits and _" });
    const [title, titleField] = field("Title", { maxlength: "120" });
    const [description, descriptionField] = field("What it answers", { maxlength: "300" });
    const kind = h("select", null, ["table", "bar", "line", "heatmap", "number"].map((value) => h("option", { value, selected: value === this.hint?.kind }, value)));
    const fault = h("div", null);
    const dialog = h("dialog", { "aria-labelledby": "save-title", onclose: () => dialog.remove() }, h("form", { onsubmit: async (event) => {
      event.preventDefault();
      try {
        await send("PUT", `reports/${name.value}`, { sql: this.reportText(title.value, description.value, kind.value) });
        forgetReports();
        dialog.close();
        notice("Saved.", { action: h("a.button", { href: href("reports", [name.value]) }, "Open it") });
      } catch (problem) {
        replace(fault, faultBox(problem));
      }
    } },
      h("h2", { id: "save-title" }, "Save as a report"), nameField, titleField, descriptionField,
      h("label.field", null, "Shown as", kind), fault,
      h("p.muted.small", null, "The lake keeps it as reports/NAME.sql; the command line and the API run it too."),
      h("div.row.end", null, button("Cancel", { onclick: () => dialog.close() }), button("Save", { primary: true, icon: "save", type: "submit" }))));
    document.body.append(dialog);
    dialog.showModal();
  }

  reportText(title, description, kind) {
    const quoted = (text) => JSON.stringify(text);
    const axes = this.hint?.kind === kind ? ["x", "y", "value", "series"].filter((axis) => this.hint[axis]).map((axis) => `, ${axis} = ${quoted(this.hint[axis])}`).join("") : this.defaultAxes(kind);
    const sql = this.editor.text().trim().replace(/^--/, "\n--");
    return `-- title = ${quoted(title)}\n-- description = ${quoted(description)}\n-- chart = {kind = ${quoted(kind)}${axes}}\n${sql}\n`;
  }

  defaultAxes(kind) {
    const columns = this.store?.columns ?? [];
    if (kind === "table" || kind === "number" || columns.length < 2) return "";
    const numeric = columns.filter(({ type }) => isNumber(type)).map(({ name }) => name);
    const x = columns.find(({ name }) => !numeric.includes(name))?.name ?? columns[0].name;
    const y = numeric.find((name) => name !== x) ?? columns[1].name;
    return `, x = ${JSON.stringify(x)}, y = ${JSON.stringify(y)}`;
  }

  async showHistory() {
    try {
      const { queries: all } = await get("queries", { limit: LISTED }, this.signal);
      const newest = new Map(all.toReversed().map((query) => [query.sql, query])); // the last of what was run again
      const queries = [...newest.values()].toReversed().filter(({ sql }) => this.pages.checked || !takesValues(sql));
      if (!queries.length) return replace(this.history, h("p.muted", null, "What you run is listed here for a day."));
      const { timezone } = selection();
      replace(this.history, h("div.table-wrap", { tabindex: "0", role: "region", "aria-label": "Queries" }, h("table", null,
        h("thead", null, h("tr", null, ["When", "SQL", "Result", ""].map((title) => h("th", { scope: "col" }, title || h("span.visually-hidden", null, "Actions"))))),
        h("tbody", null, queries.map((query) => this.historyRow(query, timezone))))));
    } catch (fault) {
      if (fault.name !== "AbortError") replace(this.history, faultBox(fault));
    }
    return undefined;
  }

  historyRow(query, timezone) {
    const kind = { failed: "bad", cancelled: "warn" }[query.state] ?? "busy";
    const text = query.sql.replace(/\s+/g, " ").trim();
    return h("tr", null,
      h("td", { title: moment(query.submitted_at, timezone) }, ago(query.submitted_at)),
      h("td.rest", { title: query.sql.slice(0, 2000) }, h("code", null, text.slice(0, 200))),
      h("td", null, query.state === "succeeded" ? [rowsOf(query.rows), h("span.muted", null, `, ${bytes(query.bytes_scanned)} read`)] : h("span.badge", { class: kind }, query.state)),
      h("td", null, h("div.row", null,
        button("Edit", { quiet: true, icon: "code", disabled: takesValues(query.sql), title: takesValues(query.sql) ? "It ran with parameters: open its report instead" : null, "aria-label": `Edit ${text.slice(0, 60)}`, onclick: () => {
          this.editor.setText(query.sql);
          this.editor.focus();
        } }),
        query.state === "succeeded" && button("Show", { quiet: true, icon: "table", "aria-label": `Show the result of ${text.slice(0, 60)}`, onclick: () => this.reopen(query) }),
        (query.state === "running" || query.state === "queued") && button("Cancel", { quiet: true, icon: "stop", onclick: async () => {
          await send("DELETE", `queries/${query.query_id}`).catch((fault) => notice(fault.message, { bad: true }));
          this.showHistory();
        } }))));
  }

  async reopen(query) {
    this.editor.setText(query.sql);
    try {
      await this.showResult(query, query.sql);
      this.result.scrollIntoView({ block: "nearest" });
    } catch (fault) {
      this.showFault(fault);
    }
  }
}

/** The column that tells apart the rows of one place on the axis: one line for each of its values. "" for none. */
export function seriesOf(columns, rows, { x, y }) {
  const at = columns.findIndex(({ name }) => name === x);
  if (new Set(rows.map((row) => row[at])).size === rows.length) return "";
  const found = columns.findIndex(({ name, type }, index) =>
    name !== x && name !== y && /^(varchar|char|boolean)/.test(type) && new Set(rows.map((row) => row[index])).size <= MOST_SERIES);
  return found < 0 ? "" : columns[found].name;
}

/** Whether a statement has `?` for values, outside strings and comments. */
function takesValues(sql) {
  return sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\//g, "").includes("?");
}
