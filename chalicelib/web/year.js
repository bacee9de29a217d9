// A period as a story: cards, each with the report behind it, and one picture of all to save. Nothing leaves the browser.

import { barChart } from "./charts.js";
import { bdi, button, h, notice, replace, saveFile } from "./dom.js";
import { count, day, hours, month, number, share } from "./format.js";
import { genreLinks } from "./links.js";
import { emptyState, panel } from "./panel.js";
import { drawPoster } from "./poster.js";
import { rankedList } from "./ranked.js";
import { reports, runReport } from "./reports.js";
import { listenerField, listeners, selectors } from "./selectors.js";
import { daysOfPeriod, filled, partialSteps } from "./spans.js";
import { change, href, route, selection } from "./state.js";

const TOP = 5;
const NOTHING_HEARD = "Nothing was heard in this period. Choose another one.";

export async function render(main, { signal }) {
  const story = new Story(signal);
  const ways = story.ways();
  const cards = story.cards();
  const poster = h("section.panel.poster", { "aria-label": "The picture" }, story.canvas, h("div.row", null, ways, h("span.muted.small", null, "Drawn here in your browser; nothing is sent anywhere.")));
  replace(main,
    h("div.page-head", null,
      h("div", null, h("h1", null, "Year in review"), h("p.lead", null, "Any period in a dozen cards, each with its report.")),
      selectors({ signal, found: story.found })),
    h("div.stack", null, h("div.grid.cards", null, cards), poster));
  await story.ready();
  if (signal.aborted) return;
  poster.hidden = !(await story.draw()); // of nothing there is no picture
  if (poster.hidden) return;
  for (const way of ways) way.disabled = false;
}

class Story {
  constructor(signal) {
    this.signal = signal;
    this.asked = new Map(); // reports that several cards share, once each
    this.canvas = h("canvas", { role: "img", "aria-label": "The story in one picture" });
  }

  /** Whose listens there are: asked for after what the first cards show. */
  get found() {
    this.people ??= listeners(this.signal);
    return this.people;
  }

  cards() {
    const review = (what) => ({ report: "year_in_review", pick: (records) => records.find((row) => row.what === what) });
    return [
      this.card("Minutes", review("minutes"), (row) => [big(count(row.number)), said(`minutes, or ${hours(row.number / 60)}: about ${count(row.number / 1440)} days and nights.`)]),
      this.card("Plays", review("plays"), (row, records) => [big(count(row.number)), said(`plays on ${count(numberOf(records, "days with listening"))} days, of ${count(numberOf(records, "tracks"))} tracks by ${count(numberOf(records, "artists"))} artists.`)]),
      this.card("Compared", { report: "dashboard_totals", pick: ([row]) => (row.plays || row.plays_before) && row }, versus),
      this.list("Top artists", "top_artists", "artist", { name: ({ artist }) => artist, args: ({ artist }) => [artist] }),
      this.list("Top tracks", "top_tracks", "track", { name: ({ track }) => track, by: ({ artist }) => artist, args: ({ artist, track }) => [artist, track], key: ({ track_id: id }) => id }),
      this.list("Top albums", "top_albums", "album", { name: ({ album }) => album, by: ({ artist }) => artist, args: ({ artist, album }) => [artist, album] }),
      this.card("First listen", { report: "dashboard_listens", values: { order: "oldest", kind: "track", limit: 1 }, pick: ([row]) => row },
        (row) => [big(track(row.artist, row.track)), said([artist(row.artist), `, on ${day(row.heard_local)} at ${row.heard_local.slice(11, 16)}.`])]),
      this.card("Obsession", { report: "obsessions", values: { limit: 1 }, pick: ([row]) => row },
        (row) => [big(track(row.artist, row.track)), said([artist(row.artist), `: ${count(row.plays)} plays in the week from ${day(row.week)}.`])]),
      this.card("Biggest day", review("busiest day (minutes)"), (row) => [big(day(row.name)), said([`${count(row.number)} minutes. `, h("a", { href: href("listens", [], { from: row.name, to: row.name }) }, "What was it?")])]),
      this.card("Longest streak", { report: "streaks", values: { limit: 1 }, pick: ([row]) => row },
        (row) => [big(`${count(row.days)} ${row.days === 1 ? "day" : "days"}`), said(`with music or talk, from ${day(row.first_day)} to ${day(row.last_day)}.`)]),
      this.card("Discoveries", review("artists heard for the first time"), (row) => [big(count(row.number)), said("artists heard for the first time ever.")]),
      this.card("Top podcast", review("top podcast (minutes)"), (row) => [big(h("a", { href: href("show", [row.name]) }, bdi(row.name))), said(`${count(row.number)} minutes.`)], "No podcast was heard."),
      this.card("Genres", { report: "genres", values: { limit: TOP }, pick: (records) => records.length && records }, genres, "Nothing that was heard has a known genre."),
      this.seasons(),
      this.together(),
    ];
  }

  /** What two listeners have in common, where there are two. */
  together() {
    const report = "compare_listeners";
    const values = { limit: TOP, other_user: route().query.with ?? "" };
    const place = document.createComment("two listeners");
    this.found.then(async (all) => {
      if (all.length < 2 || !(await reports()).has(report) || !place.isConnected) return;
      place.replaceWith(panel({
        title: "Two listeners", viewName: "Card", wide: "two-thirds", signal: this.signal, tall: 200, empty: "At least one of them did not listen in this period.",
        tools: listenerField("With", values.other_user, { found: this.found, id: "select-with", onchange: (user) => change({ with: user }), nobody: "who listened most" }),
        load: (stop) => this.ask(report, values, stop),
        view: ({ records }) => h("div.card", null, twoListeners(records), reportLink(report, values)),
      }));
    }, () => {});
    return place;
  }

  /** A card of one row (or of what `pick` makes of the rows). */
  card(title, { report, values = {}, pick }, view, empty = NOTHING_HEARD) {
    return panel({
      title, viewName: "Card", wide: "third", signal: this.signal, tall: 120, empty,
      load: async (stop) => {
        const result = await this.ask(report, values, stop);
        const picked = pick(result.records);
        const heard = picked && (picked.number !== 0 || title === "Discoveries");
        return heard ? { ...result, picked } : { ...result, rows: [], records: [] };
      },
      view: ({ picked, records }) => h("div.card", null, view(picked, records), reportLink(report, values)),
    });
  }

  list(title, report, kind, how) {
    return panel({
      title, viewName: "Card", wide: "third", signal: this.signal, tall: 300, empty: NOTHING_HEARD,
      load: (stop) => this.ask(report, { limit: TOP }, stop),
      view: ({ records }) => h("div.card", null, rankedList(kind, records, { ...how, compare: false, signal: this.signal }), reportLink(report, {})),
    });
  }

  seasons() {
    return panel({
      title: "Seasons", hint: "Minutes of each month", viewName: "Card", wide: "two-thirds", signal: this.signal, tall: 200, empty: NOTHING_HEARD,
      load: (stop) => this.ask("listening_over_time", { unit: "month" }, stop),
      view: ({ records, values }) => {
        const period = daysOfPeriod(values, selection().timezone);
        const rows = filled(records, "month", { by: "start", values: ["minutes"], period });
        return h("div.card", null, barChart({
          labels: rows.map(({ key }) => month(key)), series: [{ name: "Minutes", values: rows.map(({ minutes }) => minutes) }], label: "Minutes by month", tall: 200,
          partial: partialSteps(rows, "month", period),
        }), reportLink("listening_over_time", { unit: "month" }));
      },
    });
  }

  ask(report, values, stop) {
    const key = JSON.stringify([report, values]);
    if (!this.asked.has(key)) this.asked.set(key, runReport(report, values, stop));
    return this.asked.get(key);
  }

  async ready() {
    await Promise.allSettled(this.asked.values());
  }

  /** The first row of a report that a card has asked for, or all of them. */
  async told(report, values) {
    return (await this.asked.get(JSON.stringify([report, values])).catch(() => ({ records: [] }))).records;
  }

  async draw() {
    const [review, artists, tracks, [streak], [obsession]] = await Promise.all([
      this.told("year_in_review", {}), this.told("top_artists", { limit: TOP }), this.told("top_tracks", { limit: TOP }),
      this.told("streaks", { limit: 1 }), this.told("obsessions", { limit: 1 }),
    ]);
    if (!review.length || !artists.length) return false;
    drawPoster(this.canvas, {
      period: periodWords(), minutes: count(numberOf(review, "minutes")),
      facts: [
        [count(numberOf(review, "plays")), "plays"], [count(numberOf(review, "artists")), "artists"],
        [count(numberOf(review, "artists heard for the first time")), "new artists"], [streak ? `${count(streak.days)}` : "0", "days in a row"],
      ],
      lists: [["Top artists", artists.map((row) => row.artist)], ["Top tracks", tracks.map((row) => `${row.track} – ${row.artist}`)]],
      last: obsession && `Obsession: ${obsession.track}, ${count(obsession.plays)} plays in a week`,
    });
    return true;
  }

  /** Buttons that hand the picture on: what this browser can do. */
  ways() {
    const name = () => `listening-${fileWords()}.png`;
    const made = (use) => () => this.canvas.toBlob((blob) => {
      if (!blob) return notice("The picture could not be made.", { bad: true });
      return Promise.resolve(use(blob)).catch((fault) => fault.name !== "AbortError" && notice(fault.message, { bad: true }));
    }, "image/png");
    const file = (blob) => new File([blob], name(), { type: "image/png" });
    return [
      button("Save as a picture", { icon: "download", primary: true, disabled: true, onclick: made((blob) => saveFile(blob, name())) }),
      globalThis.ClipboardItem && button("Copy the picture", { icon: "copy", disabled: true, onclick: made(async (blob) => {
        await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
        notice("Copied");
      }) }),
      navigator.canShare?.({ files: [file(new Blob())] }) && button("Share", { icon: "out", disabled: true, onclick: made((blob) => navigator.share({ files: [file(blob)] })) }),
    ].filter(Boolean);
  }
}

function twoListeners(records) {
  const [match] = records;
  const shared = records.filter(({ kind }) => kind === "both").slice(0, 3);
  const alone = records.filter(({ kind }) => kind === "only one");
  const only = [alone.find(({ plays }) => plays > 0), alone.find(({ other_plays: plays }) => plays > 0)].filter(Boolean);
  if (!match) return emptyState("At least one of them did not listen in this period.");
  return [big(`${number(match.percent_shared)} %`), said(match.sentence), h("ul.plain", null, [...shared, ...only].map((row) => h("li", null, sentenceOf(row))))];
}

/** A sentence of the report with the artist's name as a link. */
function sentenceOf({ sentence, artist: name }) {
  const at = sentence.indexOf(name);
  return at < 0 ? bdi(sentence) : [sentence.slice(0, at), artist(name), sentence.slice(at + name.length)];
}

function numberOf(records, what) {
  return records.find((row) => row.what === what)?.number ?? 0;
}

function big(content) {
  return h("p.big", null, content);
}

function said(content) {
  return h("p", null, content);
}

function track(by, name) {
  return h("a", { href: href("track", [by ?? "", name ?? ""]) }, bdi(name ?? "unknown"));
}

function artist(name) {
  return h("a", { href: href("artist", [name ?? ""]) }, bdi(name ?? "unknown"));
}

function versus(row) {
  if (!row.plays_before) return [big("–"), said("Nothing was heard in the period before.")];
  const part = (row.hours - row.hours_before) / row.hours_before;
  return [big(`${part < 0 ? "−" : "+"}${share(Math.abs(part))}`), said(`of listening time: ${hours(row.hours)}, after ${hours(row.hours_before)} in the period before. ${count(row.plays)} plays, after ${count(row.plays_before)}.`)];
}

function genres(records) {
  return [h("ol.plain", null, records.map((row) => h("li", null, genreLinks([row.genre]), " ", h("span.muted.small", null, `${count(row.plays)} plays`)))), said(`${count(records[0].percent_known)}% of the plays have a known genre.`)];
}

/** From a card to its report, with the same values. */
function reportLink(report, values) {
  const query = Object.fromEntries(Object.entries(values).map(([name, value]) => [`p_${name}`, value]));
  return h("p.small", null, h("a", { href: href("reports", [report], query) }, "The report"));
}

function periodWords() {
  const { period, from, to } = selection();
  if (from && to) return from === to ? day(from) : `${day(from)} – ${day(to)}`;
  return { "7d": "my last 7 days", "4w": "my last 4 weeks", "3m": "my last 3 months", "6m": "my last 6 months", "1y": "my last 12 months", all: "all my listening" }[period] ?? period;
}

function fileWords() {
  const { period, from, to } = selection();
  return from && to ? `${from}-${to}` : period;
}
