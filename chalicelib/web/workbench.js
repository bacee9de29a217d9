// The SQL page: the catalogue, queries in tabs, and their history. What is run stands in the address.

import { get } from "./api.js";
import { button, h, replace } from "./dom.js";
import { count } from "./format.js";
import { keep, kept } from "./kept.js";
import { faultBox, loading } from "./panel.js";
import { chartOfAddress, queryHref } from "./query_copies.js";
import { historyPanel } from "./query_history.js";
import { QueryTab } from "./query_tab.js";
import { href } from "./state.js";

const TABS = "sql-tabs";
const MOST_TABS = 12;
const FIRST = `SELECT artist_name,
  count_if(play_seconds >= 30) AS plays,
  round(sum(ms) / 3600000.0, 1) AS hours
FROM heard
GROUP BY artist_name
ORDER BY plays DESC
LIMIT 100`;

export async function render(main, { signal, query }) {
  const bench = new Workbench(signal);
  replace(main, bench.element);
  bench.start(query);
}

class Workbench {
  constructor(signal) {
    this.signal = signal;
    this.tables = [];
    const { texts, chosen } = tabsBefore();
    this.tabs = texts.map((text) => this.make(text));
    this.chosen = this.tabs[chosen] ?? this.tabs[0];
    this.strip = h("div.tabs", { role: "tablist", "aria-label": "Queries", onkeydown: (event) => this.move(event) });
    this.place = h("div.stack", { id: "query", role: "tabpanel", tabindex: "-1" });
    this.catalogue = h("aside.panel.catalogue", { "aria-label": "Tables" }, h("h2", null, "Tables"), loading(120));
    this.history = historyPanel({ signal, onEdit: (sql) => this.edit(sql), onShow: (query) => this.chosen.reopen(query, (id) => this.ended(id)) });
    this.element = h("div", null,
      h("div.page-head", null, h("div", null, h("h1", null, "SQL"),
        h("p.lead", null, "Athena’s dialect, read-only, over every table of the lake. The same SQL works on your computer and on AWS. What you run stands in the address: a link shows the same."))),
      h("div.workbench", null, this.catalogue,
        h("div.stack", null, h("div.row.tab-row", null, this.strip, button("New query", { icon: "plus", quiet: true, bare: true, onclick: () => this.add("") })), this.place, this.history.element)));
  }

  async start({ q: sql, ...drawn }) {
    this.choose(this.chosen, { inAddress: false });
    if (sql) this.openAddress(sql, chartOfAddress(drawn));
    try {
      this.tables = (await get("tables", {}, this.signal)).tables;
      for (const tab of this.tabs) tab.editor.setTables(this.tables);
      this.showCatalogue();
    } catch (fault) {
      if (fault.name !== "AbortError") replace(this.catalogue, h("h2", null, "Tables"), faultBox(fault));
    }
  }

  // --- tabs ---

  make({ sql = "", chart = null, ran = null }) {
    const text = { sql, chart, ran };
    const tab = new QueryTab(text, { signal: this.signal, onChange: () => this.changed(tab), onNoted: () => this.history.refresh() });
    tab.editor.setTables(this.tables);
    return tab;
  }

  /** A query that the address brings: in the tab that has it, else in one that holds nothing, else in a new one. */
  openAddress(sql, chart) {
    const there = this.tabs.find(({ kept: { sql: text } }) => text.trim() === sql.trim()) ?? this.tabs.find(({ kept: { sql: text } }) => !text.trim() || text === FIRST);
    const tab = there ?? this.add(sql);
    this.choose(tab, { inAddress: false });
    tab.open(sql, chart);
  }

  add(sql) {
    const tab = this.make({ sql });
    this.tabs.push(tab);
    while (this.tabs.length > MOST_TABS) this.tabs.splice(this.tabs.findIndex((each) => each !== this.chosen && each !== tab), 1);
    this.choose(tab);
    tab.editor.focus();
    return tab;
  }

  close(tab) {
    const at = this.tabs.indexOf(tab);
    tab.cancelIfRunning();
    this.tabs.splice(at, 1);
    if (!this.tabs.length) this.tabs.push(this.make({}));
    this.choose(tab === this.chosen ? this.tabs[Math.max(0, at - 1)] : this.chosen);
    this.strip.querySelector("[aria-selected=true]").focus();
  }

  choose(tab, { inAddress = true } = {}) {
    const before = this.chosen;
    this.chosen = tab;
    if (before !== tab || !this.place.firstChild) replace(this.place, tab.element);
    tab.shown();
    this.remember({ inAddress });
  }

  changed(tab) {
    this.remember({ inAddress: tab === this.chosen });
  }

  /** Keep the tabs, and have what the shown one ran in the address. */
  remember({ inAddress }) {
    this.drawStrip();
    const now = { texts: this.tabs.map(({ kept: text }) => text), chosen: this.tabs.indexOf(this.chosen) };
    keep(TABS, now, sessionStorage); // of this tab of the browser, and of the next that is opened
    keep(TABS, now);
    const { ran, chart } = this.chosen.kept;
    if (inAddress && !this.signal.aborted) history.replaceState(null, "", ran ? queryHref(ran, chart) : href("sql"));
  }

  drawStrip() {
    const names = this.tabs.map(({ kept: { sql } }, at) => nameOf(sql) ?? `Query ${at + 1}`);
    const now = names.join("\n") + this.tabs.indexOf(this.chosen);
    if (now === this.drawn) return;
    this.drawn = now;
    replace(this.strip, this.tabs.map((tab, at) => h("span.tab", { role: "presentation" },
      h("button", { type: "button", role: "tab", id: `tab-${at}`, "aria-controls": "query", "aria-selected": String(tab === this.chosen), tabindex: tab === this.chosen ? "0" : "-1", onclick: () => this.choose(tab) }, names[at]),
      this.tabs.length > 1 && h("span.close", { "aria-hidden": "true", title: "Close (Delete)", onclick: () => this.close(tab) }, "×"))));
    this.place.setAttribute("aria-labelledby", `tab-${this.tabs.indexOf(this.chosen)}`);
  }

  /** The arrows go from tab to tab, Delete closes one. */
  move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Delete" && this.tabs.length > 1) this.close(this.chosen);
    else if (step) {
      this.choose(this.tabs[(this.tabs.indexOf(this.chosen) + step + this.tabs.length) % this.tabs.length]);
      this.strip.querySelector("[aria-selected=true]").focus();
    }
  }

  // --- catalogue and history ---

  showCatalogue() {
    const shown = this.tables.map((table) => h("details", null,
      h("summary", null, table.name, " ", h("small", null, table.rows === null || table.rows === undefined ? "" : count(table.rows))),
      h("p.small", null, h("a", { href: href("table", [table.name]) }, `Look into ${table.name}`)),
      h("p.muted.small", null, table.description),
      h("ul", null, table.columns.map((column) => h("li", null,
        h("button", { type: "button", title: column.description || column.name, onclick: () => this.chosen.editor.insert(column.name) },
          column.name, " ", h("small", null, column.type)))))));
    replace(this.catalogue, h("h2", null, h("a", { href: href("tables") }, "Tables")), this.tables.length ? shown : h("p.muted", null, "No table yet: start a run on the pipeline page."));
  }

  edit(sql) {
    this.chosen.editor.setText(sql);
    this.chosen.editor.focus();
  }

  async ended(id) {
    return get(`queries/${id}`, {}, this.signal);
  }
}

function tabsBefore() {
  const { texts, chosen } = kept(TABS, null, sessionStorage) ?? kept(TABS, { texts: [], chosen: 0 });
  return texts.length ? { texts, chosen } : { texts: [{ sql: FIRST }], chosen: 0 };
}

/** A tab's name: the table that its query reads first. */
function nameOf(sql) {
  return /\bfrom\s+"?([a-z_]\w*)/i.exec(sql)?.[1] ?? null;
}
