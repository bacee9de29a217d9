// Tables that fit on a page; sheet.js has the one for large results.

import { h } from "./dom.js";
import { NOTHING, moment, number, words } from "./format.js";
import { itemLink } from "./links.js";
import { selection } from "./state.js";

const MOST_SHOWN = 500;

/** A table of a result. `columns` may pick and name some: {name: {title, show(value, record), right, wide}}. */
export function plainTable(result, { caption, columns, tall } = {}) {
  const shown = columns
    ? Object.entries(columns).map(([name, how]) => ({ name, ...how }))
    : result.columns.map(({ name, type }) => ({ name, right: isNumber(type), show: itemLink(name, result.columns, result.values) ?? shownAs(name, type, result.records) }));
  const rows = result.records.slice(0, MOST_SHOWN);
  return h("div", null,
    h("div.table-wrap", { tabindex: "0", role: "region", "aria-label": caption ?? "Table", class: tall ? "tall" : "" },
      h("table", null,
        caption && h("caption.visually-hidden", null, caption),
        h("thead", null, h("tr", null, shown.map((column) =>
          h("th", { scope: "col", class: column.right ? "right" : "" }, column.title ?? words(column.name))))),
        h("tbody", null, rows.map((record) => h("tr", null, shown.map((column) => cell(column, record))))))),
    result.records.length > rows.length && h("p.muted.small", null, `The first ${MOST_SHOWN} of ${result.records.length} rows.`));
}

/** How the values of a column are written: days where it holds no times, times to the second, numbers grouped. */
export function shownAs(name, type, records) {
  if (/(^|_)year$/.test(name)) return (value) => cellText(value);
  if (!/^timestamp/.test(type)) return (value) => cellText(value, type);
  const days = records.every(({ [name]: value }) => !value || /T00:00:00(\.0+)?Z?$/.test(value));
  return (value) => (value ? (days ? value.slice(0, 10) : value.slice(0, 19).replace("T", " ")) : null);
}

function cell(column, record) {
  const value = record[column.name];
  const content = column.show ? column.show(value, record) : cellText(value);
  const classes = [column.right && "right", column.wide && "wide"].filter(Boolean).join(" ");
  return h("td", { class: classes }, content === null || content === undefined ? h("span.null", { title: "not known" }, NOTHING) : content);
}

/** A value as text; null stays null. */
export function cellText(value, type = "") {
  if (value === null || value === undefined) return null;
  if (typeof value === "number" && isNumber(type)) return number(value);
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

export function when(value) {
  return value ? moment(value, selection().timezone) : null;
}

export function isNumber(type = "") {
  return /^(tinyint|smallint|int|integer|bigint|real|float|double|decimal)/.test(type);
}
