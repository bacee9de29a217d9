// A query to take along: as a link to this page, a command, a program, a notebook's cell. None holds a token.

import { ROOT } from "./api.js";
import { lakeCommand } from "./command.js";
import { button, copyText, h } from "./dom.js";
import { href } from "./state.js";

/** The address of the SQL page with a query in it. */
export function queryHref(sql, chart) {
  const drawn = chart ? { chart: chart.kind, x: chart.x, y: chart.y, by: chart.by } : {};
  return href("sql", [], { q: sql, ...drawn });
}

/** The chart that an address asks for, or null. */
export function chartOfAddress({ chart: kind, x, y, by }) {
  return kind && kind !== "table" ? { kind, ...(x && { x }), ...(y && { y }), ...(by && { by }) } : null;
}

/** The menu that copies what `current()` answers: {sql, chart}. */
export function copyMenu(current) {
  const ways = {
    Link: ({ sql, chart }) => new URL(queryHref(sql, chart), location.href).href,
    curl: ({ sql }) => asCurl(sql),
    Python: ({ sql }) => asPython(sql),
    Notebook: ({ sql }) => asNotebook(sql),
    SQL: ({ sql }) => sql,
  };
  const menu = h("details.menu", null, h("summary.button.quiet", null, "Copy as"),
    h("div.choices", { role: "group", "aria-label": "Copy the query as" }, Object.entries(ways).map(([name, write]) => button(name, { quiet: true, onclick: async () => {
      menu.open = false;
      copyText(await write(current()));
    } }))));
  menu.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget && !menu.contains(relatedTarget)) menu.open = false;
  });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    menu.open = false;
    menu.firstChild.focus();
  });
  return menu;
}

async function asCurl(sql) {
  return `TOKEN=$(${await lakeCommand()} token show)\ncurl -sfL -G ${quoted(`${address()}/sql.csv`)} -H "Authorization: Bearer $TOKEN" \\\n  --data-urlencode ${quoted(`sql=${sql}`)}\n`;
}

function asPython(sql) {
  return written(
    "import csv", "import io", "import os", "", "import requests", "", `SQL = ${pythonText(sql)}`, "",
    `answer = requests.get("${address()}/sql.csv", params={"sql": SQL}, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"}, timeout=60)`,
    "answer.raise_for_status()",
    "if answer.status_code == 202:",
    '    raise SystemExit("It takes longer than 20 seconds: ask again in a moment.")',
    "for row in csv.DictReader(io.StringIO(answer.content.decode())):",
    "    print(row)",
  );
}

function asNotebook(sql) {
  return written(
    "import io, os, pandas, requests", "", `SQL = ${pythonText(sql)}`, "",
    `answer = requests.get("${address()}/sql.parquet", params={"sql": SQL}, headers={"Authorization": f"Bearer {os.environ['TOKEN']}"})`,
    "answer.raise_for_status()",
    "pandas.read_parquet(io.BytesIO(answer.content))",
  );
}

function written(...lines) {
  return `${lines.join("\n")}\n`;
}

function address() {
  return ROOT.href.replace(/\/$/, "");
}

/** A text as a shell takes it, whatever it holds. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A text as Python writes it, over the lines that it has. */
function pythonText(text) {
  return `"""\\\n${text.replaceAll("\\", "\\\\").replaceAll('"""', '\\"\\"\\"').replace(/"$/, '\\"')}"""`;
}
