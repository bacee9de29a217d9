// Running reports and queries through the API, and what comes back in one shape.

import { ApiError, get, pause, request, send, signedIn, token } from "./api.js";
import { valuesFor } from "./state.js";

const POLL_SECONDS = 10; // one request waits this long for a query
const MOST_ROWS = 10_000; // of a page

const EMBEDDED_AT_ONCE = 1; // reports asked for at a time: each takes all of a laptop's cores, and the first is seen first
const ATHENA_AT_ONCE = 6; // of the ten executions that a new account has: a page asks for more than its reports

/** Ids of the queries of reports that this tab has shown. */
export const ranHere = new Set();

let listing = null;
let atOnce = EMBEDDED_AT_ONCE;
let going = 0;
const waiting = [];

signedIn.then(() => token() && reports().catch(() => {})); // whoever needs the list hears of the fault
get("health").then(({ engine }) => {
  if (engine !== "athena") return;
  atOnce = ATHENA_AT_ONCE;
  for (; going < atOnce && waiting.length; going++) waiting.shift()();
}, () => {});

/** Do `work` when it is its turn: reports are asked for in the order in which the page shows them. */
async function inTurn(work, signal) {
  if (going < atOnce) going += 1;
  else await new Promise((turn) => waiting.push(turn)); // whoever ends hands theirs on
  try {
    signal?.throwIfAborted();
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else going -= 1;
  }
}

/** Every saved report by name, listed once a session (again after `forgetReports`). */
export async function reports() {
  listing ??= get("reports").catch((fault) => {
    listing = null;
    throw fault;
  });
  const { reports: list } = await listing;
  return new Map(list.map((report) => [report.name, report]));
}

/** The questions that reports answer, in the order in which they are shown. */
export async function questions() {
  await reports();
  return (await listing).questions;
}

export function forgetReports() {
  listing = null;
}

/**
 * A result: `columns` [{name, type}], `rows` (arrays), `records` (objects), and what made it: `sql`, `values`,
 * `query`. Values of the selection that the report declares go along; `extra` replaces them.
 */
export async function runReport(name, extra, signal) {
  const report = (await reports()).get(name);
  if (!report) throw new ApiError(404, { code: "not_found", message: `There is no report ${name}.` });
  const values = valuesFor(report, extra);
  const done = await inTurn(async () => {
    const answer = await request(`reports/${encodeURIComponent(name)}`, { query: values, signal });
    const document = await answer.json();
    return answer.status === 202 ? finish(document, signal) : document;
  }, signal);
  ranHere.add(done.query_id ?? done.query?.query_id);
  return resultOf(done, { report, values: { ...values, ...done.values }, sql: done.sql ?? done.query?.sql });
}

/** Run SQL and wait for it; `onQuery` hears of its states. */
export async function runQuery(sql, { parameters, maxRows, signal, onQuery } = {}) {
  const body = { sql };
  if (parameters?.length) body.parameters = parameters;
  if (maxRows) body.max_rows = maxRows;
  const query = await send("POST", "queries", body, signal);
  onQuery?.(query);
  return waitFor(query, signal, onQuery);
}

/** All rows of a small query. */
export async function queryRows(sql, parameters, signal) {
  const query = await runQuery(sql, { parameters, signal });
  return resultOf(await get(`queries/${query.query_id}/rows`, { limit: MOST_ROWS }, signal), { sql, query });
}

export async function waitFor(query, signal, onQuery) {
  let now = query;
  let wait = 0.3; // the first look is soon, later ones wait on the server
  while (now.state === "queued" || now.state === "running") {
    now = await get(`queries/${now.query_id}`, { wait }, signal);
    onQuery?.(now);
    wait = POLL_SECONDS;
    if (now.state === "queued" || now.state === "running") await pause(200, signal);
  }
  if (now.state === "succeeded") return now;
  throw new ApiError(422, now.error ?? { code: `query_${now.state}`, message: `The query was ${now.state}.` });
}

async function finish(query, signal) {
  const ended = await waitFor(query, signal);
  return { ...(await get(`queries/${ended.query_id}/rows`, { limit: 1000 }, signal)), query: ended };
}

function resultOf({ columns, rows, ...rest }, made) {
  const names = columns.map((column) => column.name);
  const records = rows.map((row) => Object.fromEntries(names.map((name, index) => [name, row[index]])));
  return { columns, rows, records, ...rest, ...made };
}
