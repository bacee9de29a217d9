// Saving a query as a report of one's own.

import { send } from "./api.js";
import { button, h, notice, replace } from "./dom.js";
import { faultBox } from "./panel.js";
import { forgetReports } from "./reports.js";
import { href } from "./state.js";

const KINDS = ["table", "bar", "line", "heatmap", "number"];

/** Ask for a name and save `sql`. `shown` is the kind it is drawn as now; `hintOf(kind)` the chart of a kind. */
export function saveAsReport({ sql, shown, hintOf }) {
  const field = (title, props) => {
    const input = h("input", { required: true, autocomplete: "off", ...props });
    return [input, h("label.field", null, title, input)];
  };
  const [name, nameField] = field("Name, for addresses", { pattern: "[a-z][a-z0-9_]*", placeholder: "my_report", maxlength: "64", title: "a small letter, then small letters, digits and _" });
  const [title, titleField] = field("Title", { maxlength: "120" });
  const [description, descriptionField] = field("What it answers", { maxlength: "300" });
  const kind = h("select", null, KINDS.map((value) => h("option", { value, selected: value === shown }, value)));
  const fault = h("div", null);
  const dialog = h("dialog", { "aria-labelledby": "save-title", onclose: () => dialog.remove() }, h("form", { onsubmit: async (event) => {
    event.preventDefault();
    try {
      const text = reportText({ title: title.value, description: description.value, chart: hintOf(kind.value), sql });
      await send("PUT", `reports/${name.value}`, { sql: text });
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

/** A report's file: its header, then the query. */
function reportText({ title, description, chart, sql }) {
  const told = Object.entries(chart).filter(([, value]) => value).map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join(", ");
  return `-- title = ${JSON.stringify(title)}\n-- description = ${JSON.stringify(description)}\n-- chart = {${told}}\n${sql.trim().replace(/^--/, "\n--")}\n`;
}
