// One genre: its share, its artists, tracks and albums, and its months.

import { lineChart } from "./charts.js";
import { bdi, figure, h, replace } from "./dom.js";
import { count, hours, moment, number } from "./format.js";
import { emptyState, reportPanel, retried, sqlDetails } from "./panel.js";
import { longList, rankedList } from "./ranked.js";
import { runReport } from "./reports.js";
import { selectors } from "./selectors.js";
import { filled, partialSteps } from "./spans.js";
import { href, selection } from "./state.js";

const TOP = 15;

export async function render(main, { args: [genre = ""], signal }) {
  document.title = `${genre} · Listening lake`;
  const figures = h("dl.figures", null, Array.from({ length: 5 }, () => h("div.figure", null, h("dt", null, " "), h("dd", null, h("div.skeleton.line")))));
  const known = h("p.muted.small", null);
  replace(main,
    h("div.page-head", null,
      h("div", null, h("p.small", null, h("a", { href: href("reports", ["genres"]) }, "Genres")), h("h1", null, bdi(genre)), known),
      selectors({ signal })),
    h("div.stack", null, figures, h("div.grid", null, parts(genre, signal))));
  await retried(figures, signal, () => showFigures(figures, genre, signal));
  const { records: [row] } = await runReport("genres", { limit: 1 }, signal);
  known.textContent = row ? `${number(row.percent_known)}% of the plays in the period have a known genre.` : "";
}

async function showFigures(place, genre, signal) {
  const result = await runReport("dashboard_genre", { genre }, signal);
  const [row] = result.records;
  if (!row) return replace(place, h("div.figure", null, emptyState("Nothing of this genre was heard in the period. Choose a longer one.")));
  const { timezone } = selection();
  replace(place,
    figure("Plays", count(row.plays), `${number(row.percent_of_plays)}% of all music`),
    figure("Listening time", hours(row.hours), `${number(row.percent_of_time)}% of all music`),
    figure("Artists", count(row.artists)),
    figure("Rank", `#${count(row.place)}`, "among the genres, by plays"),
    ...[["First listen", row.first_listen], ["Last listen", row.last_listen]].filter(([, at]) => at)
      .map(([title, at]) => figure(title, h("span.date", null, moment(at, timezone, { dateStyle: "medium" })), "in the period")));
  place.after(sqlDetails(result));
  return place;
}

function parts(genre, signal) {
  const list = (items, title, kind, how) => reportPanel({
    report: "dashboard_genre_tops", values: { genre, items, limit: TOP }, title, hint: "In the chosen period", viewName: "List", wide: "third start", signal, tall: 400,
    empty: "Nothing of this genre was heard in the period. Choose a longer one.",
    view: (result) => h("div.stack", null, longList(result, "dashboard_genre_tops", (records) => rankedList(kind, records, { name: ({ item }) => item, compare: false, key: ({ item }) => (kind === "track" ? null : item), signal, ...how }), { genre, items })),
  });
  const byArtist = { by: ({ artist }) => artist, args: ({ artist, item }) => [artist, item] };
  return [
    reportPanel({
      report: "dashboard_genre_months", values: { genre }, title: "Over time", hint: "Percent of each month’s plays of music", signal, tall: 250, empty: "Not heard yet.",
      view: ({ records }) => {
        const rows = filled(records, "month", { by: "month", values: ["percent_of_plays"] });
        return lineChart({
          labels: rows.map(({ label }) => label), series: [{ name: "Percent of plays", values: rows.map((row) => row.percent_of_plays) }],
          label: `Share of ${genre} by month`, tall: 250, partial: partialSteps(rows, "month", []),
        });
      },
    }),
    list("artists", "Top artists", "artist", { args: ({ item }) => [item] }), list("tracks", "Top tracks", "track", byArtist), list("albums", "Top albums", "album", byArtist),
  ];
}
