// Cover images by Spotify's links, only where the lake's owner allows them (SHOW_IMAGES); else initials on a colour.

import { ROOT } from "./api.js";
import { h } from "./dom.js";
import { queryRows } from "./reports.js";

const HOST = "https://i.scdn.co/";

/** Whether the page may load images of Spotify's host: what its own Content-Security-Policy says. */
let allowed = null;
export function imagesAllowed() {
  allowed ??= fetch(ROOT, { headers: { Accept: "text/html" } })
    .then((answer) => (answer.headers.get("Content-Security-Policy") ?? "").includes("i.scdn.co"), () => false);
  return allowed;
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
  if (!wanted.length || !(await imagesAllowed())) return;
  const keys = [...new Set(wanted.map(({ key }) => key).filter(Boolean))].slice(0, 100);
  if (!keys.length) return;
  const found = await queryRows(SQL[kind].replace("%s", keys.map(() => "?").join(", ")), keys, signal).catch(() => null);
  const links = new Map((found?.records ?? []).map(({ key, image_url: link }) => [key, link]));
  for (const { place, key } of wanted) {
    const link = links.get(key);
    if (!link?.startsWith(HOST)) continue;
    const image = h("img.cover", { src: link, alt: "", loading: "lazy", class: [...place.classList].join(" "), referrerpolicy: "no-referrer" });
    image.addEventListener("load", () => place.replaceWith(image), { once: true });
    image.loading = "eager";
  }
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
