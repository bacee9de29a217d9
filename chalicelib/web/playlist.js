// One playlist: what it holds, and what changed.

import { bdi, figure, h, replace } from "./dom.js";
import { ago, count, day, moment } from "./format.js";
import { leaveOutButton } from "./exclusions.js";
import { outside } from "./links.js";
import { reportPanel } from "./panel.js";
import { longList } from "./ranked.js";
import { runReport } from "./reports.js";
import { selectors } from "./selectors.js";
import { href, selection } from "./state.js";
import { plainTable } from "./table.js";

const ITEMS = 100; // of a playlist, before more are asked for

export async function render(main, { args: [id = ""], signal }) {
  const title = h("h1", null, "Playlist");
  const figures = h("dl.figures", null);
  const leave = h("span", null);
  replace(main,
    h("div.page-head", null, h("div", null, h("p.small", null, h("a", { href: href("library") }, "Library and playlists")), title, /^[0-9A-Za-z]{22}$/.test(id) && [outside(`playlist/${id}`), " ", leave]),
      selectors({ signal, period: false })),
    h("div.stack", null, figures, h("div.grid", null,
      reportPanel({
        report: "dashboard_playlist", values: { playlist: id, limit: ITEMS }, title: "Items", viewName: "List", wide: "two-thirds start", signal, tall: 300,
        empty: "This playlist is empty, or no run has read what it holds.",
        view: (result) => h("div.stack", null, longList(result, "dashboard_playlist", items, { playlist: id })),
      }),
      reportPanel({
        report: "dashboard_playlist_changes", values: { playlist: id }, title: "Changes", viewName: "List", wide: "third start", signal, tall: 200,
        empty: "It has not changed since the lake first saw it.", view: changes,
      }))));
  const { records } = await runReport("dashboard_playlists", {}, signal);
  const found = records.find((row) => row.playlist_id === id);
  if (!found) return replace(figures, figure("Playlist", "not known"));
  document.title = `${found.name || "untitled"} · Listening lake`;
  replace(title, bdi(found.name || "untitled"));
  replace(leave, leaveOutButton({ kind: "playlist", context_uri: `spotify:playlist:${id}` }, `What was played from ${found.name || "this playlist"}`, { label: "Leave out what was played from it" }));
  return replace(figures,
    figure("Items", count(found.total_items)), figure("Versions seen", count(found.versions)),
    figure("Last addition", found.last_addition ? day(found.last_addition) : "unknown"));
}

function items(records) {
  return plainTable({ records }, {
    caption: "Items", tall: true,
    columns: {
      place: { title: "", right: true, show: count },
      track: { title: "What", wide: true, show: (name, row) => (name && row.artist ? h("a", { href: href("track", [row.artist, name]) }, bdi(name)) : bdi(name ?? row.item_uri)) },
      artist: { title: "Artist", wide: true, show: (name) => (name ? h("a", { href: href("artist", [name]) }, bdi(name)) : null) },
      plays: { title: "Plays", right: true, show: count },
      added_at: { title: "Added", show: (value) => (value ? day(value) : null) },
      added_by: { title: "By", show: (value) => (value ? bdi(value) : null) },
    },
  });
}

function changes({ records }) {
  return plainTable({ records }, {
    caption: "Changes",
    columns: {
      item: { title: "Item", wide: true, show: (value, row) => bdi(value ?? row.item_uri) },
      change: { title: "Change", show: (value) => h("span.badge", { class: value === "added" ? "good" : "bad" }, value) },
      seen_at: { title: "Seen", show: (value) => h("span", { title: moment(value, selection().timezone) }, ago(value)) },
    },
  });
}
