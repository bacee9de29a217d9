// One query of the SQL page: its editor, what came of it, and what can be done with it.

import { send } from "./api.js";
import { announce, button, h, notice, replace } from "./dom.js";
import { makeEditor } from "./editor.js";
import { emptyState, faultBox, loading } from "./panel.js";
import { copyMenu } from "./query_copies.js";
import { noteQuery } from "./query_history.js";
import { QueryResult } from "./query_result.js";
import { saveAsReport } from "./report_saving.js";
import { waitFor } from "./reports.js";

/**
 * `kept` is what is remembered of it: {sql, chart, ran}, where `ran` is the SQL that ran last. `onChange()` hears of
 * everything that is to be remembered, `onNoted()` of what the history has.
 */
export class QueryTab {
  constructor(kept, { signal, onChange, onNoted }) {
    this.kept = kept;
    this.signal = signal;
    this.onChange = onChange;
    this.onNoted = onNoted;
    this.query = null;
    this.editor = makeEditor({
      text: kept.sql,
      onRun: () => this.run(),
      onChange: (sql) => {
        kept.sql = sql;
        onChange();
      },
    });
    this.runButton = button("Run", { icon: "play", primary: true, onclick: () => this.run() });
    this.cancelButton = button("Cancel", { icon: "stop", danger: true, onclick: () => this.cancel() });
    this.cancelButton.hidden = true;
    this.facts = h("div.result-facts", { role: "status" });
    this.place = h("div.stack", null, emptyState(["No result yet", "Run the query with Ctrl+Enter. Tables and columns complete as you type."]));
    this.element = h("div.stack", null,
      h("section.panel", { "aria-label": "Query" }, this.editor.element,
        h("div.row.spread", null,
          h("div.row", null, this.runButton, this.cancelButton, button("Save as report", { icon: "save", onclick: () => this.save() }),
            copyMenu(() => ({ sql: this.editor.text().trim(), chart: kept.chart }))),
          h("span.muted.small.for-keyboards", null, h("kbd", null, "Ctrl"), " ", h("kbd", null, "Enter"), " runs"))),
      h("section.panel", { "aria-label": "Result" }, this.facts, this.place));
  }

  /** It is in sight (again). */
  shown() {
    if (this.result) this.result.show();
  }

  async run() {
    const sql = this.editor.text().trim();
    if (!sql || this.running) return;
    this.editor.markFault(null);
    this.setRunning(true);
    this.query = this.result = null;
    if (this.kept.ran !== sql) this.kept.chart = this.asked ?? null; // the chart of another result says nothing of this one
    this.asked = null;
    this.kept.ran = sql;
    this.onChange();
    const started = performance.now();
    replace(this.place, loading(200));
    const tick = setInterval(() => this.showProgress(started), 100);
    try {
      this.query = await send("POST", "queries", { sql }, this.signal);
      this.note();
      if (this.cancelled) await this.cancel();
      await waitFor(this.query, this.signal, (now) => { this.query = now; });
      await this.showResult(this.query);
    } catch (fault) {
      if (fault.name === "AbortError") return;
      this.showFault(fault);
    } finally {
      clearInterval(tick);
      this.setRunning(false);
      if (this.query) this.note();
    }
  }

  /** Put a query in, and run it with its chart. */
  open(sql, chart) {
    this.asked = chart;
    if (this.editor.text().trim() !== sql.trim()) this.editor.setText(sql);
    this.kept.ran = null;
    return this.run();
  }

  note() {
    noteQuery(this.query);
    this.onNoted();
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

  cancelIfRunning() {
    if (this.running) this.cancel();
  }

  showFault(fault) {
    if (fault.code === "query_cancelled") {
      replace(this.facts, h("span.badge.warn", null, "Cancelled"));
      replace(this.place, emptyState(["Cancelled", "The query was cancelled."]));
      return;
    }
    const position = fault.details?.position;
    this.editor.markFault({ message: fault.message, position });
    replace(this.facts, h("span.badge.bad", null, "Failed"));
    replace(this.place, faultBox(fault), position?.line && h("p.muted.small", null, `Line ${position.line}, column ${position.column}; marked in the editor.`));
  }

  async showResult(query) {
    const result = new QueryResult(query, {
      signal: this.signal, chart: this.kept.chart, onChart: (chart) => {
        this.kept.chart = chart;
        this.onChange();
      },
    });
    const nodes = await result.nodes();
    this.result = result;
    replace(this.facts, result.facts());
    replace(this.place, nodes);
    announce(this.facts.textContent);
  }

  /** Show what a query of the history answered; once its rows are gone, it is run again. */
  async reopen({ id, sql }, look) {
    if (this.running) return;
    this.editor.setText(sql);
    try {
      this.query = await look(id);
      this.kept.ran = sql;
      this.kept.chart = null;
      await this.showResult(this.query);
      this.onChange();
    } catch (fault) {
      if (fault.name === "AbortError") return;
      await this.open(sql, null);
    }
    this.place.scrollIntoView({ block: "nearest" });
  }

  save() {
    saveAsReport({ sql: this.editor.text(), shown: this.kept.chart?.kind ?? this.result?.drawn?.kind, hintOf: (kind) => this.result?.hint(kind) ?? { kind } });
  }
}
