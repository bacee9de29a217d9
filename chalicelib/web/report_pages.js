// Every saved report: the list, and one with its parameters, chart, table and SQL.

import { request, send } from "./api.js";
import { command } from "./command.js";
import { button, h, notice, replace, saveFile } from "./dom.js";
import { rowsOf, words } from "./format.js";
import { chartOf, panel } from "./panel.js";
import { forgetReports, questions, reports, runReport } from "./reports.js";
import { listenerField, listeners, periodField, zoneField } from "./selectors.js";
import { change, href, route, selection, valuesFor } from "./state.js";
import { thumbnail } from "./thumbnails.js";

const LABELS = { user: "Listener", other_user: "Other listener" };
const OF_ALL = "Listener; empty for everybody"; // what the API says of a listener where a report says nothing else


export async function render(main, { args: [name], signal }) {
  const known = await reports();
  if (!name) return showList(main, known, await questions());
  const report = known.get(name);
  if (!report) return replace(main, h("h1", null, "No such report"), h("p", null, h("a", { href: href("reports") }, "All reports")));
  document.title = `${report.title} · Listening lake`;
  return showReport(main, report, signal);
}

function showList(main, known, asked) {
  const all = [...known.values()];
  const own = all.filter(({ built_in: builtIn }) => !builtIn);
  const general = all.filter(({ built_in: builtIn, name }) => builtIn && !name.startsWith("dashboard_"));
  const pages = all.filter(({ built_in: builtIn, name }) => builtIn && name.startsWith("dashboard_"));
  const search = h("input", { type: "search", placeholder: "Filter", "aria-label": "Filter reports", oninput: () => {
    const wanted = search.value.toLowerCase();
    for (const item of main.querySelectorAll(".report-list li")) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  } });
  const section = (title, list, hint) => list.length > 0 && h("section.stack", { "aria-label": title },
    h("div", null, h("h2", null, title), hint && h("p.muted.small", null, hint)),
    h("ul.report-list", null, list.map((report) => h("li", null, h("a", { href: href("reports", [report.name]) },
      thumbnail(report.chart?.kind, report.name), h("strong", null, report.title), h("span", null, report.fault ?? report.description))))));
  const grouped = asked.map((title) => section(title, general.filter(({ question }) => question === title)));
  const rest = general.filter(({ question }) => !asked.includes(question));
  replace(main,
    h("div.page-head", null, h("div", null, h("h1", null, "Reports"),
      h("p.lead", null, "Saved questions, the same from here, the command line and the API. Write your own on the SQL page.")), search),
    h("div.stack.reports", null,
      section("Your own", own), grouped, section("More", rest), section("Behind these pages", pages, "What the dashboard itself is made of")));
}

function showReport(main, report, signal) {
  const values = () => ownValues(report);
  const shown = panel({
    title: "Result", signal, tall: 320, viewName: report.chart?.kind === "table" ? "Table" : "Chart",
    load: (stop) => runReport(report.name, values(), stop),
    view: (result) => h("div.stack", null, chartOf(result, report.chart, report.title, { titled: true }), h("p.muted.small", null, rowsOf(result.rows.length), result.next_page_token && " on the first page")),
    tools: button("CSV", { icon: "download", quiet: true, "aria-label": "Download as CSV", onclick: () => download(report) }),
    empty: "The report answers no rows with these parameters.",
  });
  const found = report.parameters.some(({ type }) => ["period", "user"].includes(type)) ? listeners(signal) : null;
  const form = h("form.parameters", { "aria-label": "Parameters", onsubmit: (event) => event.preventDefault() },
    report.parameters.map((parameter) => field(parameter, found)));
  replace(main,
    h("div.page-head", null,
      h("div", null, h("p.small", null, h("a", { href: href("reports") }, "Reports")), h("h1", null, report.title), h("p.lead", null, report.description)),
      !report.built_in && button("Delete", { danger: true, onclick: () => remove(report) })),
    h("div.stack", null,
      report.fault && h("p.fault", { role: "alert" }, report.fault),
      report.parameters.length > 0 && h("section.panel", { "aria-label": "Parameters" }, form),
      !report.fault && shown,
      h("p.muted.small", null, "From a shell: ", command(shellWords(report)))));
}

/** The parameters' values: the address's own (p_name), else the selection's, else the report's default. */
function ownValues(report) {
  const { query } = route();
  const own = {};
  for (const { name } of report.parameters) if (query[`p_${name}`] !== undefined) own[name] = query[`p_${name}`];
  return own;
}

/** The choice of a parameter's value. Period, time zone and listener are the selection's, as on every page. */
function field(parameter, found) {
  const { name, type, help } = parameter;
  if (type === "period") return periodField(found);
  if (type === "timezone") return zoneField();
  const key = name === "user" ? name : `p_${name}`;
  const set = (value) => change({ [key]: value });
  const value = (name === "user" ? selection().user : route().query[key]) ?? parameter.default ?? "";
  const title = LABELS[name] ?? words(name);
  const common = { id: `parameter-${name}`, "aria-describedby": `help-${name}` };
  if (type === "user") return listenerField(title, value, { ...common, found, onchange: set, ...(help !== OF_ALL && { nobody: "not chosen", title: help }) });
  const changed = (event) => event.target.reportValidity() && set(event.target.value);
  const control = {
    choice: () => h("select", { ...common, onchange: changed }, parameter.values.map((one) => h("option", { value: one, selected: one === value }, one))),
    integer: () => h("input", { ...common, onchange: changed, type: "number", value: String(value), min: parameter.least, max: parameter.most, step: "1", required: true }),
    text: () => h("input", { ...common, onchange: changed, type: "text", value: String(value), autocomplete: "off" }),
  }[type];
  return h("div", null, h("label.field", null, title, control()), help && h("p.help", { id: `help-${name}` }, help));
}

async function download(report) {
  try {
    const answer = await request(`reports/${report.name}`, { query: { ...valuesFor(report, ownValues(report)), csv: "excel" }, accept: "text/csv" });
    saveFile(await answer.blob(), `${report.name}.csv`);
  } catch (fault) {
    notice(fault.message, { bad: true });
  }
}

async function remove(report) {
  if (!confirm(`Delete the report ${report.title}?`)) return;
  try {
    await send("DELETE", `reports/${report.name}`);
    forgetReports();
    notice("Deleted.");
    location.hash = href("reports");
  } catch (fault) {
    notice(fault.message, { bad: true });
  }
}

function shellWords(report) {
  const values = valuesFor(report, ownValues(report));
  const quoted = (value) => (/^[\w./:+-]+$/.test(value) ? value : `'${String(value).replaceAll("'", "'\\''")}'`);
  return [`report ${report.name}`, ...Object.entries(values).map(([name, value]) => `--set ${name}=${quoted(value)}`)].join(" ");
}
