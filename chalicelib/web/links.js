// From a row to the page of what it names.

import { bdi, h, icon } from "./dom.js";
import { daysOfStep } from "./spans.js";
import { href } from "./state.js";

const TRACKS = "https://open.spotify.com/track/"; // Spotify's own player
const ARTISTS = ["artist", "artist_name", "track_artist"];
const OF_ARTIST = { album: "album", album_name: "album", track: "track", item_name: "track", first_track: "track", last_track: "track" };
const STEPS = { month: "month", week: "week", day: "day", first_day: "day", last_day: "day", seen_on: "day" };
const TOPS = { "top artist": "artist", "top podcast (minutes)": "show", "top genre": "genre" };

/**
 * How a column's values lead to the pages of what they name: (value, record) => a link, or the value where it names
 * nothing that has a page. Null where no value of the column does. `values` are what the report was run with.
 */
export function itemLink(column, columns, values = {}) {
  const names = new Set(columns.map(({ name }) => name));
  const to = pageOf(column, names, values);
  if (!to) return null;
  return (value, record) => {
    const address = value !== null && value !== undefined && value !== "" && to(value, record);
    return address ? h("a", { href: address }, bdi(shownAs(value))) : value;
  };
}

function pageOf(column, names, values) {
  const by = ["track_artist", "artist", "artist_name"].find((name) => names.has(name));
  if (ARTISTS.includes(column)) return (name, { item_type: type }) => ofArtist(name, type);
  if (column in OF_ARTIST && by) return (name, record) => record[by] && isMusic(record.item_type) && href(OF_ARTIST[column], [record[by], name]);
  if (column === "item" && values.artist) return (name) => href(values.items === "albums" ? "album" : "track", [values.artist, name]);
  if (column === "genre") return (name) => href("genre", [name]);
  if (column === "show_name") return (name) => href("show", [name]);
  if (column === "title" && names.has("episodes")) return (name, { kind }) => ofArtist(name, kind === "podcast" ? "episode" : kind);
  if (column === "playlist_id") return (id) => href("playlist", [id]);
  if (["playlist", "name"].includes(column) && names.has("playlist_id")) return (_name, { playlist_id: id }) => id && href("playlist", [id]);
  if (column === "name") return named(names);
  return timeOf(column, names, values);
}

/** What a column `name` names, by what stands beside it. */
function named(names) {
  if (names.has("artist_id") && !names.has("stands_for_name")) return (name) => href("artist", [name]);
  if (names.has("what")) return (name, { what }) => (what.startsWith("busiest day") ? listens(name, name) : TOPS[what] && href(TOPS[what], [name]));
  if (names.has("exclusion_id")) return (name, { kind }) => ["artist", "track"].includes(kind) ? href("artist", [name]) : kind === "show" && href("show", [name]);
  if (!names.has("artist")) return null;
  return (name, { kind, item_type: type, artist, id }) => {
    if (kind === "playlist") return id && href("playlist", [id]);
    if (!isMusic(type)) return artist && ofArtist(artist, type);
    if (kind === "show") return href("show", [name]);
    const page = ["artist", "album"].find((each) => (kind ?? "").includes(each)) ?? "track";
    return page === "artist" ? href("artist", [name]) : artist && href(page, [artist, name]);
  };
}

/** The listens of a time. */
function timeOf(column, names, values) {
  const grain = column === "start" ? values.unit : STEPS[column];
  const by = names.has("artist") && names.has("track");
  if (grain) return (day, { artist, track }) => listens(...daysOfStep(String(day).slice(0, 10), grain), by ? { artist, name: track } : {});
  if (names.has("hour") && names.has("weekday") && column === "hour") return (hour, { weekday }) => href("listens", [], { hour, weekday });
  return null;
}

function listens(from, to, filters = {}) {
  return href("listens", [], { from, to, ...filters });
}

/** The page of who made something: an artist's, or a show's; an audiobook has its listens. */
function ofArtist(name, type) {
  if (type === "audiobook") return href("listens", [], { kind: type, artist: name });
  return href(type === "episode" ? "show" : "artist", [name]);
}

function isMusic(type) {
  return type === undefined || type === null || type === "track";
}

function shownAs(value) {
  return /^\d{4}-\d\d-\d\dT00:00:00(\.0+)?Z?$/.test(value) ? value.slice(0, 10) : String(value);
}

/** Genres by name, each a link to its page. */
export function genreLinks(names) {
  return names.map((name, at) => [at ? ", " : "", h("a", { href: href("genre", [name]) }, bdi(name))]);
}

/** A link to Spotify's player: "track/ID", "playlist/ID", or "search/NAME/artists" where no id is known. */
export function outside(path) {
  return h("a.small.out", { href: new URL(`/${path}`, TRACKS).href, target: "_blank", rel: "noopener noreferrer" }, "Open in Spotify", icon("out"));
}
