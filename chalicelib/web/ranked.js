// A ranked list: place, cover, name, how much, and how far it climbed.

import { announce, bdi, h } from "./dom.js";
import { count, duration, hours } from "./format.js";
import { cover, fillCovers } from "./covers.js";
import { href } from "./state.js";

/**
 * `kind` is artist, album or track; `records` have place, plays, minutes and maybe climbed, place_before.
 * `name`, `by` (its artist), `args` and `key` read a record.
 */
export function rankedList(kind, records, { name, by, args, key = name, measure = "plays", signal, compare = true }) {
  const most = Math.max(1, ...records.map((record) => Number(record[measure])));
  const wanted = [];
  const items = records.map((record) => {
    const picture = cover(kind === "track" ? by?.(record) ?? name(record) : name(record), { round: kind === "artist" });
    wanted.push({ place: picture, key: key(record) });
    return h("li", null,
      h("span.place", null, count(record.place), compare && h("small", null, climb(record))),
      picture,
      h("div.what", null,
        h("a.name", { href: href(kind, args(record)), title: name(record) }, bdi(name(record) ?? "unknown")),
        by && h("a.by", { href: href("artist", [by(record) ?? ""]) }, bdi(by(record) ?? "")),
        h("div.bar", { style: { "--share": String(Number(record[measure]) / most) }, "aria-hidden": "true" })),
      h("span.much", null,
        measure === "minutes" ? hours(record.minutes / 60) : count(record.plays),
        h("small", null, measure === "minutes" ? `${count(record.plays)} plays` : minutes(record.minutes))));
  });
  fillCovers(kind, wanted, signal).catch(() => announce("covers could not be loaded"));
  return h("ol.ranked", null, items);
}

function minutes(value) {
  return Number(value) >= 60 ? hours(value / 60) : duration(Number(value) * 60).replace(/ \d\d s$/, "");
}

function climb({ climbed, place_before: before }) {
  if (before === null || before === undefined) return h("span.up", { title: "not heard in the period before" }, "new");
  if (Number(climbed) === 0) return h("span", { title: "the same place as in the period before" }, "=");
  const up = Number(climbed) > 0;
  return h("span", { class: up ? "up" : "down", title: `place ${count(before)} in the period before` },
    h("span", { "aria-hidden": "true" }, up ? "▲" : "▼"), h("span.visually-hidden", null, up ? "up " : "down "), count(Math.abs(climbed)));
}
