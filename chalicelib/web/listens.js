// Every listen, endless, narrowed down by what, when and how; and the days of a year at a glance.

import { heatMap } from "./charts.js";
import { bdi, button, h, notice, replace } from "./dom.js";
import { WEEKDAYS, count, day, duration, words } from "./format.js";
import { emptyState, reportPanel, retried } from "./panel.js";
import { runReport } from "./reports.js";
import { selectors } from "./selectors.js";
import { daysOfPeriod, stepsBetween } from "./spans.js";
import { change, href, route, selection } from "./state.js";

const PAGE = 100; // rows at a time
const WEEKS = 53; // of the calendar
const FILTERS = ["kind", "artist", "album", "name", "search", "weekday", "hour", "skipped", "order", "min_seconds"];
const CHOICES = {
  kind: ["What", { all: "Everything", track: "Music", episode: "Podcasts", audiobook: "Audiobooks" }],
  weekday: ["Day of the week", { 0: "Every day", ...Object.fromEntries(WEEKDAYS.map((name, index) => [index + 1, name])) }],
  hour: ["Hour", { "-1": "Every hour", ...Object.fromEntries(Array.from({ length: 24 }, (_, hour) => [hour, `${String(hour).padStart(2, "0")}:00`])) }],
  skipped: ["Skipped", { either: "Either", yes: "Skipped", no: "Not skipped" }],
  min_seconds: ["Counts as a play", { 30: "From 30 seconds", 0: "Every start" }],
  order: ["First", { newest: "Newest", oldest: "Oldest" }],
};
const DEFAULTS = { kind: "all", weekday: "0", hour: "-1", skipped: "either", min_seconds: "30", order: "newest" };

export async function render(main, { signal, query }) {
  const chosen = filtersOf(query);
  replace(main,
    h("div.page-head", null,
      h("div", null, h("h1", null, "Listens"), h("p.lead", null, "Every listen of the period. Choose a day of the calendar, or narrow the list down. ", h("a", { href: href("left-out") }, "What is left out"))),
      selectors({ signal })),
    h("div.stack", null,
      calendarPanel(chosen, signal),
      h("section.panel", { "aria-label": "Listens" }, filterForm(chosen), listenList(chosen, signal))));
}

/** What the address asks for, of what the report knows. */
export function filtersOf(query) {
  return Object.fromEntries(FILTERS.filter((name) => query[name] !== undefined && query[name] !== "").map((name) => [name, query[name]]));
}

function filterForm(chosen) {
  const set = (name, value) => change({ [name]: value === DEFAULTS[name] ? "" : value });
  const select = ([name, [title, options]]) => h("label.field", null, title, h("select", {
    id: `filter-${name}`, onchange: (event) => set(name, event.target.value),
  }, Object.entries(options).sort(([a], [b]) => (name === "hour" || name === "weekday" ? a - b : 0)).map(([value, text]) =>
    h("option", { value, selected: String(chosen[name] ?? DEFAULTS[name]) === value }, text))));
  const search = h("input", { type: "search", id: "filter-search", value: chosen.search ?? "", placeholder: "Title, artist or album", onchange: () => set("search", search.value.trim()) });
  const named = ["artist", "album", "name"].filter((name) => chosen[name]);
  return h("div.stack", null,
    h("form.selectors", { role: "search", "aria-label": "Narrow the list down", onsubmit: (event) => event.preventDefault() },
      h("label.field", null, "Holds", search), Object.entries(CHOICES).map(select)),
    named.length > 0 && h("div.row", null, named.map((name) => button(`${words(name)}: ${chosen[name]} ×`, { "aria-label": `Not only ${chosen[name]}`, onclick: () => change({ [name]: "" }) }))));
}

/** A list of listens that goes on when its end is asked for. `filters` are values of the report. */
export function listenList(filters, signal) {
  const body = h("tbody", null);
  const foot = h("div.row", null, h("div.skeleton.line", { "aria-hidden": "true" }));
  const table = h("div.table-wrap.tall", { tabindex: "0", role: "region", "aria-label": "List of listens" }, h("table", null,
    h("thead", null, h("tr", null, ["When", "What", "Artist or show", "Album", "Length"].map((title, at) => h("th", { scope: "col", class: at === 4 ? "right" : "" }, title)))), body));
  const place = h("div.stack", null, table, foot);
  let shown = 0;
  const load = async (last) => {
    const after = last ? { after: last.heard_at.replace("T", " ").replace("Z", ""), after_id: last.play_id } : {};
    const { records } = await runReport("dashboard_listens", { ...filters, ...after, limit: PAGE }, signal);
    if (!last && !records.length) return replace(place, emptyState("Nothing matches. Choose a longer period, or fewer conditions."));
    body.append(...records.map(listenRow));
    shown += records.length;
    return replace(foot, h("span.muted.small", null, `${count(shown)} shown`), records.length === PAGE && moreButton(() => load(records.at(-1)), signal));
  };
  retried(place, signal, () => load(null));
  return place;
}

/** A button that goes on by itself when it comes into sight. */
function moreButton(load, signal) {
  const more = button("Show more", { quiet: true, onclick: async () => {
    more.disabled = true;
    watcher.disconnect();
    await load().catch((fault) => {
      if (fault.name === "AbortError") return;
      more.disabled = false;
      notice(fault.message, { bad: true });
    });
  } });
  // Of several changes told at once, as to a busy browser, the last is how it is.
  const watcher = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && !more.disabled && more.click(), { rootMargin: "200px" });
  watcher.observe(more);
  signal?.addEventListener("abort", () => watcher.disconnect());
  return more;
}

function listenRow(row) {
  const music = row.item_type === "track";
  const artist = row.artist && h("a", { href: href(music ? "artist" : "show", [row.artist]) }, bdi(row.artist));
  return h("tr", null,
    h("td", null, `${day(row.heard_local)}, ${row.heard_local.slice(11, 16)}`),
    h("td.wide", null, music && row.artist && row.track ? h("a", { href: href("track", [row.artist, row.track]) }, bdi(row.track)) : bdi(row.track ?? "unknown"), row.skipped && h("span.muted.small", null, " skipped")),
    h("td.wide", null, artist ?? h("span.muted", null, "unknown")),
    h("td.wide", null, music && row.artist && row.album ? h("a", { href: href("album", [row.artist, row.album]) }, bdi(row.album)) : bdi(row.album ?? "")),
    h("td.right", null, row.minutes === null ? "–" : duration(row.minutes * 60)));
}

// --- the calendar ---

function calendarPanel(chosen, signal) {
  return reportPanel({
    report: "listening_over_time", values: { unit: "day", min_seconds: chosen.min_seconds }, title: "Calendar", hint: "Plays of each day; choose one to see it", signal, tall: 190,
    view: ({ records, values }) => calendar(records, daysOfPeriod(values, selection().timezone)),
  });
}

/** The last year of the period, a column a week from Monday to Sunday; a click shows the day's listens. */
export function calendar(records, period) {
  const known = new Map(records.map((row) => [String(row.start).slice(0, 10), Number(row.plays)]));
  const days = [...known.keys(), ...period].sort();
  const all = stepsBetween([days[0], days.at(-1)], "day");
  const monday = (all.findIndex((each) => new Date(`${each}T00:00:00Z`).getUTCDay() === 1) + 7) % 7;
  const first = Math.max(0, monday + 7 * Math.ceil((all.length - monday) / 7) - 7 * WEEKS);
  const shown = all.slice(first);
  const offset = (new Date(`${shown[0]}T00:00:00Z`).getUTCDay() + 6) % 7;
  const weeks = Math.ceil((shown.length + offset) / 7);
  const dayAt = (x, y) => shown[x * 7 + y - offset];
  return heatMap({
    columns: Array.from({ length: weeks }, (_, week) => (dayAt(week, 0) ?? shown[0]).slice(0, 7)), rows: WEEKDAYS, what: "plays", tall: 190,
    label: "Plays of each day", value: (x, y) => known.get(dayAt(x, y)),
    describe: (_column, _row, plays, { x, y }) => (dayAt(x, y) ? `${day(dayAt(x, y))} – ${count(plays)} plays` : ""),
    onChoose: ({ x, y }) => dayAt(x, y) && change({ ...route().query, from: dayAt(x, y), to: dayAt(x, y) }),
  });
}
