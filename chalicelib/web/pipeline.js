// The pipeline page: what ran, what waits, what was lost or refused, how fresh the tables are; and its buttons.

import { get, pause, send } from "./api.js";
import { announce, button, h, icon, notice, replace } from "./dom.js";
import { ago, bytes, count, duration, instant, moment, words } from "./format.js";
import { importDrop } from "./imports.js";
import { faultBox, loading, panel, reportPanel } from "./panel.js";
import { selection } from "./state.js";

const STATE_KINDS = { succeeded: "good", partial: "warn", failed: "bad", running: "busy", queued: "busy", skipped: "", unavailable: "warn" };
const POLL_RUNNING = 1000; // ms between looks while a run goes on
const POLL_IDLE = 15_000; // ms otherwise

export async function render(main, { signal }) {
  const page = new Pipeline(signal);
  replace(main, page.element);
  page.follow();
}

class Pipeline {
  constructor(signal) {
    this.signal = signal;
    this.busy = null;
    this.opened = new Set();
    this.figures = h("dl.figures", null, [1, 2, 3, 4, 5].map(() => h("div.figure", null, h("dt", null, " "), h("dd", null, h("div.skeleton.line")))));
    this.runs = h("div", null, loading(160));
    this.crawl = h("div.small.muted", { role: "status" });
    this.runButton = button("Start a run", { icon: "play", primary: true, onclick: () => this.startRun() });
    this.crawlButton = button("Refresh the catalogue", { icon: "refresh", onclick: () => this.startCrawl() });
    this.importer = importDrop({ signal, onImported: () => this.refreshData() });
    this.tables = panel({
      title: "Freshness", hint: "Every table with its newest data", viewName: "Table", signal, wide: "",
      load: async (stop) => tablesResult(await get("tables", {}, stop)), view: (result) => this.tableOfTables(result),
      empty: "No table yet: start a run or import an export.",
    });
    this.quality = reportPanel({
      report: "dashboard_quality", title: "Quality checks", hint: "Checks that found something, worst first", viewName: "Table", signal,
      view: qualityTable, empty: ["All is well", "Every check passed on everything that came in."],
    });
    this.holes = reportPanel({
      report: "dashboard_holes", title: "Holes", hint: "Times between which plays may have been lost: more than 50 plays between two runs", viewName: "Table", signal,
      view: holesTable, empty: ["None", "No play was lost between two runs."],
    });
    this.rejected = reportPanel({
      report: "dashboard_rejected", title: "Rejected rows", hint: "What was not published, and why", viewName: "Table", signal,
      view: rejectedTable, empty: ["None", "Nothing was rejected."],
    });
    this.element = h("div", null,
      h("div.page-head", null,
        h("div", null, h("h1", null, "Pipeline"), h("p.lead", null, "From Spotify’s answers to the tables: what came in, what is left, and what to do about it.")),
        h("div.row", null, this.runButton, this.crawlButton)),
      h("div.stack", null,
        this.figures,
        h("section.panel", { "aria-labelledby": "runs-title" }, h("div.panel-head", null, h("h2", { id: "runs-title" }, "Runs"), this.crawl), this.runs),
        h("div.grid", null,
          h("section.panel.half", { "aria-labelledby": "import-title" }, h("h2", { id: "import-title" }, "Import your history"), this.importer.element),
          half(this.holes), half(this.quality), half(this.rejected), this.tables)));
    this.acceptDrops();
  }

  /** Look again and again while the page is open, often while something goes on. */
  async follow() {
    try {
      for (;;) {
        await this.look();
        await pause(this.busy ? POLL_RUNNING : POLL_IDLE, this.signal);
        while (document.hidden) await pause(1000, this.signal);
      }
    } catch (fault) {
      if (fault.name !== "AbortError") replace(this.runs, faultBox(fault, () => this.follow()));
    }
  }

  async look() {
    const [{ runs }, health, crawl] = await Promise.all([
      get("runs", { limit: 25 }, this.signal), get("health", {}, this.signal), this.latestCrawl(),
    ]);
    if (this.waiting && runs.some((run) => run.run_id === this.waiting)) this.waiting = null;
    const wasBusy = this.busy;
    const going = runs.find((run) => run.state === "running" || run.state === "queued");
    this.busy = going?.run_id ?? this.waiting ?? null;
    this.runButton.disabled = Boolean(this.busy);
    this.showRuns(runs);
    this.showFigures(runs, health);
    this.showCrawl(crawl);
    if (wasBusy && !this.busy) {
      const ended = runs.find((run) => run.run_id === wasBusy);
      const text = ended ? `The run ${ended.state}: ${count(ended.items)} items with ${count(ended.calls)} calls.` : "The run has ended.";
      notice(text, { bad: ended?.state === "failed" });
      this.refreshData();
    }
  }

  async latestCrawl() {
    return get("crawls/latest", {}, this.signal).catch((fault) => {
      if (fault.status === 404) return null;
      throw fault;
    });
  }

  refreshData() {
    for (const one of [this.tables, this.quality, this.holes, this.rejected]) one.refresh();
  }

  // --- showing ---

  showFigures(runs, health) {
    const last = runs.find((run) => run.ended_at);
    const newest = runs[0];
    const waits = (newest?.sources ?? []).filter((source) => source.not_before && instant(source.not_before) > Date.now());
    const until = waits.map((source) => source.not_before).sort().at(-1);
    const left = (newest?.sources ?? []).filter((source) => source.left);
    const authorised = (newest?.authorizations ?? []).toSorted((a, b) => a.ends_at.localeCompare(b.ends_at))[0];
    const warnings = [...new Set([...(newest?.warnings ?? []), ...(health.warnings ?? []).map((each) => each.message ?? String(each))])];
    replace(this.figures,
      figure("Last run", last ? ago(last.ended_at) : "none yet", last && [h("span.badge", { class: STATE_KINDS[last.state] }, last.state)]),
      figure("Brought by it", last ? count(last.items) : "–", last && `items with ${count(last.calls)} calls, ${bytes(last.bytes)}`),
      figure("Left to fetch", left.length ? `${left.length} ${left.length === 1 ? "source" : "sources"}` : "nothing", left.map((source) => `${words(source.source)}: ${grouped(source.left)}`).join("; ")),
      figure("Spotify asks to wait", until ? `until ${moment(until, selection().timezone).split(", ").at(-1)}` : "no", waits.map((source) => words(source.source)).join(", ")),
      figure("Authorisation", authorised ? `${ago(authorised.authorized_at).replace(" ago", "")} old` : newest ? "none" : "–",
        authorised ? `ends ${moment(authorised.ends_at, selection().timezone, { dateStyle: "medium" })}` : newest && "log in with python -m chalicelib login"));
    if (warnings.length || this.warnings) replace(this.warnings ??= this.addWarnings(), warnings.map((text) => h("p.caution", null, text)));
  }

  addWarnings() {
    const place = h("div.stack", { role: "status" });
    this.figures.after(place);
    return place;
  }

  showRuns(runs) {
    if (!runs.length) {
      return replace(this.runs, h("div.state", null, h("strong", null, "Nothing has run yet"),
        h("p", null, "Start a run to fetch what Spotify knows of you now. If nobody has logged in yet, do that first: ", h("code", null, "python -m chalicelib login"), ".")));
    }
    const told = JSON.stringify(runs);
    if (told === this.told && !this.busy) return this.runs; // opened rows and the keyboard's place stay
    this.told = told;
    const held = document.activeElement?.closest("[data-run]")?.dataset.run;
    const { timezone } = selection();
    const heads = ["Started", "State", "Took", "Calls", "Items", "New", "Waited", "Holes", "Left"];
    replace(this.runs, h("div.table-wrap", { tabindex: "0", role: "region", "aria-label": "Runs" }, h("table.runs", null,
      h("thead", null, h("tr", null, heads.map((text, index) => h("th", { scope: "col", class: index > 1 && index < 8 ? "right" : "" }, text)))),
      h("tbody", null, runs.map((run) => this.runRows(run, timezone))))));
    if (held) this.runs.querySelector(`[data-run="${held}"] button`)?.focus();
    return this.runs;
  }

  runRows(run, timezone) {
    const open = this.opened.has(run.run_id);
    const took = run.ended_at ? (instant(run.ended_at) - instant(run.started_at)) / 1000 : run.started_at ? (Date.now() - instant(run.started_at)) / 1000 : null;
    const left = (run.sources ?? []).filter((source) => source.left).length;
    const toggle = h("button.button.quiet", { type: "button", "aria-expanded": String(open), onclick: () => {
      if (!this.opened.delete(run.run_id)) this.opened.add(run.run_id);
      const rows = this.runRows(run, timezone);
      const row = toggle.closest("tr");
      while (row.nextElementSibling?.classList.contains("sources")) row.nextElementSibling.remove();
      row.replaceWith(...rows.filter(Boolean));
      this.runs.querySelector(`[data-run="${run.run_id}"] button`)?.focus();
    } }, `${open ? "▾" : "▸"} ${run.started_at ? moment(run.started_at, timezone) : "starting"}`);
    const row = h("tr", { "data-run": run.run_id }, h("td", null, toggle),
      h("td", null, h("span.badge", { class: STATE_KINDS[run.state] ?? "" }, run.state)),
      [duration(took), count(run.calls), count(run.items), count((run.sources ?? []).reduce((sum, source) => sum + (source.new_items ?? 0), 0)),
        run.waited_seconds ? duration(run.waited_seconds) : "0", count(run.holes?.length ?? 0)].map((text) => h("td.right", null, text)),
      h("td", null, left ? `${left} ${left === 1 ? "source" : "sources"}` : run.ended_at ? "nothing" : ""));
    return open ? [row, this.sourcesRow(run, timezone)] : [row];
  }

  sourcesRow(run, timezone) {
    const more = h("p.muted.small", null, "…");
    get(`runs/${run.run_id}`, {}, this.signal).then((whole) => {
      const waiting = whole.to_transform?.length ?? 0;
      replace(more, [
        whole.mode && `${words(whole.mode)} mode`, whole.trigger && `started by ${whole.trigger}`, `${bytes(whole.bytes)} of answers`,
        waiting ? `${count(waiting)} raw objects still to transform` : "everything is transformed", whole.run_id,
      ].filter(Boolean).join(" · "));
    }, () => replace(more));
    const heads = ["Source", "State", "Calls", "Items", "New", "Waited", "Not before", "Left", "Error"];
    return h("tr.sources", null, h("td", { colspan: "9" },
      run.error && h("p.fault", null, run.error.message ?? JSON.stringify(run.error)),
      run.warnings?.map((text) => h("p.caution", null, text)),
      h("table", null,
        h("thead", null, h("tr", null, heads.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", null, (run.sources ?? []).map((source) => h("tr", null,
          h("th", { scope: "row" }, words(source.source)),
          h("td", null, h("span.badge", { class: STATE_KINDS[source.state] ?? "" }, source.state)),
          [count(source.calls), count(source.items), count(source.new_items), source.waited_seconds ? duration(source.waited_seconds) : ""].map((text) => h("td.right", null, text)),
          h("td", null, source.not_before ? moment(source.not_before, timezone) : ""),
          h("td.wide", null, grouped(source.left ?? "")),
          h("td.wide", null, source.error?.message ?? ""))))),
      more));
  }

  showCrawl(crawl) {
    this.crawlButton.disabled = crawl?.state === "running";
    if (!crawl) return replace(this.crawl, "The catalogue has not been refreshed yet.");
    const changes = (crawl.changes ?? []).length;
    const text = crawl.state === "running" ? "The catalogue is being refreshed…" : `Catalogue refreshed ${ago(crawl.ended_at)}: ${changes ? `${changes} changes` : "nothing new"}.`;
    return replace(this.crawl, text, crawl.error && h("span", null, ` ${crawl.error}`));
  }

  tableOfTables({ records }) {
    const heads = ["Table", "Rows", "Size", "Files", "Newest data", "What it holds"];
    return h("div.table-wrap.tall", { tabindex: "0", role: "region", "aria-label": "Tables" }, h("table", null,
      h("thead", null, h("tr", null, heads.map((text, index) => h("th", { scope: "col", class: index > 0 && index < 4 ? "right" : "" }, text)))),
      h("tbody", null, records.map((table) => h("tr", null,
        h("th", { scope: "row" }, h("code", null, table.name)),
        h("td.right", null, count(table.rows)), h("td.right", null, bytes(table.bytes)), h("td.right", null, count(table.files)),
        h("td", null, table.newest ? h("span", { title: moment(table.newest, selection().timezone) }, ago(table.newest)) : h("span.muted", null, "no data yet")),
        h("td.wide.muted", null, table.description))))));
  }

  // --- doing ---

  async startRun() {
    this.runButton.disabled = true;
    try {
      const run = await send("POST", "runs", {}, this.signal);
      this.waiting = this.busy = run.run_id;
      announce("run started");
      await this.look();
      while (this.busy && !this.signal.aborted) {
        await pause(POLL_RUNNING, this.signal);
        await this.look();
      }
    } catch (fault) {
      if (fault.name === "AbortError") return;
      this.runButton.disabled = false;
      notice(fault.message, { bad: true });
    }
  }

  async startCrawl() {
    this.crawlButton.disabled = true;
    try {
      this.showCrawl(await send("POST", "crawls", {}, this.signal));
      for (let crawl = { state: "running" }; crawl.state === "running";) {
        await pause(400, this.signal);
        crawl = (await this.latestCrawl()) ?? { state: "running" };
        this.showCrawl(crawl);
      }
      this.tables.refresh();
    } catch (fault) {
      if (fault.name === "AbortError") return;
      this.crawlButton.disabled = false;
      notice(fault.message, { bad: true });
    }
  }

  /** A file dropped anywhere on the page is an import. */
  acceptDrops() {
    const { signal } = this;
    let veil = null;
    const hasFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const lift = () => {
      veil?.remove();
      veil = null;
    };
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      veil ??= document.body.appendChild(h("div.drop-veil", null, h("span", null, icon("upload"), " Drop to import")));
    }, { signal });
    addEventListener("dragleave", (event) => { if (event.relatedTarget === null) lift(); }, { signal });
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      lift();
      this.importer.take(event.dataTransfer.files);
    }, { signal });
  }
}

function half(section) {
  section.classList.add("half");
  return section;
}

function figure(name, value, more) {
  return h("div.figure", null, h("dt", null, name), h("dd.text", null, value), more && h("dd.change", { class: "small" }, more));
}

/** The numbers within a text as all others are written. */
function grouped(text) {
  return String(text).replace(/\d{4,}/g, (digits) => count(digits));
}

function tablesResult({ tables }) {
  return { columns: [], rows: tables, records: tables };
}

function qualityTable({ records }) {
  return simple("Quality checks", ["Table", "Check", "Severity", "Failed", "Checked", "Last seen"], records.map((row) => [
    row.table_name, row.check_name, h("span.badge", { class: row.severity === "warn" ? "warn" : "bad" }, row.severity), count(row.failures), count(row.rows_checked), ago(row.last_seen),
  ]));
}

function holesTable({ records }) {
  const { timezone } = selection();
  return simple("Holes", ["After", "Before", "Found"], records.map((row) => [moment(row.window_start, timezone), moment(row.window_end, timezone), row.detail ?? ""]));
}

function rejectedTable({ records }) {
  return simple("Rejected rows", ["When", "Table", "Reason", "Content"], records.map((row) => [
    ago(row.observed_at), row.table_name, row.reason, row.content ? h("details", null, h("summary", null, "show"), h("code", null, row.content)) : "",
  ]));
}

function simple(label, heads, rows) {
  return h("div.table-wrap", { tabindex: "0", role: "region", "aria-label": label }, h("table", null,
    h("thead", null, h("tr", null, heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell) => h("td.wide", null, cell)))))));
}
