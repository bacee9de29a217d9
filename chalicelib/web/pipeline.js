// The pipeline page: what ran, what waits, what was lost or refused, how fresh the tables are; and its buttons.

import { get, pause, send } from "./api.js";
import { command, lakeCommand } from "./command.js";
import { announce, button, copyText, h, icon, notice, replace } from "./dom.js";
import { ago, bytes, count, duration, instant, moment, words } from "./format.js";
import { importDrop } from "./imports.js";
import { faultBox, loading, panel, reportPanel } from "./panel.js";
import { listenersPanel } from "./people.js";
import { selection } from "./state.js";

const GENRES_OFFER =
  "Spotify leaves genres empty for most apps: set MUSICBRAINZ_CONTACT to your e-mail address, and runs look ids and genres up at MusicBrainz, whose tags are under CC BY-NC-SA 3.0 (credit it, no commercial use).";
const STATE_KINDS = { succeeded: "good", partial: "warn", failed: "bad", running: "busy", queued: "busy", skipped: "", unavailable: "warn" };
const MOST_QUARANTINED = 50; // shown; there should be none
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
    this.refused = h("div"); // why a run that was asked for did not begin
    this.crawl = h("div.small.muted", { role: "status" });
    this.runButton = button("Start a run", { icon: "play", primary: true, onclick: () => this.startRun() });
    this.crawlButton = button("Refresh the catalogue", { icon: "refresh", onclick: () => this.startCrawl() });
    this.listeners = listenersPanel({ signal });
    this.importer = importDrop({ signal, onImported: () => this.refreshData() });
    this.tables = panel({
      title: "Freshness", hint: "Every table with its newest data; refreshed when something has arrived", viewName: "Table", signal, wide: "",
      load: async (stop) => tablesResult(await get("tables", {}, stop)), view: (result) => this.tableOfTables(result),
      empty: "No table yet: start a run or import an export.",
    });
    this.quarantine = panel({
      title: "Quarantine", hint: "What could not be read or believed: none of it is in the tables", viewName: "Table", signal,
      load: async (stop) => quarantineResult(await get("quarantine", { limit: MOST_QUARANTINED }, stop)), view: (result) => this.quarantined(result),
      empty: ["Empty", "Nothing is in quarantine."],
    });
    this.quality = reportPanel({
      report: "dashboard_quality", title: "Quality checks", hint: "Checks that found something, worst first", viewName: "Table", signal,
      view: qualityTable, empty: ["All is well", "No check has found anything."],
    });
    this.holes = reportPanel({
      report: "dashboard_holes", title: "Holes", hint: "Times between which plays may have been lost: more than 50 plays between two runs", viewName: "Table", signal,
      view: holesTable, empty: ["None", "No gap is known in which plays were lost."],
    });
    this.rejected = reportPanel({
      report: "dashboard_rejected", title: "Rejected rows", hint: "What was not published, and why", viewName: "Table", signal,
      view: rejectedTable, empty: ["None", "Nothing was rejected."],
    });
    this.element = h("div", null,
      h("div.page-head", null,
        h("div", null, h("h1", null, "Pipeline"), h("p.lead", null, "From Spotify’s answers to the tables: what came in, what is still to fetch, and what to do about faults.")),
        h("div.row", null, this.runButton, this.crawlButton)),
      h("div.stack", null,
        this.figures,
        h("section.panel", { "aria-labelledby": "runs-title" }, h("div.panel-head", null, h("h2", { id: "runs-title" }, "Runs"), this.crawl), this.refused, this.runs),
        h("div.grid", null,
          h("section.panel.half", { "aria-labelledby": "import-title" }, h("h2", { id: "import-title" }, "Import your history"), this.importer.element),
          this.listeners,
          half(this.holes), half(this.quality), half(this.rejected), this.quarantine, this.tables)));
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
    if (this.waiting) await this.lookForBegun(runs);
    const wasBusy = this.busy;
    const going = runs.find((run) => run.state === "running" || run.state === "queued");
    this.busy = going?.run_id ?? this.waiting ?? null;
    this.runButton.disabled = Boolean(this.busy);
    this.showRuns(runs);
    this.showFigures(runs, health);
    this.showCrawl(crawl);
    if (crawl?.crawl_id !== this.crawled && crawl?.state === "succeeded") {
      if (this.crawled) this.tables.refresh();
      this.crawled = crawl.crawl_id;
    }
    if (wasBusy && !this.busy) {
      const ended = runs.find((run) => run.run_id === wasBusy);
      const text = ended ? `The run ${ended.state}: ${count(ended.items)} items with ${count(ended.calls)} calls.` : "The run has ended.";
      notice(text, { bad: ended?.state === "failed" });
      this.refreshData();
    }
  }

  /** A run that was asked for is in the list once it has begun; one that never will says why. */
  async lookForBegun(runs) {
    if (runs.some((run) => run.run_id === this.waiting)) this.waiting = null;
    else {
      const asked = await get(`runs/${this.waiting}`, {}, this.signal);
      if (asked.state !== "failed") return;
      this.waiting = this.busy = null;
      replace(this.refused, faultBox(asked.error));
    }
  }

  async latestCrawl() {
    return get("crawls/latest", {}, this.signal).catch((fault) => {
      if (fault.status === 404) return null;
      throw fault;
    });
  }

  refreshData() {
    for (const one of [this.listeners, this.tables, this.quality, this.holes, this.rejected, this.quarantine]) one.refresh();
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
      figure("Left to fetch", left.length ? `${left.length} ${left.length === 1 ? "source" : "sources"}` : "nothing", [
        ...left.map((source) => `${words(source.source)}: ${grouped(source.left)}`), backlogWords(newest),
      ].filter(Boolean).join("; ")),
      figure("Spotify asks to wait", until ? `until ${moment(until, selection().timezone).split(", ").at(-1)}` : "no", waits.map((source) => words(source.source)).join(", ")),
      figure("Authorisation", authorised ? `${ago(authorised.authorized_at).replace(" ago", "")} old` : newest ? "none" : "–",
        authorised ? `ends ${moment(authorised.ends_at, selection().timezone, { dateStyle: "medium" })}` : newest && ["log in with ", command("login")]));
    this.tellCautions({ warnings: warnings.map((text) => h("p.caution", null, text)), genres: offerOfGenres(newest) });
  }

  /** What should not be overlooked stands below the figures: of `warnings` and of `quarantine`. */
  tellCautions(some) {
    this.cautions = { ...this.cautions, ...some };
    const all = Object.values(this.cautions).flat();
    if (!all.length && !this.cautioned) return;
    if (!this.cautioned) this.figures.after(this.cautioned = h("div.stack", { role: "status" }));
    replace(this.cautioned, all);
  }

  /** What is in quarantine, why, and what may be done about it. */
  quarantined({ records, more }) {
    const many = `${count(records.length)}${more ? " or more" : ""}`;
    const [noun, verb] = records.length === 1 && !more ? ["object", "is"] : ["objects", "are"];
    this.tellCautions({ quarantine: records.length ? [h("p.caution", null, `${many} ${noun} ${verb} in quarantine: `,
      h("button.linked", { type: "button", onclick: () => this.quarantine.scrollIntoView({ block: "center" }) }, "see which, and why"))] : [] });
    return h("div.stack", null,
      h("ul.held", null, records.map((one) => h("li", null,
        h("div", null,
          h("p", null, h("strong", null, `${words(one.code)}: `), one.message),
          h("p.muted.small", null, h("code", null, one.raw_key), ", ", h("span", { title: moment(one.since, selection().timezone) }, ago(one.since)))),
        remedyOf(one)))),
      h("p.muted.small", null, "The objects themselves are unaltered in ", h("code", null, "raw/"), ". Each leaves quarantine as soon as it can be published."));
  }

  showRuns(runs) {
    if (!runs.length) {
      return replace(this.runs, h("div.state", null, h("strong", null, "Nothing has run yet"),
        h("p", null, "Start a run to fetch what Spotify knows of you now. If nobody has logged in yet, do that first: ", command("login"), ".")));
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
    const quarantine = h("div.stack", { hidden: true });
    get(`runs/${run.run_id}`, {}, this.signal).then((whole) => {
      const waiting = whole.to_transform?.length ?? 0;
      const aside = whole.quarantined ?? [];
      quarantine.hidden = !aside.length;
      replace(quarantine, aside.map((one) => h("p.caution", null, h("code", null, one.raw_key), ` is in quarantine: ${one.message}`)));
      replace(more, [
        whole.mode && `${words(whole.mode)} mode`, whole.trigger && `started by ${whole.trigger}`, `${bytes(whole.bytes)} of answers`,
        waiting ? `${count(waiting)} raw objects still to transform` : aside.length ? "all the rest is transformed" : "everything is transformed", whole.run_id,
      ].filter(Boolean).join(" · "));
    }, () => replace(more));
    return h("tr.sources", null, h("td", { colspan: "9" }, h("div.stack", null,
      run.error && h("p.fault", null, run.error.message ?? JSON.stringify(run.error)),
      run.warnings?.map((text) => h("p.caution", null, text)),
      quarantine,
      h("table", null,
        h("thead", null, h("tr", null, ["Source", "State", "Calls", "Items", "New", "Waited", "Still to fetch, and why"].map((text, index) =>
          h("th", { scope: "col", class: index > 1 && index < 6 ? "right" : "" }, text)))),
        h("tbody", null, (run.sources ?? []).map((source) => h("tr", null,
          h("th", { scope: "row" }, words(source.source)),
          h("td", null, h("span.badge", { class: STATE_KINDS[source.state] ?? "" }, source.state)),
          [count(source.calls), count(source.items), count(source.new_items), source.waited_seconds ? duration(source.waited_seconds) : ""].map((text) => h("td.right", null, text)),
          h("td.wide", null, outcome(source, timezone)))))),
      more)));
  }

  showCrawl(crawl) {
    this.crawlButton.disabled = crawl?.state === "running";
    if (!crawl) return replace(this.crawl, "The catalogue has not been refreshed yet.");
    const changes = (crawl.changes ?? []).length;
    const text = crawl.state === "running" ? "The catalogue is being refreshed…" : `Catalogue refreshed ${ago(crawl.ended_at)}: ${changes ? `${changes} changes` : "nothing new"}.`;
    return replace(this.crawl, text, crawl.error && h("span", null, ` ${crawl.error}`));
  }

  tableOfTables({ records }) {
    const heads = ["Table", "Newest data", "Rows", "Size", "Files", "What it holds"];
    return h("div.table-wrap.tall", { tabindex: "0", role: "region", "aria-label": "Tables" }, h("table", null,
      h("thead", null, h("tr", null, heads.map((text, index) => h("th", { scope: "col", class: index > 4 ? "described" : index > 1 ? "right" : "" }, text)))),
      h("tbody", null, records.map((table) => h("tr", null,
        h("th", { scope: "row" }, h("code", null, table.name)),
        h("td", null, table.newest ? h("span", { title: moment(table.newest, selection().timezone) }, ago(table.newest)) : h("span.muted", null, "no data yet")),
        h("td.right", null, count(table.rows)), h("td.right", null, bytes(table.bytes)), h("td.right", null, count(table.files)),
        h("td.wide.muted.described", null, table.description))))));
  }

  // --- doing ---

  async startRun() {
    this.runButton.disabled = true;
    replace(this.refused);
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

/** By when what is left will have been fetched, and whether it matters to what was heard. */
function backlogWords(run) {
  if (!run?.complete_at) return null;
  const by = moment(run.complete_at, selection().timezone);
  return `${run.plays_are_complete ? "plays are complete, the rest" : "all of it"} by ${by}`;
}

/** The numbers within a text as all others are written. */
function grouped(text) {
  return String(text).replace(/\d{4,}/g, (digits) => count(digits));
}

function tablesResult({ tables }) {
  return { columns: [], rows: tables, records: tables };
}

function quarantineResult({ objects, next_page_token: more }) {
  return { columns: [], rows: objects, records: objects, more: Boolean(more) };
}

/** Why something is left of a source, and until when. */
function outcome(source, timezone) {
  const parts = [source.error?.message, grouped(source.left ?? ""), source.not_before && `not before ${moment(source.not_before, timezone)}`];
  return parts.filter(Boolean).join("; ");
}

/** What may bring an object out of quarantine. */
function remedyOf({ raw_key: key }) {
  if (key.startsWith("raw/history/")) return h("p.remedy.small", null, "Import the export again, as Spotify sent it. If it is none, delete it and ", h("code", null, `quarantine/${key}.json`), ".");
  return h("div.remedy", null,
    h("p.small", null, "Repair it, or update the lake. Then transform it:"),
    h("p.small", null, command(`transform ${key}`)),
    button("Copy the command", { icon: "copy", onclick: async () => copyText(`${await lakeCommand()} transform ${key}`) }));
}

function qualityTable({ records }) {
  return simple("Quality checks", ["Check", "", "Failed", "Last seen"], records.map((row) => [
    [h("strong", null, row.table_name), h("br"), row.check_name, row.detail && h("p.muted.small", null, row.detail)], h("span.badge", { class: row.severity === "warn" ? "warn" : "bad" }, row.severity),
    [count(row.failures), h("br"), h("span.muted", null, `of ${count(row.rows_checked)}`)], ago(row.last_seen),
  ]), { right: [2], wide: [0] });
}

function holesTable({ records }) {
  const { timezone } = selection();
  return simple("Holes", ["After", "Before", "Found"], records.map((row) => [moment(row.window_start, timezone), moment(row.window_end, timezone), row.detail ?? ""]), { wide: [2] });
}

function rejectedTable({ records }) {
  return simple("Rejected rows", ["When", "Reason"], records.map((row) => [
    ago(row.observed_at),
    [h("strong", null, `${row.table_name}: `), row.reason, row.content && h("details", null, h("summary", null, "What it held"), h("code", null, row.content))],
  ]), { wide: [1] });
}

/** A small table; `right` columns hold numbers, `wide` ones may take several lines. */
function simple(label, heads, rows, { right = [], wide = [] }) {
  const kind = (index) => (right.includes(index) ? "right" : wide.includes(index) ? "wide" : "");
  return h("div.table-wrap", { tabindex: "0", role: "region", "aria-label": label }, h("table", null,
    h("thead", null, h("tr", null, heads.map((text, index) => h("th", { scope: "col", class: kind(index) }, text || h("span.visually-hidden", null, "Severity"))))),
    h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell, index) => h("td", { class: kind(index) }, cell)))))));
}

/** One sentence that offers MusicBrainz' genres to whoever's runs do not ask for them. */
function offerOfGenres(run) {
  const asks = (run?.sources ?? []).some(({ source }) => source === "musicbrainz");
  return run?.ended_at && !asks ? [h("p.hint.small.muted", null, GENRES_OFFER)] : [];
}
