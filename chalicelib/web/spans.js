// Spans of time: how fine to draw a period, and the empty days, weeks and months between those with plays.

import { day, instant, month } from "./format.js";

const MOST_STEPS = 5000;
const BEFORE_SPOTIFY = Date.UTC(2000, 0, 1); // "all" starts in 1970
const DAYS = { d: 1, w: 7, m: 30.4, y: 365.25 };

/** day, week or month: what suits the selected period. */
export function grainOf({ period, from, to }) {
  const days = from && to ? (Date.parse(to) - Date.parse(from)) / 86_400_000 : daysOf(period);
  return days <= 95 ? "day" : days <= 740 ? "week" : "month";
}

function daysOf(period) {
  const span = /^(\d+)([dwmy])$/.exec(period);
  if (span) return span[1] * DAYS[span[2]];
  return { 4: 365, 7: 31, 10: 1 }[period.length] ?? Infinity;
}

/**
 * Rows for every step between the first and the last; those missing hold zeros. `by` names the date column. The steps
 * of `period` [first day, last day] before and after them hold nulls: it is not known that nothing was heard then.
 */
export function filled(records, grain, { by, values, period = [] }) {
  const known = new Map(records.map((record) => [String(record[by]).slice(0, 10), record]));
  const keys = [...known.keys()].sort();
  return stepsBetween([...keys, ...period.map((day) => startOf(day, grain))], grain).map((key) => {
    const row = known.get(key);
    const none = key < keys[0] || key > keys.at(-1) ? null : 0;
    return { key, label: labelOf(key, grain), ...Object.fromEntries(values.map((name) => [name, row ? Number(row[name] ?? 0) : none])) };
  });
}

/** What is known of a period that it has hardly begun: the steps from the first that is known, where most are not. */
export function fitted(rows, name) {
  const first = rows.findIndex((row) => row[name] !== null);
  return first > rows.length / 2 ? rows.slice(first) : rows;
}

/** The places of steps that the period cuts, or that go on today: what they hold is not to be compared. */
export function partialSteps(rows, grain, [first, last], today = new Date().toISOString().slice(0, 10)) {
  const places = [];
  if (!rows.length) return places;
  const end = rows.at(-1).key;
  if (first && rows[0].key < first) places.push(0);
  if ((last ?? today) >= today ? end >= startOf(today, grain) : following(end, grain) > following(last, "day")) places.push(rows.length - 1);
  return places;
}

/** The first and the last day of a step. */
export function daysOfStep(key, grain) {
  const after = new Date(`${following(key, grain)}T00:00:00Z`);
  after.setUTCDate(after.getUTCDate() - 1);
  return [key, after.toISOString().slice(0, 10)];
}

/** The first and the last day of a report's period as far as it has passed; none where it has no bounds ("all"). */
export function daysOfPeriod({ from, to }, timeZone, now = new Date()) {
  const [first, end] = [instant(from), instant(to)];
  if (!first || !end || first < BEFORE_SPOTIFY) return [];
  const dayOf = (moment) => moment.toLocaleDateString("sv", { timeZone }); // written as YYYY-MM-DD
  return [dayOf(first), dayOf(new Date(Math.min(end - 1, now)))].sort();
}

/** The day on which the day, week (from Monday), month or year of a day starts. */
function startOf(day, grain) {
  if (grain === "year") return `${day.slice(0, 4)}-01-01`;
  if (grain === "month") return `${day.slice(0, 7)}-01`;
  if (grain === "day") return day;
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  return date.toISOString().slice(0, 10);
}

/** Every day, week, month or year from the first to the last of `keys` (YYYY-MM-DD), at most MOST_STEPS. */
export function stepsBetween(keys, grain) {
  const sorted = [...keys].sort();
  const steps = [];
  for (let key = sorted[0]; key <= sorted.at(-1) && steps.length < MOST_STEPS; key = following(key, grain)) steps.push(key);
  return steps;
}

function following(key, grain) {
  const date = new Date(`${key}T00:00:00Z`);
  if (grain === "day") date.setUTCDate(date.getUTCDate() + 1);
  else if (grain === "week") date.setUTCDate(date.getUTCDate() + 7);
  else if (grain === "month") date.setUTCMonth(date.getUTCMonth() + 1);
  else date.setUTCFullYear(date.getUTCFullYear() + 1);
  return date.toISOString().slice(0, 10);
}

function labelOf(key, grain) {
  if (grain === "year") return key.slice(0, 4);
  return grain === "month" ? month(key) : day(key);
}

/** The moment at which clocks of a time zone show "2026-03-29T02:30"; where they never do, the one that they skip to. */
export function instantIn(local, timeZone) {
  const wanted = Date.parse(`${local}Z`);
  const offsetAt = (moment) => Date.parse(`${new Date(moment).toLocaleString("sv", { timeZone }).replace(" ", "T")}Z`) - moment;
  const first = wanted - offsetAt(wanted);
  return new Date(wanted - offsetAt(first));
}
