// One artist, album or track: first and last listen, history, tops, rank.

import { lineChart } from "./charts.js";
import { cover, fillCovers } from "./covers.js";
import { bdi, figure, h, replace } from "./dom.js";
import { count, hours, moment, share } from "./format.js";
import { outside } from "./links.js";
import { emptyState, reportPanel, retried, sqlDetails } from "./panel.js";
import { plainTable } from "./table.js";
import { longList, rankedList } from "./ranked.js";
import { runReport } from "./reports.js";
import { selectors } from "./selectors.js";
import { filled, partialSteps } from "./spans.js";
import { href, selection } from "./state.js";

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
        h("div", null, h("p.kind", null, { artist: "Artist", album: "Album", track: "Track" }[kind]), h("h1", null, bdi(title)),
          name && h("p", null, "by ", h("a", { href: href("artist", [artist]) }, bdi(artist))), out)),
      selectors({ signal })),
    h("div.stack", null, figures, h("div.grid", null, parts(kind, about, signal))));
  fillCovers(kind === "track" ? "album" : kind, kind === "track" ? [] : [{ place: picture, key: title }], signal);
  await retried(figures, signal, () => showFigures(figures, about, { picture, out, signal }));
}

function parts(kind, about, signal) {
  const { artist, name } = about;
  const list = (items, title, to, how) => reportPanel({
    report: "dashboard_item_tops", values: { ...about, items, limit: 15 }, title, hint: "In the chosen period", viewName: "List", wide: "half start", signal, tall: 400,
    view: (result) => h("div.stack", null, longList(result, "dashboard_item_tops", (records) => rankedList(to, records, { name: ({ item }) => item, args: how, compare: false, key: () => null, signal }), { ...about, items })),
    empty: "Not heard in the chosen period. Choose a longer one.",
  });
  const history = reportPanel({
    report: "dashboard_item_months", values: about, title: "History", hint: "Plays by month, since the first listen", signal, tall: 250, empty: "Not heard yet.",
    view: ({ records }) => {
      const today = new Date().toISOString().slice(0, 10);
      const rows = filled(records, "month", { by: "month", values: ["plays"], period: [today] });
      return lineChart({ labels: rows.map(({ label }) => label), series: [{ name: "Plays", values: rows.map(({ plays }) => plays) }], label: `Plays of ${name || artist} by month`, tall: 250, partial: partialSteps(rows, "month", []) });
    },
  });
  const ranks = reportPanel({
    report: "dashboard_ranks", values: about, title: "Rank by month", hint: "The place among all, 1 at the top", signal, tall: 200, empty: "Not heard yet.",
    view: ({ records }) => {
      const rows = filled(records, "month", { by: "month", values: ["place"] }).map((row) => ({ ...row, place: row.place || null }));
      return lineChart({ labels: rows.map(({ label }) => label), series: [{ name: "Rank", values: rows.map(({ place }) => place) }], label: `Rank of ${name || artist} by month`, tall: 200, upsideDown: true });
    },
  });
  if (kind === "artist") {
    return [history, ranks, list("tracks", "Top tracks", "track", ({ item }) => [artist, item]), list("albums", "Top albums", "album", ({ item }) => [artist, item]), details(kind, about, signal)];
  }
  if (kind === "album") return [history, ranks, list("tracks", "Tracks", "track", ({ item }) => [artist, item]), details(kind, about, signal)];
  return [history, ranks, list("albums", "Played from these albums", "album", ({ item }) => [artist, item]), details(kind, about, signal)];
}

async function showFigures(place, about, { picture, out, signal }) {
  const result = await runReport("dashboard_item", about, signal);
  const [row] = result.records;
  if (!row) {
    const nobody = selection().user ? "This listener has not" : "Nobody here has";
    return place.parentNode.replaceChildren(h("section.panel", null, emptyState(["No listens", `${nobody} listened to anything of this name.`])));
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
  const filters = { artist: about.artist, ...(about.kind !== "artist" && { [about.kind === "album" ? "album" : "name"]: about.name }) };
  replace(out,
    outside(there), " ",
    h("a.small", { href: href("listens", [], filters) }, "All its listens"));
  return place;
}

/** What Spotify says of an album or track; filled in by later runs, so it may be missing. */
function details(kind, { artist, name }, signal) {
  return reportPanel({
    report: "dashboard_item_details", values: { kind, artist, name }, title: "Details", hint: "As Spotify describes it", viewName: "Details", wide: "half start", signal, tall: 200,
    view: ({ records }) => plainTable({ columns: [{ name: "what", type: "varchar" }, { name: "value", type: "varchar" }], records, rows: records }, { caption: "Details" }),
    empty: "Spotify’s details have not arrived yet; later runs fetch them, most played first.",
  });
}
