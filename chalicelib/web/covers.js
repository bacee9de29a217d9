// Covers: copies that the lake keeps; else Spotify's own links, once this browser's user has said yes; else initials.

import { ROOT, get, request, scope } from "./api.js";
import { command } from "./command.js";
import { button, h } from "./dom.js";
import { queryRows } from "./reports.js";

const HOST = "https://i.scdn.co/";
const CHOICE = "lake.pictures"; // yes or no, of this browser

/** What the lake's owner allows (SHOW_IMAGES): "true", "false", or "ask". */
let allowed = null;
function ownersWord() {
  allowed ??= fetch(ROOT, { headers: { Accept: "text/html" } })
    .then((answer) => answer.headers.get("X-Show-Images") ?? "false", () => "false");
  return allowed;
}

/** Names of the pictures of which the lake keeps a copy. */
let kept = null;
function keptNames() {
  kept ??= scope().then((may) => (may === "listener" ? { images: [] } : get("images"))) // which there are tells of everybody
    .then(({ images }) => new Set(images), () => new Set());
  return kept;
}

/** A copy of the lake's as an address that holds it, or null. */
const copies = new Map();
function copyOf(name) {
  if (!copies.has(name)) copies.set(name, request(`images/${name}`, { accept: "image/*" }).then((answer) => answer.blob()).then(asData).catch(() => null));
  return copies.get(name);
}

function asData(blob) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result), { once: true });
    reader.readAsDataURL(blob);
  });
}

/** A square (or, for artists, round) picture with initials until there is an image. */
export function cover(name, { round, large } = {}) {
  const hue = [...String(name)].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  return h("span.cover", {
    "aria-hidden": "true", class: [round && "round", large && "large"].filter(Boolean).join(" "),
    style: { "--cover": `light-dark(hsl(${hue} 42% 90%), hsl(${hue} 26% 24%))`, "--cover-ink": `light-dark(hsl(${hue} 55% 27%), hsl(${hue} 48% 82%))` },
  }, initials(name));
}

const letters = new Intl.Segmenter();

/** The first letters of a name's first two words, or the first two of its only one; an emoji is one letter. */
export function initials(name) {
  const words = String(name ?? "?").replace(/^(the|die|der|das|les|los|el|la|le)\s+/i, "").split(/[\s&/,-]+/).filter(Boolean);
  const spelled = words.slice(0, 2).map((word) => [...letters.segment(word)].map(({ segment }) => segment));
  const [first = ["?"], second] = spelled;
  return (second ? first[0] + second[0] : first.slice(0, 2).join("")).toUpperCase();
}

/** Put images into covers: `wanted` is [{place, key}], with one query for all of them. */
export async function fillCovers(kind, wanted, signal) {
  if (!wanted.length) return;
  const [names, word] = await Promise.all([keptNames(), ownersWord()]);
  const choice = word === "ask" ? localStorage.getItem(CHOICE) : word === "true" ? "yes" : "no";
  if (choice === null) offer(wanted[0].place, () => fillCovers(kind, wanted, signal));
  if (!names.size && choice !== "yes") return;
  const keys = [...new Set(wanted.map(({ key }) => key).filter(Boolean))].slice(0, 100);
  if (!keys.length) return;
  const found = await queryRows(SQL[kind].replace("%s", keys.map(() => "?").join(", ")), keys, signal).catch(() => null);
  const links = new Map((found?.records ?? []).map(({ key, image_url: link }) => [key, link]));
  for (const { place, key } of wanted) {
    const link = links.get(key);
    const name = link?.split("/").at(-1);
    if (names.has(name)) copyOf(name).then((data) => data && show(place, data));
    else if (choice === "yes" && link?.startsWith(HOST)) show(place, link);
  }
}

function show(place, source) {
  const image = h("img.cover", { src: source, alt: "", class: [...place.classList].join(" "), referrerpolicy: "no-referrer" });
  image.addEventListener("load", () => place.replaceWith(image), { once: true });
}

/** What showing covers means, and the one click that settles it for this browser; once on a page. */
const waiting = [];
function offer(place, load) {
  waiting.push(load);
  const list = place.closest("ol, table, header, section");
  if (!list?.isConnected || document.querySelector(".pictures-offer")) return;
  const settle = (word) => () => {
    localStorage.setItem(CHOICE, word);
    line.remove();
    for (const each of waiting.splice(0)) if (word === "yes") each();
  };
  const line = h("div.pictures-offer.small", { role: "note" },
    h("p", null, "Covers come from Spotify's image host: this browser would ask it for each one, so it would learn your address and which covers you look at, and nothing else. ",
      command("images"), " keeps copies here instead."),
    h("div.row", null, button("Show covers", { onclick: settle("yes") }), button("Keep initials", { quiet: true, onclick: settle("no") })));
  list.after(line);
}

const SQL = {
  artist: "SELECT name AS key, max(image_url) AS image_url FROM artists WHERE name IN (%s) GROUP BY 1",
  album: "SELECT name AS key, max(image_url) AS image_url FROM albums WHERE name IN (%s) GROUP BY 1",
  track: `SELECT tracks.track_id AS key, max(albums.image_url) AS image_url
FROM tracks
JOIN albums ON albums.album_id = tracks.album_id
WHERE tracks.track_id IN (%s)
GROUP BY 1`,
};
