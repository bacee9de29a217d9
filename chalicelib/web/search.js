// The search box: artists, albums, tracks, playlists and shows, from every page; "/" goes there.

import { request, token } from "./api.js";
import { bdi, h, replace } from "./dom.js";
import { count } from "./format.js";
import { href, selection } from "./state.js";

const WAIT = 40; // ms after the last letter
const TITLES = { artist: "Artists", album: "Albums", track: "Tracks", playlist: "Playlists", show: "Shows" };

/** The box and its answers, for the frame. */
export function searchBox() {
  let asked = new AbortController();
  let timer = 0;
  let isAsking = false; // one search at a time: those that a later letter gives up would run on, before the last
  const answers = h("div.answers", { id: "search-answers", hidden: true, role: "region", "aria-label": "Found" });
  const box = h("input", {
    type: "search", id: "search", placeholder: "Search", "aria-label": "Search artists, albums, tracks, playlists and shows", "aria-keyshortcuts": "/",
    "aria-controls": "search-answers", autocomplete: "off", spellcheck: "false", oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(ask, WAIT);
    },
  });
  const close = () => {
    asked.abort();
    answers.hidden = true;
  };
  const leave = () => {
    box.value = "";
    close();
  };
  const ask = async () => {
    const search = box.value.trim();
    if (!search || !token()) return close();
    if (isAsking) return undefined;
    isAsking = true;
    asked = new AbortController();
    try {
      const answer = await request("reports/dashboard_search", { query: { search, user: selection().user }, signal: asked.signal });
      const { columns, rows } = await answer.json();
      const names = columns.map(({ name }) => name);
      show(search, rows.map((row) => Object.fromEntries(names.map((name, at) => [name, row[at]]))));
    } catch (fault) {
      if (fault.name !== "AbortError") show(search, null, fault.message);
    } finally {
      isAsking = false;
    }
    return asked.signal.aborted || box.value.trim() === search ? undefined : ask();
  };
  const show = (search, found, fault) => {
    answers.hidden = false;
    if (fault) return replace(answers, h("p.fault", null, fault));
    const kinds = Object.keys(TITLES).filter((kind) => found.some((row) => row.kind === kind));
    return replace(answers,
      kinds.map((kind) => h("section", { "aria-label": TITLES[kind] }, h("h2", null, TITLES[kind]),
        h("ul", null, found.filter((row) => row.kind === kind).map((row) => h("li", null, h("a", { href: addressOf(row), onclick: leave },
          h("span", null, bdi(row.name), row.kind !== "artist" && row.kind !== "show" && row.artist && h("small", null, " ", bdi(row.artist))), row.plays !== null && h("small", null, `${count(row.plays)} plays`))))))),
      !kinds.length && h("p.muted", null, "Nothing with this name was heard."),
      h("a.small", { href: href("listens", [], { period: "all", from: "", to: "", search }), onclick: leave }, `All listens that hold “${search}”`));
  };
  const form = h("form.search", { role: "search", onsubmit: (event) => {
    event.preventDefault();
    answers.querySelector("a")?.click();
  }, onkeydown: (event) => move(event, box, answers, close) }, box, answers);
  form.addEventListener("focusout", ({ relatedTarget }) => {
    if (relatedTarget && !form.contains(relatedTarget)) close();
  });
  document.addEventListener("pointerdown", ({ target }) => form.contains(target) || close());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || isWritten(event.target)) return;
    event.preventDefault();
    box.focus();
    box.select();
  });
  return form;
}

/** The arrows go through the answers; Escape leaves them. */
function move(event, box, answers, close) {
  const places = [box, ...answers.querySelectorAll("a")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") {
    close();
    box.focus();
  } else if (step && !answers.hidden) {
    event.preventDefault();
    places[Math.max(0, Math.min(places.length - 1, places.indexOf(document.activeElement) + step))].focus();
  }
}

function isWritten(element) {
  return element.closest?.("input, textarea, select, [contenteditable]") !== null && element.closest !== undefined;
}

/** The page of what was found. */
export function addressOf({ kind, name, artist, id }) {
  if (kind === "playlist") return href("playlist", [id]);
  return href(kind, kind === "artist" || kind === "show" ? [name] : [artist ?? "", name]);
}
