// A panel: one report (or query), shown as a chart, with its data table and its SQL one key away.

import { barChart, heatMap, lineChart, scatterChart } from "./charts.js";
import { announce, button, copyText, h, icon, replace } from "./dom.js";
import { WEEKDAYS, day, moment, month, number, words } from "./format.js";
import { highlighted, withValues } from "./highlight.js";
import { runReport } from "./reports.js";
import { itemLink } from "./links.js";
import { href } from "./state.js";
import { isNumber as isNumeric, plainTable } from "./table.js";

const MOST_NAMED = 40; // bars with names; more would be a page of its own

let serial = 0;

/**
 * A panel that loads itself. `load(signal)` answers a result; `view(result)` the nodes to show first. `empty` is
 * what to say when there are no rows. `tools` are further controls of the head.
 */
export function panel({ title, hint, load, view, viewName = "Chart", empty, tools, wide, tall, signal, columns, level = "h2" }) {
  const id = `panel-${++serial}`;
  const body = h("div.panel-body", null, loading(tall));
  const tabs = h("div.segments", { role: "group", "aria-label": `${title}: show as`, hidden: true });
  const section = h(
    "section.panel", { class: wide ?? "", "aria-labelledby": id, "aria-busy": "true" },
    h("div.panel-head", null,
      h("div", null, h(level, { id }, title), hint && h("p.hint", null, hint)),
      h("div.row", null, tools, tabs)),
    body,
  );
  const refresh = async () => {
    section.setAttribute("aria-busy", "true");
    if (!body.querySelector(".skeleton")) body.style.opacity = ".5";
    try {
      const result = await load(signal);
      if (signal?.aborted) return;
      show(result);
    } catch (fault) {
      if (fault.name === "AbortError" || signal?.aborted) return;
      tabs.hidden = true;
      replace(body, faultBox(fault, refresh));
    } finally {
      body.style.opacity = "";
      section.setAttribute("aria-busy", "false");
    }
  };
  const show = (result) => {
    const views = { [viewName]: () => (result.rows.length ? view(result) : emptyState(empty)) };
    if (viewName !== "Table") views.Table = () => (result.rows.length ? plainTable(result, { caption: title, columns }) : emptyState(empty));
    if (result.sql) views.SQL = () => sqlView(result);
    const buttons = Object.entries(views).map(([name, make]) =>
      h("button", { type: "button", "aria-pressed": "false", onclick: (event) => {
        for (const other of tabs.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
        replace(body, make());
      } }, name));
    replace(tabs, buttons);
    tabs.hidden = buttons.length < 2;
    buttons[0].click();
  };
  section.refresh = refresh;
  section.ready = refresh();
  return section;
}

/** A panel over a saved report, with the values of the selection. */
export function reportPanel({ report, values, signal, ...rest }) {
  return panel({ ...rest, signal, load: (stop) => runReport(report, values, stop) });
}

export function loading(tall) {
  return h("div.skeleton", { style: tall ? { "--chart-height": `${tall}px` } : {}, "aria-hidden": "true" });
}

/** What stands where there are no rows: words, or [heading, words]. */
export function emptyState(what = "There are no listens in this selection. Choose another period.") {
  const [heading, text] = Array.isArray(what) ? what : ["Nothing here", what];
  return h("div.state", null, h("strong", null, heading), h("p", null, text));
}

/** The SQL behind figures that stand in no panel. */
export function sqlDetails(result) {
  return h("details.small.sql-details", null, h("summary", null, "SQL of these figures"), sqlView(result));
}

/** What went wrong, and what may be done about it. */
export function faultBox(fault, again) {
  announce(`Error: ${fault.message}`);
  return h("div.fault", { role: "alert" },
    h("strong", null, fault.code ? `${words(fault.code)}. ` : "That did not work. "),
    fault.message,
    again && h("div.row", null, button("Try again", { quiet: true, icon: "refresh", onclick: again })));
}

/** Do `work`, which fills `place`; where it fails, the fault stands there until it is tried again. */
export async function retried(place, signal, work) {
  try {
    await work();
  } catch (fault) {
    if (fault.name === "AbortError" || signal.aborted) return;
    const box = faultBox(fault, () => {
      box.replaceWith(place);
      retried(place, signal, work);
    });
    place.replaceWith(box);
  }
}

/** The SQL behind a result with the values it was run with, and the ways on from it. */
export function sqlView({ sql, values = {} }) {
  const literal = withValues(sql ?? "", values);
  const shown = Object.entries(values).filter(([, value]) => value !== "");
  return h("div.sql-view", null,
    h("pre", { tabindex: "0", "aria-label": "SQL of this chart" }, h("code", null, highlighted(sql ?? ""))),
    shown.length > 0 && h("p.params", null, shown.map(([name, value]) => h("span", null, `:${name} = `, h("code", null, String(value))))),
    h("div.row", null,
      button("Copy", { icon: "copy", quiet: true, onclick: () => copyText(literal) }),
      h("a.button.quiet", { href: href("sql", [], { q: literal }) }, icon("code"), h("span", null, "Open in the editor"))),
  );
}

/** The chart that a report's hint (or the reader) asks for; `titled` writes what the values are beside their axis. */
export function chartOf(result, hint, label, { titled = false } = {}) {
  const { columns, records } = result;
  const numeric = columns.filter(({ type }) => isNumeric(type)).map(({ name }) => name);
  const x = hint.x ?? columns.find(({ name }) => !numeric.includes(name))?.name ?? columns[0]?.name;
  const ys = [hint.y ?? numeric.find((name) => name !== x)].flat().filter(Boolean);
  if (hint.kind === "heatmap") return heatOf(result, hint, label, titled);
  if (hint.kind === "scatter") {
    const points = records.map((row) => ({ x: Number(row[x]), y: Number(row[ys[0]]) })).filter(({ x: a, y: b }) => Number.isFinite(a + b));
    return scatterChart({ points, label, xName: words(x), yName: words(ys[0]) });
  }
  if (hint.kind === "number") return figureOf(records[0] ?? {}, ys[0] ?? columns[0]?.name);
  if (!ys.length || !["bar", "line"].includes(hint.kind)) return plainTable(result, { caption: label });
  const split = hint.series ? pivot(records, x, hint.series, ys[0]) : null;
  const raw = split?.labels ?? records.map((row) => labelOf(row[x]));
  const labels = raw.map(dateLabels(raw));
  const series = split?.series ?? ys.map((name) => ({ name: words(name), values: records.map((row) => numberOrNull(row[name])) }));
  const valueName = titled && series.length === 1 ? series[0].name : undefined;
  const onChoose = split ? undefined : leadingOn(result, x);
  if (hint.kind === "line") return lineChart({ labels, series, label, valueName, onChoose });
  const named = !isNumeric(columns.find(({ name }) => name === x)?.type) && !raw.every((text) => /^\d{4}(-\d\d)*(T|$)/.test(text));
  if (!named) return barChart({ labels, series, label, stacked: Boolean(split), valueName, onChoose });
  return [
    barChart({
      labels: labels.slice(0, MOST_NAMED), label, named, horizontal: labels.length > 4, valueName, stacked: Boolean(split) && areApart(series),
      series: series.map((one) => ({ ...one, values: one.values.slice(0, MOST_NAMED) })),
      onChoose,
    }),
    labels.length > MOST_NAMED && h("p.muted.small", null, `The first ${MOST_NAMED} of ${number(labels.length)} are drawn; the table has more.`),
  ];
}

/** From a bar to the page of what it names. */
function leadingOn({ columns, records, values }, x) {
  const link = itemLink(x, columns, values);
  return link && ((place) => {
    const to = link(records[place][x], records[place]);
    if (to instanceof HTMLAnchorElement) location.assign(to.href);
  });
}

/** Whether every label belongs to one series: bars then need no place beside each other. */
function areApart(series) {
  return series[0].values.every((_, at) => series.filter(({ values }) => values[at] !== null).length < 2);
}

function heatOf(result, hint, label, titled) {
  const { records } = result;
  const distinct = (name) => [...new Set(records.map((row) => row[name]))].sort(inOrder);
  const value = hint.value ?? hint.y;
  const rowName = hint.value ? hint.y : hint.series;
  const [columns, rows] = [distinct(hint.x), distinct(rowName)];
  const known = new Map(records.map((row) => [`${row[hint.x]}\n${row[rowName]}`, row[value]]));
  const lead = leadingOn(result, hint.x);
  return heatMap({
    columns: columns.map(labelOf), rows: rows.map(rowName === "weekday" ? (value) => WEEKDAYS[value - 1] ?? labelOf(value) : labelOf), label, tall: Math.min(640, Math.max(180, rows.length * 28 + (titled ? 62 : 40))),
    what: words(value).toLowerCase(), ...(titled && { xName: words(hint.x), yName: words(rowName) }),
    value: (x, y) => known.get(`${columns[x]}\n${rows[y]}`),
    onChoose: lead && (({ x, y }) => {
      const place = records.findIndex((row) => row[hint.x] === columns[x] && row[rowName] === rows[y]);
      if (place >= 0) lead(place);
    }),
  });
}

function pivot(records, x, by, y) {
  const labels = [...new Set(records.map((row) => labelOf(row[x])))];
  const names = [...new Set(records.map((row) => row[by]))];
  const known = new Map(records.map((row) => [`${labelOf(row[x])}\n${row[by]}`, numberOrNull(row[y])]));
  return { labels, series: names.map((name) => ({ name: labelOf(name), values: labels.map((label) => known.get(`${label}\n${name}`) ?? null) })) };
}

function figureOf(row, name) {
  return h("dl.figures", null, h("div.figure", null, h("dt", null, words(name)), h("dd", null, number(row[name]))));
}

function labelOf(value) {
  return value === null || value === undefined ? "unknown" : String(value).replace(/T00:00:00(\.0+)?Z?$/, "");
}

/** Dates as years, months or days, whichever tells them apart, or with their time; anything else as it is. */
function dateLabels(labels) {
  if (!labels.length || !labels.every((label) => /^\d{4}-\d\d-\d\d(T[\d:.]+Z?)?$/.test(label))) return (label) => label;
  if (labels.some((label) => label.includes("T"))) return (label) => moment(label); // the zone is in the query already
  if (labels.every((label) => label.endsWith("-01-01"))) return (label) => label.slice(0, 4);
  return labels.every((label) => label.endsWith("-01")) ? month : day;
}

function numberOrNull(value) {
  return value === null || value === undefined || value === "" ? null : Number(value);
}

function inOrder(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
}
