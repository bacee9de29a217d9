// What is left out of every number: the list, taking back, and leaving out a time.

import { button, h, notice, replace } from "./dom.js";
import { ago, count, duration, hours, moment } from "./format.js";
import { KINDS, exclusions, leaveOutButton, nameOf, takeBack } from "./exclusions.js";
import { emptyState, reportPanel, retried } from "./panel.js";
import { runReport } from "./reports.js";
import { zoneField } from "./selectors.js";
import { instantIn } from "./spans.js";
import { selection } from "./state.js";
import { plainTable } from "./table.js";

const SESSIONS = 10; // longest, to leave out

export async function render(main, { signal }) {
  const place = h("div", null, h("div.skeleton"));
  const again = () => render(main, { signal });
  replace(main,
    h("div.page-head", null, h("div", null, h("h1", null, "Left out"),
      h("p.lead", null, "What no number counts: sleep music, a child’s favourites, a party. Artists, tracks, podcasts and playlists are left out on their pages. Nothing is deleted, and all of it can be taken back.")),
      h("div.selectors", null, zoneField())),
    h("div.stack", null,
      h("section.panel", { "aria-labelledby": "left-title" }, h("h2", { id: "left-title" }, "Left out now"), place),
      h("div.grid", null, timePanel(again), sessionsPanel(signal, again))));
  await retried(place, signal, async () => { replace(place, await listOf(again, signal)); });
}

async function listOf(again, signal) {
  const all = await exclusions();
  if (!all.length) return emptyState(["Nothing is left out", "Every listen counts. An artist’s, track’s, podcast’s or playlist’s page has a button that leaves it out."]);
  const [{ records }, { records: playlists }, { records: people }] = await Promise.all(
    ["left_out", "dashboard_playlists", "dashboard_listeners"].map((name) => runReport(name, { user: "" }, signal)));
  const told = new Map(records.map((row) => [row.exclusion_id, row]));
  const names = new Map(playlists.map((row) => [row.playlist_id, row.name]));
  const whose = new Map(people.map((row) => [row.user_id, row.name]));
  const back = async (exclusion) => {
    try {
      await takeBack(exclusion.exclusion_id);
      notice("It counts again.");
      again();
    } catch (fault) {
      notice(fault.message, { bad: true });
    }
  };
  return plainTable({ records: all }, {
    caption: "Left out now", tall: true,
    columns: {
      kind: { title: "What", show: (kind) => KINDS[kind] },
      artist_name: { title: "Name", wide: true, show: (name, row) => [nameOf(row, names), row.kind === "track" && h("span.muted", null, ` by ${name}`)] },
      user_id: { title: "Whose", show: (user) => (user ? whose.get(user) ?? user : "Everybody’s") },
      decided_at: { title: "Since", show: (at) => h("span", { title: moment(at, selection().timezone) }, ago(at)) },
      listens: { title: "Listens", right: true, show: (_, { exclusion_id: id }) => count(told.get(id)?.listens) },
      hours: { title: "Time", right: true, show: (_, { exclusion_id: id }) => hours(told.get(id)?.hours) },
      exclusion_id: { title: "", show: (_, row) => button("Count again", { quiet: true, "data-owners": "", onclick: () => back(row) }) },
    },
  });
}

function timePanel(again) {
  const field = (title, id) => {
    const input = h("input", { type: "datetime-local", required: true, id });
    return [input, h("label.field", null, title, input)];
  };
  const [from, fromField] = field("From", "leave-from");
  const [to, toField] = field("To", "leave-to");
  const place = h("div.row", null);
  const offer = () => {
    to.min = from.value;
    const { timezone } = selection();
    if (!from.value || !to.value || to.value <= from.value) return replace(place, h("span.muted.small", null, "Choose both; the end comes after the beginning."));
    const period = { kind: "period", from_at: instantIn(from.value, timezone).toISOString(), to_at: instantIn(to.value, timezone).toISOString() };
    return replace(place, leaveOutButton(period, `${moment(period.from_at, timezone)} – ${moment(period.to_at, timezone)}`, { label: "Leave this time out", onDone: again }));
  };
  for (const input of [from, to]) input.addEventListener("input", offer);
  offer();
  return h("section.panel.third.start", { "aria-labelledby": "time-title" }, h("h2", { id: "time-title" }, "A time"), fromField, toField, place);
}

function sessionsPanel(signal, again) {
  return reportPanel({
    report: "longest_sessions", values: { period: "all", timezone: "UTC", limit: SESSIONS }, title: "A session", hint: "The longest ones: perhaps nobody was listening any more", viewName: "List", wide: "two-thirds start", signal, tall: 200,
    view: ({ records }) => plainTable({ records }, {
      caption: "Longest sessions",
      columns: {
        started_local: { title: "From", show: (at) => moment(at, selection().timezone) },
        ended_local: { title: "To", show: (at) => moment(at, selection().timezone) },
        minutes: { title: "Length", right: true, show: (minutes) => duration(minutes * 60) },
        plays: { title: "Plays", right: true, show: count },
        listener: { title: "Whose", wide: true },
        user_id: { title: "", show: (user, row) => leaveOutButton(sessionOf(row), `${moment(row.started_local, selection().timezone)} – ${moment(row.ended_local, selection().timezone)}`, { whose: user, onDone: again }) },
      },
    }),
  });
}

/** A session as a period: its last listen, heard at its very end, is of it. */
function sessionOf({ started_local: from, ended_local: to }) {
  const end = new Date(Date.parse(`${to.replace(/Z$/, "")}Z`) + 1);
  return { kind: "period", from_at: new Date(`${from.replace(/Z$/, "")}Z`).toISOString(), to_at: end.toISOString() };
}
