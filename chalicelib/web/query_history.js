// The history of the SQL page: what was run here by whoever is signed in, for as long as the browser keeps it.

import { get, send } from "./api.js";
import { button, h, notice, replace } from "./dom.js";
import { ago, bytes, moment, rowsOf } from "./format.js";
import { keep, kept } from "./kept.js";
import { ranHere } from "./reports.js";
import { selection } from "./state.js";

const NAME = "sql-history";
const MOST = 500; // queries
const ROOM = 1_000_000; // letters of all of them together
const SHOWN = 30; // before more are asked for
const LISTED = 100; // queries that the lake lists at once, newest first

/** Note a query that was run, or how it ended; what was run again takes the place of its last time. */
export function noteQuery({ query_id: id, sql, submitted_at: at, state, rows, bytes_scanned: scanned }) {
  const others = kept(NAME, []).filter((each) => each.sql !== sql && each.id !== id);
  let room = ROOM;
  const all = [{ id, sql, at, state, rows, scanned }, ...others].slice(0, MOST).filter((each) => (room -= each.sql.length) > 0);
  while (!keep(NAME, all) && all.length > 1) all.length = Math.ceil(all.length / 2);
}

/** The panel of the history: {element, refresh()}. `onEdit(sql)` and `onShow(query)` do what its buttons say. */
export function historyPanel({ signal, onEdit, onShow }) {
  const list = h("div.stack", null);
  const search = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter the history", oninput: () => refresh() });
  const pages = h("input", { type: "checkbox", onchange: () => refresh() });
  let most = SHOWN;
  const refresh = async () => {
    const wanted = search.value.trim().toLowerCase();
    const all = [...kept(NAME, []), ...(pages.checked ? await ofReports(signal) : [])]
      .filter(({ sql }) => sql.toLowerCase().includes(wanted)).sort((a, b) => (a.at < b.at ? 1 : -1));
    if (!all.length) return replace(list, h("p.muted", null, wanted ? "Nothing you ran contains this." : "What you run is listed here, in this browser and for you alone."));
    const { timezone } = selection();
    return replace(list,
      h("div.table-wrap", { tabindex: "0", role: "region", "aria-label": "Queries" }, h("table", null,
        h("thead", null, h("tr", null, ["When", "SQL", "Result", ""].map((title) => h("th", { scope: "col" }, title || h("span.visually-hidden", null, "Actions"))))),
        h("tbody", null, all.slice(0, most).map((query) => line(query, { timezone, onEdit, onShow, refresh }))))),
      all.length > most && h("div.row", null, button("Show more", { quiet: true, onclick: () => {
        most *= 5;
        refresh();
      } })));
  };
  const forget = button("Forget", { quiet: true, title: "Forget the whole history in this browser", onclick: () => {
    keep(NAME, []);
    refresh();
  } });
  const element = h("section.panel", { "aria-labelledby": "history-title" },
    h("div.panel-head", null, h("h2", { id: "history-title" }, "History"),
      h("div.row", null, search, h("label.row.small.muted", null, pages, "With those of reports"), forget)),
    list);
  refresh();
  return { element, refresh };
}

/** The queries of the reports that were shown in this tab; another's are not in it. */
async function ofReports(signal) {
  const { queries } = await get("queries", { limit: LISTED }, signal).catch(() => ({ queries: [] }));
  return queries.filter(({ query_id: id }) => ranHere.has(id))
    .map(({ query_id: id, sql, submitted_at: at, state, rows, bytes_scanned: scanned }) => ({ id, sql, at, state, rows, scanned }));
}

function line(query, { timezone, onEdit, onShow, refresh }) {
  const text = query.sql.replace(/\s+/g, " ").trim();
  const kind = { failed: "bad", cancelled: "warn" }[query.state] ?? "busy";
  const withValues = takesValues(query.sql);
  return h("tr", null,
    h("td", { title: moment(query.at, timezone) }, ago(query.at)),
    h("td.rest", { title: query.sql.slice(0, 2000) }, h("code", null, text.slice(0, 200))),
    h("td", null, query.state === "succeeded" ? [rowsOf(query.rows), h("span.muted", null, `, ${bytes(query.scanned)} read`)] : h("span.badge", { class: kind }, query.state)),
    h("td", null, h("div.row", null,
      button("Edit", { quiet: true, icon: "code", disabled: withValues, title: withValues ? "It ran with parameters: open its report instead" : null, "aria-label": `Edit ${text.slice(0, 60)}`, onclick: () => onEdit(query.sql) }),
      query.state === "succeeded" && button("Show", { quiet: true, icon: "table", "aria-label": `Show the result of ${text.slice(0, 60)}`, onclick: () => onShow(query) }),
      (query.state === "running" || query.state === "queued") && button("Cancel", { quiet: true, icon: "stop", onclick: async () => {
        const now = await send("DELETE", `queries/${query.id}`).catch((fault) => notice(fault.message, { bad: true }));
        if (now) noteQuery(now);
        refresh();
      } }))));
}

/** Whether a statement has `?` for values, outside strings and comments. */
function takesValues(sql) {
  return sql.replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\//g, "").includes("?");
}
