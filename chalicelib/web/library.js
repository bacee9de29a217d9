// Library and playlists: what is saved, how it grew, when it was made, and what changed between versions.

import { barChart, lineChart } from "./charts.js";
import { bdi, h, replace } from "./dom.js";
import { ago, count, day, moment, month, words } from "./format.js";
import { reportPanel } from "./panel.js";
import { selectors } from "./selectors.js";
import { queryHref } from "./query_copies.js";
import { daysOfStep, stepsBetween } from "./spans.js";
import { href, selection } from "./state.js";
import { plainTable } from "./table.js";
import { tableHref } from "./table_sql.js";

export async function render(main, { signal }) {
  replace(main,
    h("div.page-head", null,
      h("div", null, h("h1", null, "Library and playlists"), h("p.lead", null, "What is saved and followed now, and what changed since the lake began to look.")),
      selectors({ signal, period: false })),
    h("div.grid", null,
      reportPanel({
        report: "library_overview", title: "What the lake holds", viewName: "Numbers", signal, tall: 90,
        view: ({ records }) => h("dl.figures", null, records.map(({ what, number }) => h("div.figure", null, h("dt", null, words(what)), h("dd", null, count(number))))),
      }),
      reportPanel({
        report: "dashboard_library_growth", title: "Growth", hint: "Saved tracks and albums, by the month they were added", wide: "half", signal, tall: 260, view: growth,
        empty: "Nothing is saved, or no run has read the library yet.",
      }),
      reportPanel({
        report: "dashboard_library_years", title: "Release years", hint: "When what you saved came out", wide: "half", signal, tall: 260, view: years,
        empty: "No release dates yet: they come with the albums that runs fetch.",
      }),
      reportPanel({
        report: "dashboard_playlists", title: "Playlists", hint: "Choose one to see what it holds", viewName: "List", wide: "half", signal, tall: 300, view: playlists,
        empty: "No playlist has been read yet: start a run on the pipeline page.",
      }),
      reportPanel({
        report: "dashboard_playlist_changes", title: "Changes of playlists", viewName: "List", wide: "half", signal, tall: 300,
        hint: "Between two versions that the lake has read", view: changes,
        empty: "No playlist has changed between two runs yet.",
      }),
      reportPanel({
        report: "saved_never_played", title: "Saved, never played", hint: "Longest saved first", viewName: "List", signal, tall: 200,
        view: neverPlayed, empty: "Nothing is saved, or all of it has been played.",
      })));
}

function growth({ records }) {
  const months = stepsBetween(records.map(({ month }) => String(month).slice(0, 10)), "month");
  const kinds = [...new Set(records.map(({ item_type: kind }) => kind))].sort().reverse();
  const known = new Map(records.map((row) => [`${String(row.month).slice(0, 10)} ${row.item_type}`, Number(row.saved)]));
  const series = kinds.map((kind) => {
    let saved = 0;
    return { name: `${words(kind)}s`, values: months.map((key) => {
      saved = known.get(`${key} ${kind}`) ?? saved;
      return saved;
    }) };
  });
  return lineChart({
    labels: months.map(month), series, label: "Saved tracks and albums over time", onChoose: (at) => {
      const [first, last] = daysOfStep(months[at], "month");
      location.hash = tableHref("saved_items", [["added_at", "from", `${first} 00:00:00`], ["added_at", "to", `${last} 23:59:59.999`]], "added_at");
    },
  });
}

function years({ records }) {
  const first = Number(records[0].release_year);
  const last = Number(records.at(-1).release_year);
  const known = new Map(records.map((row) => [Number(row.release_year), row]));
  const labels = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const of = (name) => labels.map((year) => Number(known.get(year)?.[name] ?? 0));
  return barChart({ labels: labels.map(String), series: [{ name: "Tracks", values: of("tracks") }, { name: "Albums", values: of("albums") }], label: "Saved tracks and albums by release year", stacked: true, onChoose: (at) => { location.hash = queryHref(savedOf(labels[at])); } });
}

/** The saved tracks of a release year. */
function savedOf(year) {
  return `SELECT tracks.name AS item_name, artists.name AS artist_name, albums.name AS album_name, saved_items.added_at
FROM saved_items
JOIN tracks ON tracks.track_id = saved_items.item_id
JOIN albums ON albums.album_id = tracks.album_id
LEFT JOIN track_artists ON track_artists.track_id = tracks.track_id AND track_artists.position = 0
LEFT JOIN artists ON artists.artist_id = track_artists.artist_id
WHERE saved_items.item_type = 'track' AND albums.release_year = ${year}
ORDER BY saved_items.added_at`;
}

function playlists({ records }) {
  return plainTable({ records }, {
    caption: "Playlists",
    columns: {
      name: { title: "Playlist", wide: true, show: (name, row) => h("a", { href: href("playlist", [row.playlist_id]) }, bdi(name || "untitled")) },
      total_items: { title: "Items", right: true, show: (value) => count(value) },
      last_addition: { title: "Last addition", show: (value) => (value ? day(value) : h("span.muted", null, "unknown")) },
      versions: { title: "Versions", right: true, show: (value) => count(value) },
    },
  });
}

function changes({ records }) {
  const { timezone } = selection();
  return plainTable({ records }, {
    caption: "Changes of playlists",
    columns: {
      item: { title: "Item", wide: true, show: (value, row) => [bdi(value ?? row.item_uri), h("br"), h("span.muted", null, "in ", bdi(row.playlist ?? "a playlist that is gone"))] },
      change: { title: "Change", show: (value) => h("span.badge", { class: value === "added" ? "good" : "bad" }, value) },
      seen_at: { title: "Seen", show: (value) => h("span", { title: moment(value, timezone) }, ago(value)) },
    },
  });
}

function neverPlayed({ records }) {
  return plainTable({ records }, {
    caption: "Saved, never played",
    columns: {
      track: { title: "Track", wide: true, show: (name, row) => (name && row.artist ? h("a", { href: href("track", [row.artist, name]) }, bdi(name)) : bdi(name ?? row.track_id)) },
      artist: { title: "Artist", wide: true, show: (name) => (name ? h("a", { href: href("artist", [name]) }, bdi(name)) : h("span.muted", null, "unknown")) },
      added_at: { title: "Saved", show: (value) => day(value) },
    },
  });
}
