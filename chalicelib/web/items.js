// One artist, album, track or show: first and last listen, history, tops, rank, hours.

import { barChart, lineChart } from "./charts.js";
import { cover, fillCovers } from "./covers.js";
import { bdi, figure, h, replace } from "./dom.js";
import { count, hours, moment, share } from "./format.js";
import { leaveOutButton } from "./exclusions.js";
import { genreLinks, outside } from "./links.js";
import { listenList } from "./listens.js";
import { emptyState, reportPanel, retried, sqlDetails } from "./panel.js";
import { plainTable } from "./table.js";
import { longList, rankedList } from "./ranked.js";
import { runReport } from "./reports.js";
import { selectors } from "./selectors.js";
import { daysOfStep, filled, partialSteps } from "./spans.js";
import { href, selection } from "./state.js";
import { tableHref } from "./table_sql.js";

const KINDS = { artist: "Artist", album: "Album", track: "Track", show: "Podcast" };

export async function render(main, { page: kind, args: [artist, name = ""], signal }) {
  const title = name || artist || "unknown";
  document.title = `${title} · Listening lake`;
  const picture = cover(title, { large: true, round: kind === "artist" });
  const figures = h("dl.figures", null, Array.from({ length: 5 }, () => h("div.figure", null, h("dt", null, " "), h("dd", null, h("div.skeleton.line")))));
  const out = h("span", null);
  const about = { kind, artist, name };
  replace(main,
    h("div.page-head", null,
      h("div.item-head", null, picture,
        h("div", null, h("p.kind", null, KINDS[kind]), h("h1", null, bdi(title)),
          name && h("p", null, "by ", h("a", { href: href("artist", [artist]) }, bdi(artist))), out)),
      selectors({ signal })),
    h("div.stack", null, figures, h("div.grid", null, parts(about, signal)),
      kind === "show" && h("section.panel", { "aria-label": "Listens" }, h("h2", null, "Episodes heard"), listenList({ kind: "episode", artist }, signal))));
  if (kind === "artist" || kind === "album") fillCovers(kind, [{ place: picture, key: title }], signal);
  await retried(figures, signal, () => showFigures(figures, about, { picture, out, signal }));
}

/** What the list of listens is asked for, for those of this alone. */
function filtersOf({ kind, artist, name }) {
  if (kind === "show") return { kind: "episode", artist };
  return { artist, ...(kind !== "artist" && { [kind === "album" ? "album" : "name"]: name }) };
}

function parts(about, signal) {
  const { kind, artist, name } = about;
  const list = (items, title, how) => reportPanel({
    report: "dashboard_item_tops", values: { ...about, items, limit: 15 }, title, hint: "In the chosen period", viewName: "List", wide: "half start", signal, tall: 400,
    view: (result) => h("div.stack", null, longList(result, "dashboard_item_tops", (records) => rankedList(items === "albums" ? "album" : "track", records, { name: ({ item }) => item, compare: false, key: () => null, signal, ...how }), { ...about, items })),
    empty: "Not heard in the chosen period. Choose a longer one.",
  });
  const named = { args: ({ item }) => [artist, item] };
  const episodes = { address: ({ item }) => href("listens", [], { ...filtersOf(about), name: item }) };
  const lists = {
    artist: [["tracks", "Top tracks", named], ["albums", "Top albums", named]], album: [["tracks", "Tracks", named]], track: [["albums", "Played from these albums", named]],
    show: [["tracks", "Top episodes", episodes]],
  };
  return [
    history(about, signal), ranks(about, signal), ...lists[kind].map((each) => list(...each)), hoursPanel(about, signal),
    kind !== "show" && details({ kind, artist, name: name || artist }, signal),
  ];
}

function history(about, signal) {
  return reportPanel({
    report: "dashboard_item_months", values: about, title: "History", hint: "Plays by month, since the first listen; choose one to see them", signal, tall: 250, empty: "Not heard yet.",
    view: ({ records }) => {
      const today = new Date().toISOString().slice(0, 10);
      const rows = filled(records, "month", { by: "month", values: ["plays"], period: [today] });
      return lineChart({
        labels: rows.map(({ label }) => label), series: [{ name: "Plays", values: rows.map(({ plays }) => plays) }], label: `Plays of ${about.name || about.artist} by month`, tall: 250,
        partial: partialSteps(rows, "month", []), onChoose: (at) => toListens(about, rows[at].key),
      });
    },
  });
}

function ranks(about, signal) {
  return reportPanel({
    report: "dashboard_ranks", values: about, title: "Rank by month", hint: "The place among all, 1 at the top", signal, tall: 200, empty: "Not heard yet.",
    view: ({ records }) => {
      const rows = filled(records, "month", { by: "month", values: ["place"] }).map((row) => ({ ...row, place: row.place || null }));
      return lineChart({
        labels: rows.map(({ label }) => label), series: [{ name: "Rank", values: rows.map(({ place }) => place) }], label: `Rank of ${about.name || about.artist} by month`, tall: 200, upsideDown: true,
        onChoose: (at) => toListens(about, rows[at].key),
      });
    },
  });
}

function hoursPanel(about, signal) {
  return reportPanel({
    report: "dashboard_item_hours", values: about, title: "Hour of the day", hint: "Plays in the chosen period; choose an hour to see them", wide: "half start", signal, tall: 220,
    empty: "Not heard in the chosen period. Choose a longer one.",
    view: ({ records }) => {
      const known = new Map(records.map(({ hour, plays }) => [Number(hour), Number(plays)]));
      const all = Array.from({ length: 24 }, (_, hour) => hour);
      return barChart({
        labels: all.map((hour) => `${String(hour).padStart(2, "0")}:00`), series: [{ name: "Plays", values: all.map((hour) => known.get(hour) ?? 0) }],
        label: `Plays of ${about.name || about.artist} by hour of the day`, tall: 220, onChoose: (hour) => { location.hash = href("listens", [], { ...filtersOf(about), hour }); },
      });
    },
  });
}

function toListens(about, month) {
  const [from, to] = daysOfStep(month, "month");
  location.hash = href("listens", [], { ...filtersOf(about), from, to });
}

async function showFigures(place, about, { picture, out, signal }) {
  const result = await runReport("dashboard_item", about, signal);
  const [row] = result.records;
  if (!row) {
    const nobody = selection().user ? "This listener has not" : "Nobody here has";
    const told = emptyState(["No listens", `${nobody} listened to anything of this name that counts.`]);
    return place.parentNode.replaceChildren(h("section.panel", null, told));
  }
  const { timezone } = selection();
  replace(place,
    figure("Plays", count(row.plays), `${count(row.plays_in_period)} in the period`),
    figure("Listening time", hours(row.hours), `${hours(row.hours_in_period)} in the period`),
    figure("Rank", `#${count(row.place)}`, row.place_in_period === null ? "not heard in the period" : `#${count(row.place_in_period)} in the period`),
    ...[["First listen", row.first_listen], ["Last listen", row.last_listen]].map(([title, at]) => figure(title, h("span.date", null, moment(at, timezone, { dateStyle: "medium" })), moment(at, timezone, { timeStyle: "short" }))),
    row.skipped !== null && figure("Skipped", share(row.skipped), "of the listens that say so"));
  place.after(sqlDetails(result));
  if (about.kind === "track" && row.item_id) fillCovers("track", [{ place: picture, key: row.item_id }], signal);
  const known = about.kind === "track" && /^[0-9A-Za-z]{22}$/.test(row.item_id ?? "");
  const there = known ? `track/${row.item_id}` : `search/${encodeURIComponent([about.name, about.artist].filter(Boolean).join(" "))}/${about.kind}s`;
  const filters = filtersOf(about);
  replace(out,
    outside(there), " ",
    h("a.small", { href: href("listens", [], filters) }, "All its listens"), " ",
    h("a.small", { href: tableHref("heard", conditionsOf(filters), "-heard_at") }, "Its rows in heard"),
    about.kind !== "album" && leaveOutButton(exclusionOf(about), about.name ? `${about.name}, by ${about.artist}` : about.artist));
  return place;
}

/** The request that leaves this out. */
function exclusionOf({ kind, artist, name }) {
  return { kind, artist_name: artist, ...(name && { item_name: name }) };
}

/** A list's filters as conditions of the table of listens. */
function conditionsOf({ kind, artist, album, name }) {
  return [kind && ["item_type", "is", kind], ["artist_name", "is", artist], album && ["album_name", "is", album], name && ["item_name", "is", name]].filter(Boolean);
}

/** What Spotify says of an album or track, and of an artist's genres; filled in by later runs, so it may be missing. */
function details(about, signal) {
  const shown = (value, { what }) => {
    if (what.startsWith("Genres")) return genreLinks(value.split(", "));
    return what === "Album" ? h("a", { href: href("album", [about.artist, value]) }, bdi(value)) : value;
  };
  return reportPanel({
    report: "dashboard_item_details", values: about, title: "Details", hint: "As Spotify describes it", viewName: "Details", wide: "half start", signal, tall: 200,
    view: ({ records }) => plainTable({ records }, { caption: "Details", columns: { what: { title: "What" }, value: { title: "Value", wide: true, show: shown } } }),
    empty: "Spotify’s details have not arrived yet; later runs fetch them, most played first.",
  });
}
