// Questions about one table, as SQL: its rows, filtered and sorted, and what its columns hold.

import { href } from "./state.js";
import { isNumber } from "./table.js";

const RANGED = /^(varchar|char|date|timestamp|tinyint|smallint|int|integer|bigint|real|float|double|decimal)/;
export const OPERATORS = { is: "is", not: "is not", holds: "holds", from: "is at least", to: "is at most", null: "is null", known: "is not null" };

/** The page of a table, with conditions [column, operator, value] and a column to sort by. */
export function tableHref(name, conditions = [], sort = "") {
  return href("table", [name], { where: conditions.length ? JSON.stringify(conditions) : "", sort });
}

/** Rows of a table. `conditions` are [column, operator, value], `sort` is a column, "-" before it for downwards. */
export function rowsSql(table, { conditions = [], sort = "", limit } = {}) {
  const [, down, column] = /^(-?)(.*)$/.exec(sort);
  const known = table.columns.some(({ name }) => name === column);
  return [
    `SELECT *\nFROM ${table.name}`, whereSql(table, conditions),
    known && `ORDER BY ${named(column)}${down ? " DESC" : ""}`, limit && `LIMIT ${limit}`,
  ].filter(Boolean).join("\n");
}

/** How many rows fit. */
export function countSql(table, conditions) {
  return [`SELECT count(*) AS "rows"\nFROM ${table.name}`, whereSql(table, conditions)].filter(Boolean).join("\n");
}

/** Of each column, by its place: how many rows have a value, how many different ones, the least and the greatest. */
export function profileSql(table) {
  const parts = table.columns.flatMap(({ name, type }, at) => [
    `count(${named(name)}) AS known_${at}`, `count(DISTINCT ${named(name)}) AS distinct_${at}`,
    ...(RANGED.test(type) ? [`min(${named(name)}) AS least_${at}`, `max(${named(name)}) AS greatest_${at}`] : []),
  ]);
  return `SELECT\n    count(*) AS "rows",\n    ${parts.join(",\n    ")}\nFROM ${table.name}`;
}

/** The most frequent values of a column. */
export function valuesSql(table, column, limit) {
  return `SELECT ${named(column)} AS value, count(*) AS "rows"\nFROM ${table.name}\nGROUP BY 1\nORDER BY 2 DESC, 1\nLIMIT ${limit}`;
}

function whereSql(table, conditions) {
  const types = new Map(table.columns.map(({ name, type }) => [name, type]));
  const parts = conditions.filter(([column]) => types.has(column)).map((condition) => conditionSql(condition, types.get(condition[0])));
  return parts.length ? `WHERE ${parts.join("\n    AND ")}` : "";
}

function conditionSql([column, operator, value], type) {
  const name = named(column);
  if (operator === "null") return `${name} IS NULL`;
  if (operator === "known") return `${name} IS NOT NULL`;
  if (operator === "holds") return `strpos(lower(CAST(${name} AS varchar)), lower(${text(value)})) > 0`;
  const literal = literalOf(value, type);
  if (operator === "not") return `(${name} <> ${literal} OR ${name} IS NULL)`;
  return `${name} ${{ from: ">=", to: "<=" }[operator] ?? "="} ${literal}`;
}

/** A value as SQL writes it, by the type of its column. */
function literalOf(value, type) {
  const said = String(value);
  if (isNumber(type) && /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(said)) return said;
  if (type === "boolean" && /^(true|false)$/.test(said)) return said;
  if (/^timestamp/.test(type)) return `TIMESTAMP ${text(said.replace("T", " ").replace(/Z$/, ""))}`;
  if (type === "date") return `DATE ${text(said.slice(0, 10))}`;
  return text(said);
}

function text(value) {
  return `'${String(value).replaceAll("'", "''")}'`;
}

function named(column) {
  return `"${column.replaceAll('"', '""')}"`;
}
