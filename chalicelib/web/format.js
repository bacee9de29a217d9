// Numbers, dates and durations as people read them, in English as the page's words are: the reader's own, where it is
// one of the browser's languages.

export const LOCALE = navigator.languages?.find((language) => /^en\b/i.test(language)) ?? "en-GB";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const hundredth = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 2 });
const fine = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 6 });
const compact = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 0 });

export const NOTHING = "–";
export const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]; // 1 is Monday

export function count(value) {
  return isNumber(value) ? whole.format(value) : NOTHING;
}

/** "1 row", "1,234 rows". */
export function rowsOf(value) {
  return `${count(value)} ${Number(value) === 1 ? "row" : "rows"}`;
}

/** A number of any size or precision. */
export function number(value) {
  if (!isNumber(value)) return NOTHING;
  const size = Math.abs(Number(value));
  if (Number.isInteger(Number(value)) || size >= 10_000) return whole.format(value);
  return fine.format(value);
}

export function short(value) {
  if (!isNumber(value)) return NOTHING;
  const size = Math.abs(value);
  return (size < 10 ? hundredth : size < 10_000 ? tenth : compact).format(value);
}

export function share(value) {
  return isNumber(value) ? percent.format(value) : NOTHING;
}

export function hours(value) {
  if (!isNumber(value)) return NOTHING;
  return `${Math.abs(value) < 100 ? tenth.format(value) : whole.format(value)} h`;
}

/** Hours, minutes and seconds of so many seconds: "1 h 20 min", "45 s". */
export function duration(seconds) {
  if (!isNumber(seconds)) return NOTHING;
  const all = Math.round(Number(seconds));
  if (all < 60) return Number(seconds) < 10 && seconds > 0 ? `${tenth.format(seconds)} s` : `${all} s`;
  if (all < 3600) return `${Math.floor(all / 60)} min ${String(all % 60).padStart(2, "0")} s`;
  if (all < 172_800) return `${Math.floor(all / 3600)} h ${Math.round((all % 3600) / 60)} min`;
  return `${whole.format(all / 86_400)} days`;
}

export function bytes(value) {
  if (!isNumber(value)) return NOTHING;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log10(value) / 3)) : 0;
  return `${tenth.format(value / 1000 ** step)} ${units[step]}`;
}

/** A day such as 2026-11-20 (no time zone applies). */
export function day(text) {
  const found = /^(\d{4})-(\d{2})-(\d{2})/.exec(text ?? "");
  if (!found) return text ?? NOTHING;
  const date = new Date(Date.UTC(found[1], found[2] - 1, found[3]));
  return date.toLocaleDateString(LOCALE, { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });
}

/** The month of a day: "Nov 2026". */
export function month(text) {
  return new Date(`${String(text).slice(0, 7)}-01T00:00:00Z`).toLocaleDateString(LOCALE, { timeZone: "UTC", month: "short", year: "numeric" });
}

/** A moment (RFC 3339 UTC, or SQL's "2026-11-20 10:15:30.000") in a time zone. */
export function moment(text, timeZone = "UTC", styles = { dateStyle: "medium", timeStyle: "short" }) {
  const date = instant(text);
  if (!date) return text ?? NOTHING;
  return date.toLocaleString(LOCALE, { timeZone, ...styles });
}

export function ago(text, now = Date.now()) {
  const date = instant(text);
  if (!date) return NOTHING;
  const seconds = (now - date) / 1000;
  if (seconds < 0) return `in ${duration(-seconds)}`;
  return seconds < 5 ? "just now" : `${coarse(seconds)} ago`;
}

export function coarse(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function instant(text) {
  if (!text) return null;
  const sql = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$/.test(text);
  const bare = /^\d{4}-\d\d-\d\dT[\d:.]+$/.test(text);
  const date = new Date(sql ? `${text.replace(" ", "T")}Z` : bare ? `${text}Z` : text);
  return Number.isNaN(date.valueOf()) ? null : date;
}

/** "Tracks saved" of tracks_saved. */
export function words(name) {
  const text = String(name).replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function isNumber(value) {
  return value !== null && value !== undefined && value !== "" && Number.isFinite(Number(value));
}
