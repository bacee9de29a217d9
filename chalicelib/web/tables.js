// The tables of the lake: the list, and one with what its columns hold and its rows, filtered and sorted.

import { get, request } from "./api.js";
import { announce, bdi, button, figure, h, icon, notice, replace, saveFile } from "./dom.js";
import { ago, bytes, count, moment, share } from "./format.js";
import { itemLink, genreLinks } from "./links.js";
import { emptyState, faultBox, loading, panel, sqlDetails } from "./panel.js";
import { queryHref } from "./query_copies.js";
import { queryRows } from "./reports.js";
import { change, href, route, selection } from "./state.js";
import { cellText, isNumber, plainTable, shownAs } from "./table.js";
import { OPERATORS, countSql, profileSql, rowsSql, tableHref, valuesSql } from "./table_sql.js";

const PAGE = 100; // rows shown, before more are asked for
const MOST = 2500; // rows shown at all: beyond, the SQL page has a sheet for them
const VALUES = 12; // most frequent values of a column
const LONGEST = 120; // letters of a value in a row

export async function render(main, { page, args: [name], signal }) {
  const { tables } = await get("tables", {}, signal);
  if (page === "tables" || !name) return showList(main, tables);
  const table = tables.find((each) => each.name === name);
  if (!table) return replace(main, h("h1", null, "No such table"), h("p", null, h("a", { href: href("tables") }, "All tables")));
  document.title = `${name} · Listening lake`;
  return showTable(main, table, signal);
}

function showList(main, tables) {
  replace(main,
    h("div.page-head", null, h("div", null, h("p.small", null, h("a", { href: href("sql") }, "SQL")), h("h1", null, "Tables"),
      h("p.lead", null, "What the lake holds, as SQL, reports and other tools see it. Choose one to look into it."))),
    h("section.panel", { "aria-label": "Tables" }, plainTable({ records: tables }, {
      caption: "Tables", tall: true,
      columns: {
        name: { title: "Table", show: (value) => h("a", { href: href("table", [value]) }, h("code", null, value)) },
        description: { title: "What it holds", wide: true },
        columns: { title: "Columns", right: true, show: (all) => count(all.length) },
        rows: { title: "Rows", right: true, show: count },
        newest: { title: "Newest data", show: (value) => (value ? h("span", { title: moment(value, selection().timezone) }, ago(value)) : null) },
      },
    })));
}

function showTable(main, table, signal) {
  const conditions = conditionsOf(table);
  const known = figure("Rows", count(table.rows));
  const { sort = "" } = route().query;
  const rows = rowsPanel(table, { conditions, sort, signal });
  replace(main,
    h("div.page-head", null, h("div", null, h("p.small", null, h("a", { href: href("sql") }, "SQL"), " / ", h("a", { href: href("tables") }, "Tables")),
      h("h1", null, h("code", null, table.name)), h("p.lead", null, table.description))),
    h("div.stack", null,
      h("dl.figures", null, known, figure("Columns", count(table.columns.length)), figure("Size", bytes(table.bytes)),
        figure("Files", count(table.files)), figure("Newest data", table.newest ? ago(table.newest) : "none")),
      rows, columnsPanel(table, { ready: rows.ready, signal, onCounted: (number) => replace(known.querySelector("dd"), count(number)) })));
  return rows.ready;
}

/** The conditions in the address, of the columns that there are. */
function conditionsOf({ columns }) {
  try {
    return JSON.parse(route().query.where ?? "[]").filter(([column, operator]) => columns.some(({ name }) => name === column) && operator in OPERATORS);
  } catch {
    return [];
  }
}

function setConditions(conditions) {
  change({ where: conditions.length ? JSON.stringify(conditions) : "" });
}

// --- rows ---

function rowsPanel(table, { conditions, sort, signal }) {
  let limit = PAGE;
  const sql = (most) => rowsSql(table, { conditions, sort, limit: most });
  const fits = h("span.muted.small", { role: "status" });
  const section = panel({
    title: "Rows", viewName: "Table", signal, tall: 300, empty: conditions.length ? "No row matches these conditions." : "This table is empty.",
    tools: [
      h("a.button.quiet", { href: queryHref(sql()) }, icon("code"), h("span", null, "Open in SQL")),
      ...["csv", "parquet"].map((format) => button(format === "csv" ? "CSV" : "Parquet", { icon: "download", quiet: true, "aria-label": `Download as ${format === "csv" ? "CSV" : "Parquet"}`, onclick: () => download(table, sql(), format) })),
    ],
    load: (stop) => queryRows(sql(limit), undefined, stop),
    view: (result) => h("div.stack", null, rowsTable(table, result, { conditions, sort }), h("div.row", null, fits,
      result.rows.length === limit && limit < MOST && button("Show more", { quiet: true, onclick: () => {
        limit = Math.min(MOST, limit * 5);
        section.refresh();
      } }))),
  });
  section.querySelector(".panel-head").after(conditionForm(table, conditions));
  section.ready = section.ready.then(async () => {
    const { records: [row] } = await queryRows(countSql(table, conditions), undefined, signal);
    fits.textContent = `${count(row.rows)} ${conditions.length ? "rows fit" : row.rows === 1 ? "row" : "rows"} in all`;
  }).catch(() => {});
  return section;
}

/** The rows, with headings that sort and cells that lead on. */
function rowsTable(table, result, { conditions, sort }) {
  const shown = Object.fromEntries(result.columns.map(({ name, type }) => {
    const link = itemLink(name, result.columns);
    const plain = shownAs(name, type, result.records);
    return [name, { title: sortButton(name, sort), right: isNumber(type), show: (value, record) => {
      const led = link?.(value, record);
      return led instanceof Node ? led : cut(name, value, plain(value));
    } }];
  }));
  return plainTable(result, { caption: `Rows of ${table.name}${conditions.length ? " that match" : ""}`, columns: shown });
}

/** A long text shortened; genres as links. */
function cut(name, value, text) {
  if (name === "genres" && Array.isArray(value)) return value.length ? genreLinks(value) : text;
  return text?.length > LONGEST ? h("span", { title: text.slice(0, 2000) }, `${text.slice(0, LONGEST - 1)}…`) : text;
}

function sortButton(name, sort) {
  const now = sort === name ? "up" : sort === `-${name}` ? "down" : "";
  const next = { up: `-${name}`, down: "", "": name }[now];
  return h("button.linked", { type: "button", id: `sort-${name}`, title: `Sort by ${name}`, onclick: () => change({ sort: next }) }, name, { up: " ↑", down: " ↓", "": "" }[now]);
}

function conditionForm(table, conditions) {
  const column = h("select", { "aria-label": "Column" }, table.columns.map(({ name }) => h("option", { value: name }, name)));
  const operator = h("select", { "aria-label": "Condition", onchange: () => { value.hidden = ["null", "known"].includes(operator.value); } },
    Object.entries(OPERATORS).map(([name, text]) => h("option", { value: name }, text)));
  const value = h("input", { type: "text", "aria-label": "Value", autocomplete: "off" });
  return h("div.stack", null,
    h("form.row", { role: "search", "aria-label": "Filter the rows", onsubmit: (event) => {
      event.preventDefault();
      setConditions([...conditions, [column.value, operator.value, ...(value.hidden ? [] : [value.value])]]);
    } }, column, operator, value, button("Filter", { type: "submit" })),
    conditions.length > 0 && h("div.row", null, conditions.map((condition, at) => {
      const text = `${condition[0]} ${OPERATORS[condition[1]]} ${condition[2] ?? ""}`.trim();
      return button(`${text} ×`, { "aria-label": `Without: ${text}`, onclick: () => setConditions(conditions.toSpliced(at, 1)) });
    })));
}

async function download(table, sql, format) {
  notice(`Preparing the ${format} file…`);
  try {
    const answer = await request(`sql.${format}`, { query: { sql, ...(format === "csv" && { csv: "excel" }) }, accept: "*/*" });
    if (answer.status === 202) return notice("It takes longer than 20 seconds: ask again in a moment.");
    return saveFile(await answer.blob(), `${table.name}.${format}`);
  } catch (fault) {
    return notice(fault.message, { bad: true });
  }
}

// --- columns ---

function columnsPanel(table, { ready, signal, onCounted }) {
  const body = h("div.stack", null, columnsTable(table, null, signal));
  const load = async () => {
    try {
      await ready; // the rows come first
      const result = await queryRows(profileSql(table), undefined, signal);
      replace(body, columnsTable(table, result.records[0], signal), sqlDetails(result));
      onCounted(result.records[0].rows); // the catalogue knows of its last refresh alone
      announce("columns are counted");
    } catch (fault) {
      if (fault.name !== "AbortError") body.append(faultBox(fault, load));
    }
  };
  load();
  return h("section.panel", { "aria-labelledby": "columns-title" }, h("div.panel-head", null,
    h("div", null, h("h2", { id: "columns-title" }, "Columns"), h("p.hint", null, "What each holds; choose one for its most frequent values"))), body);
}

/** A line for each column; `told` is the row that the profile answers, null until it does. */
function columnsTable(table, told, signal) {
  const heads = ["Column", "Type", "What it says", "Null", "Different", "From", "To"];
  const lines = table.columns.flatMap((column, at) => {
    const of = (what) => told?.[`${what}_${at}`];
    const nulls = told && told.rows - of("known");
    const values = h("tr", { hidden: true }, h("td", { colspan: heads.length }));
    const toggle = h("button.linked", { type: "button", "aria-expanded": "false", onclick: () => {
      values.hidden = !values.hidden;
      toggle.setAttribute("aria-expanded", String(!values.hidden));
      if (!values.hidden) showValues(table, column, values.firstChild, signal);
    } }, h("code", null, column.name));
    return [h("tr", null, h("th", { scope: "row" }, toggle), h("td", null, h("code", null, column.type)), h("td.wide.muted", null, column.description),
      h("td.right", null, told ? (nulls ? `${count(nulls)} (${share(nulls / told.rows)})` : "0") : "…"), h("td.right", null, told ? count(of("distinct")) : "…"),
      h("td.limit", null, limitOf(of("least"), column)), h("td.limit", null, limitOf(of("greatest"), column))), values];
  });
  return h("div.table-wrap.tall", { tabindex: "0", role: "region", "aria-label": "Columns" }, h("table.columns", null,
    h("thead", null, h("tr", null, heads.map((title, at) => h("th", { scope: "col", class: at === 3 || at === 4 ? "right" : "" }, title)))), h("tbody", null, lines)));
}

function limitOf(value, { name, type }) {
  const text = shownAs(name, type, [{ [name]: "T" }])(value) ?? "";
  return h("span", { title: text.length > 40 ? text.slice(0, 500) : null }, text.length > 40 ? `${text.slice(0, 39)}…` : text);
}

/** The most frequent values, each a link to its rows. */
async function showValues(table, column, place, signal) {
  if (!place.firstChild) place.append(loading(60));
  try {
    const { records } = await queryRows(valuesSql(table, column.name, VALUES), undefined, signal);
    if (!records.length) return replace(place, emptyState("This table is empty."));
    const most = records[0].rows;
    const linked = !/^(array|map|row|varbinary)/.test(column.type);
    return replace(place, h("ol.values", { "aria-label": `Most frequent values of ${column.name}` }, records.map(({ value, rows }) => {
      const text = value === null ? "null" : value === "" ? "(empty)" : cellText(value);
      const condition = value === null ? [column.name, "null"] : [column.name, "is", String(value)];
      const shown = text.length > 80 ? `${text.slice(0, 79)}…` : text;
      return h("li", null, linked ? h("a", { href: tableHref(table.name, [condition]) }, bdi(shown)) : bdi(shown), " ", h("span.muted.small", null, count(rows)),
        h("div.bar", { style: { "--share": String(rows / most) }, "aria-hidden": "true" }));
    })));
  } catch (fault) {
    return fault.name === "AbortError" ? undefined : replace(place, faultBox(fault));
  }
}
