// Where the reader is: page, arguments and selection, all in the address after "#", so that a link shows the same.
// #/artist/4tZ...?period=1y&timezone=Europe%2FBerlin&user=anna

const SELECTION = ["period", "from", "to", "timezone", "user"];
export const DEFAULT_PERIOD = "1y";

/** The route in the address: {page, args, query}. */
export function route(hash = location.hash) {
  const [, path, search] = /^#?\/?([^?]*)\??([^]*)$/.exec(hash);
  const [page, ...args] = path.split("/").map(decode);
  return { page: page || "overview", args, query: Object.fromEntries(new URLSearchParams(search ?? "")) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function localTimeZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** What is selected: period (or from and to), time zone, listener. */
export function selection({ query } = route()) {
  return {
    period: query.period || DEFAULT_PERIOD,
    from: query.from || "",
    to: query.to || "",
    timezone: query.timezone || localTimeZone(),
    user: query.user || "",
  };
}

/** The address of a page; the selection goes along. */
export function href(page, args = [], query = {}) {
  const kept = selection();
  const all = { ...Object.fromEntries(SELECTION.map((name) => [name, kept[name]])), ...query };
  const search = new URLSearchParams(Object.entries(all).filter(([, value]) => value !== "" && value !== undefined && value !== null));
  return `#/${[page, ...args].map(encodeURIComponent).join("/")}?${search}`;
}

/** Change the query of the page that is shown, in place or as a new step of the browser's history. */
export function change(query, { step = true } = {}) {
  const here = route();
  const address = href(here.page, here.args, { ...here.query, ...query });
  if (step) location.hash = address;
  else history.replaceState(null, "", address);
}

/** The values a report takes from the selection: only those that it declares. */
export function valuesFor(report, extra = {}) {
  const chosen = { ...selection(), ...extra };
  const names = new Set(report.parameters.map((parameter) => parameter.name));
  const values = {};
  for (const name of names) if (chosen[name] !== undefined && chosen[name] !== "") values[name] = chosen[name];
  if (names.has("period") && chosen.from && chosen.to && extra.period === undefined) {
    values.from = chosen.from;
    values.to = chosen.to;
  }
  return values;
}
