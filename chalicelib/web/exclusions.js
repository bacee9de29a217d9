// What is left out of every number: the list, the line that says so on other pages, and the button that adds to it.

import { get, send } from "./api.js";
import { announce, bdi, button, h, notice, replace } from "./dom.js";
import { moment } from "./format.js";
import { faultBox } from "./panel.js";
import { listeners } from "./selectors.js";
import { href, selection } from "./state.js";

const NAMED = 3; // in the line on other pages; more are counted
const UNNAMED = { artist: "an artist", track: "a track", show: "a podcast", playlist: "a playlist", period: "a time" };
export const KINDS = { artist: "Artist", track: "Track", show: "Podcast", playlist: "What was played from a playlist", period: "Time" };

let listing = null;

/** What is left out now, asked for once until it changes. */
export function exclusions() {
  listing ??= get("exclusions").then(({ exclusions: all }) => all).catch((fault) => {
    listing = null;
    throw fault;
  });
  return listing;
}

/** Those that change the numbers of whoever is selected. */
export async function exclusionsInSight() {
  const { user } = selection();
  return (await exclusions()).filter(({ user_id: whose }) => !whose || !user || whose === user);
}

/** Leave something out: {kind, artist_name, …, listener}. */
export async function leaveOut(what) {
  const left = await send("POST", "exclusions", what);
  listing = null;
  announce("left out");
  return left;
}

export async function takeBack(id) {
  await send("DELETE", `exclusions/${encodeURIComponent(id)}`);
  listing = null;
  announce("it counts again");
}

/** What an exclusion names, as a link where that has a page. `names` are playlists' by id. */
export function nameOf({ kind, artist_name: artist, item_name: title, context_uri: uri, from_at: from, to_at: to }, names = new Map()) {
  const { timezone } = selection();
  if (!artist && !uri && !from) return UNNAMED[kind]; // somebody else's word
  if (kind === "period") return h("span", null, `${moment(from, timezone)} – ${moment(to, timezone)}`);
  if (kind === "playlist") {
    const id = uri.split(":").at(-1);
    return h("a", { href: href("playlist", [id]) }, bdi(names.get(id) ?? "a playlist"));
  }
  return h("a", { href: href(kind, kind === "track" ? [artist, title] : [artist]) }, bdi(title ?? artist));
}

/** The line that says what is left out of a page's `numbers`; it stays empty where nothing is. */
export function leftOutLine(numbers) {
  const line = h("p.caution.left-out", { hidden: true });
  exclusionsInSight().then((all) => {
    if (!all.length) return;
    line.hidden = false;
    const more = all.length - NAMED;
    replace(line, `Left out of ${numbers}: `, all.slice(0, NAMED).map((each, at) => [at ? ", " : "", nameOf(each)]), more > 0 && ` and ${more} more`,
      ". ", h("a", { href: href("left-out") }, "See all, or take it back"));
  }, () => {});
  return line;
}

/** A button that leaves something out, once it is said what that means. `what` is the request without its listener. */
export function leaveOutButton(what, title, { label = "Leave out", whose = selection().user, onDone = () => location.reload() } = {}) {
  return button(label, { quiet: true, "data-owners": "", onclick: () => askFirst(what, title, whose, onDone) });
}

async function askFirst(what, title, suggested, onDone) {
  const fault = h("div", null);
  const whose = h("select", null, h("option", { value: "" }, "Everybody’s"));
  const field = h("label.field", { hidden: true }, "Whose listening", whose);
  const dialog = h("dialog", { "aria-labelledby": "leave-title", onclose: () => dialog.remove() }, h("form", { onsubmit: async (event) => {
    event.preventDefault();
    try {
      const left = await leaveOut({ ...what, ...(whose.value && { listener: whose.value }) });
      dialog.close();
      notice(left.in_force ? "Left out." : "Left out; the numbers follow in a moment.", { action: h("a.button", { href: href("left-out") }, "See all") });
      onDone();
    } catch (problem) {
      replace(fault, faultBox(problem));
    }
  } },
    h("h2", { id: "leave-title" }, "Leave it out of every number?"),
    h("p", null, bdi(title)),
    h("p.muted.small", null, "Every page, report and export of numbers goes by it. Nothing is deleted: under “Left out” it counts again whenever you like."),
    field, fault,
    h("div.row.end", null, button("Cancel", { onclick: () => dialog.close() }), button("Leave out", { primary: true, type: "submit" }))));
  document.body.append(dialog);
  dialog.showModal();
  const all = await listeners().catch(() => []);
  if (all.length < 2) return;
  whose.append(...all.map(({ user_id: user, name }) => h("option", { value: user, selected: user === suggested }, name)));
  field.hidden = false;
}
