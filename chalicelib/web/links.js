// From a row to the page of what it names.

import { bdi, h, icon } from "./dom.js";
import { href } from "./state.js";

const TRACKS = "https://open.spotify.com/track/"; // Spotify's own player

const NAMES = { artist: ["artist", "artist_name"], album: ["album", "album_name"], track: ["track", "item_name"] };

/** How a column's values lead to the pages of the artists, albums or tracks that they name; null where they name none. */
export function itemLink(column, columns) {
  const kind = Object.keys(NAMES).find((each) => NAMES[each].includes(column));
  const artist = NAMES.artist.find((name) => columns.some((each) => each.name === name));
  if (!kind || !artist) return null;
  return (value, record) => {
    if (!value || !record[artist]) return value;
    return h("a", { href: href(kind, kind === "artist" ? [value] : [record[artist], value]) }, bdi(value));
  };
}

/** A link to Spotify's player: "track/ID", "playlist/ID", or "search/NAME/artists" where no id is known. */
export function outside(path) {
  return h("a.small.out", { href: new URL(`/${path}`, TRACKS).href, target: "_blank", rel: "noopener noreferrer" }, "Open in Spotify", icon("out"));
}
