// The overview: how much, when, and what most, in the chosen period against the one before.

import { barChart, heatMap, lineChart } from "./charts.js";
import { figure, h, replace } from "./dom.js";
import { WEEKDAYS, count, day, hours, share } from "./format.js";
import { emptyState, panel, reportPanel, retried, sqlDetails } from "./panel.js";
import { longList, rankedList } from "./ranked.js";
import { runReport } from "./reports.js";
import { listeners, selectors } from "./selectors.js";
import { href, selection } from "./state.js";
import { daysOfPeriod, daysOfStep, filled, fitted, grainOf, partialSteps } from "./spans.js";

const TOP = 10; // rows of a ranked list, before more are asked for
const FEW = 3; // steps of a chart that say too little: days say more
const BARS = 14; // steps that are drawn as bars; more are a line

export async function render(main, { signal }) {
  const totals = h("dl.figures", { "aria-label": "Totals of the period" }, ["Plays", "Listening time", "Artists", "New artists"].map((name) =>
    h("div.figure", null, h("dt", null, name), h("dd", null, h("div.skeleton.line")))));
  const place = h("div.stack", null, totals);
  replace(main, h("div.page-head", null, h("div", null, h("h1", null, "Overview"))), place);
  // What is asked first is answered first: the figures, the chart below them, the rest.
  const ready = retried(totals, signal, () => showTotals(totals, signal));
  place.append(h("div.grid", null, panels(signal)));
  const found = listeners(signal);
  main.firstChild.append(selectors({ signal, found }));
  await ready;
  if (!(await found).length) replace(main, h("div.page-head", null, h("h1", null, "Overview")), welcome());
}

function panels(signal) {
  const grain = grainOf(selection());
  return [
    overTimePanel(grain, signal),
    reportPanel({
      report: "listening_by_hour_and_weekday", title: "When you listen", hint: "Plays by hour of the day and weekday", wide: "two-thirds", signal, tall: 236,
      view: clock,
    }),
    reportPanel({
      report: "discovery", title: "Discovery", hint: "Artists new to you, by month", wide: "third", signal, tall: 236,
      empty: "No artist was heard for the first time in this period.",
      view: discovery,
    }),
    tops("top_artists", "Top artists", "artist", signal, {
      name: ({ artist }) => artist, args: ({ artist }) => [artist],
    }),
    tops("top_tracks", "Top tracks", "track", signal, {
      name: ({ track }) => track, by: ({ artist }) => artist, args: ({ artist, track }) => [artist, track], key: ({ track_id }) => track_id,
    }),
    tops("top_albums", "Top albums", "album", signal, {
      name: ({ album }) => album, by: ({ artist }) => artist, args: ({ artist, album }) => [artist, album],
    }),
  ];
}

function tops(report, title, kind, signal, how) {
  return reportPanel({
    report, values: { limit: TOP }, title, viewName: "List", wide: "third", signal, tall: 480,
    view: (result) => h("div.stack", null, longList(result, report, (records) => rankedList(kind, records, {
      ...how, signal, compare: result.values.previous_from !== result.values.from && records.some(({ place_before: before }) => before !== null),
    }))),
  });
}

async function showTotals(place, signal) {
  const result = await runReport("dashboard_totals", {}, signal);
  const { records: [row], values } = result;
  const ever = values.previous_from === values.from;
  const nothingBefore = !row.plays_before && !row.hours_before;
  const words = (now, before, show) => (ever ? "over all time" : nothingBefore ? null : changeOf(now, before, show));
  const compared = (name, show, now, before) => figure(name, show(now), words(now, before, show));
  replace(place,
    compared("Plays", count, row.plays, row.plays_before),
    compared("Listening time", hours, row.hours, row.hours_before),
    compared("Artists", count, row.artists, row.artists_before),
    compared("New artists", count, row.new_artists, row.new_artists_before));
  place.after(sqlDetails(result));
}

function changeOf(now, before, show) {
  if (!before) return now ? "none in the period before" : "as in the period before";
  const part = (now - before) / before;
  if (Math.abs(part) < 0.005) return "as in the period before";
  return [h("span", { class: part > 0 ? "up" : "down" }, h("span", { "aria-hidden": "true" }, part > 0 ? "▲ " : "▼ "), h("span.visually-hidden", null, part > 0 ? "up " : "down "), share(Math.abs(part))), ` against ${show(before)} before`];
}

const MEASURES = { plays: "Plays", hours: "Hours" };

/** The panel of listening over time, with its own choice of plays or hours. */
function overTimePanel(grain, signal) {
  let measure = "plays";
  let rows = [];
  let shown = grain; // days, where the period has seen little yet
  let partial = [];
  const place = h("div.panel-body");
  const hint = h("span", null, `By ${grain}`);
  const draw = () => {
    const known = rows.filter((row) => row[measure] !== null).length;
    const chart = known <= BARS ? barChart : lineChart;
    replace(place, chart({
      labels: rows.map(({ label }) => label), series: [{ name: MEASURES[measure], values: rows.map((row) => row[measure]) }],
      unit: measure === "hours" ? hours : count, label: `${MEASURES[measure]} by ${shown}`, tall: 250, partial,
      onChoose: (at) => {
        const [from, to] = daysOfStep(rows[at].key, shown);
        location.hash = href("listens", [], { from, to });
      },
    }));
    const since = rows.length && rows[0].since ? ` since ${day(rows[0].key)}` : "";
    hint.textContent = `By ${shown}${since}${partial.length ? `; ${known <= BARS ? "paler" : "dashed"}: not a whole ${shown}` : ""}`;
  };
  const choice = h("select", { "aria-label": "Measure", onchange: () => {
    measure = choice.value;
    draw();
  } }, Object.entries(MEASURES).map(([value, text]) => h("option", { value }, text)));
  return panel({
    title: "Listening over time", hint, signal, tall: 250, tools: choice,
    load: async (stop) => {
      const found = await runReport("listening_over_time", { unit: grain }, stop);
      if (grain === "day" || !found.rows.length || found.rows.length > FEW) return found;
      return runReport("listening_over_time", { unit: "day" }, stop);
    },
    view: ({ records, values }) => {
      shown = values.unit;
      const period = daysOfPeriod(values, selection().timezone);
      const all = filled(records, shown, { by: "start", values: ["plays", "minutes"], period })
        .map((row) => ({ ...row, hours: row.minutes === null ? null : row.minutes / 60 }));
      rows = fitted(all, "plays");
      if (rows.length < all.length) rows[0] = { ...rows[0], since: true };
      partial = partialSteps(rows, shown, period);
      draw();
      return place;
    },
  });
}

export function clock({ records }) {
  const known = new Map(records.map(({ hour, weekday, plays }) => [`${hour} ${weekday}`, plays]));
  return heatMap({
    columns: Array.from({ length: 24 }, (_, hour) => String(hour)), rows: WEEKDAYS, what: "plays", label: "Plays by hour of the day and weekday",
    value: (x, y) => known.get(`${x} ${y + 1}`),
    describe: (hour, weekday, plays) => `${weekday} ${hour.padStart(2, "0")}:00 – ${count(plays)} plays`,
    onChoose: ({ x, y }) => { location.hash = href("listens", [], { hour: x, weekday: y + 1 }); },
  });
}

function discovery({ records }) {
  if (!records.some((row) => row.new_artists > 0)) return emptyState("No artist was heard for the first time in this period.");
  const months = filled(records, "month", { by: "month", values: ["new_artists"] });
  return barChart({
    labels: months.map(({ label }) => label), series: [{ name: "New artists", values: months.map((row) => row.new_artists) }],
    label: "Artists heard for the first time, by month", tall: 236, onChoose: (at) => {
      const [from, to] = daysOfStep(months[at].key, "month");
      location.hash = href("listens", [], { from, to });
    },
  });
}

function welcome() {
  return h("div.panel", null, h("div.state", null,
    h("strong", null, "The lake is empty"),
    h("p", null, "Two ways to fill it, in any order:"),
    h("div.row", null,
      h("a.button.primary", { href: href("pipeline") }, "Start a run"),
      h("a.button", { href: href("pipeline") }, "Import your privacy export")),
    h("p.small", null, "A run fetches what Spotify knows of you now (the last 50 plays, your library, playlists). The export brings every listen since your account began.")));
}
