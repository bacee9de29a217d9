// A ranked list: place, cover, name, how much, and how far it climbed; more of it when asked for.

import { announce, bdi, button, h, notice } from "./dom.js";
import { count, duration, hours } from "./format.js";
import { cover, fillCovers } from "./covers.js";
import { runReport } from "./reports.js";
import { href } from "./state.js";

const GROWTH = 5; // times as many rows, each time that more are asked for
const MOST_LISTED = 1000; // rows of a report

/**
 * `kind` is artist, album or track; `records` have place, plays, minutes and maybe climbed, place_before.
 * `name`, `by` (its artist), `args` (or a whole `address`) and `key` read a record.
 */
export function rankedList(kind, records, { name, by, args, address = (record) => href(kind, args(record)), key = name, measure = "plays", signal, compare = true }) {
  const most = Math.max(1, ...records.map((record) => Number(record[measure])));
  const wanted = [];
  const items = records.map((record) => {
    const picture = cover(kind === "track" ? by?.(record) ?? name(record) : name(record), { round: kind === "artist" });
    wanted.push({ place: picture, key: key(record) });
    return h("li", null,
      h("span.place", null, count(record.place), compare && h("small", null, climb(record))),
      picture,
      h("div.what", null,
        h("a.name", { href: address(record), title: name(record) }, bdi(name(record) ?? "unknown")),
        by && h("a.by", { href: href("artist", [by(record) ?? ""]) }, bdi(by(record) ?? "")),
        h("div.bar", { style: { "--share": String(Number(record[measure]) / most) }, "aria-hidden": "true" })),
      h("span.much", null,
        measure === "minutes" ? hours(record.minutes / 60) : count(record.plays),
        h("small", null, measure === "minutes" ? `${count(record.plays)} plays` : minutes(record.minutes))));
  });
  fillCovers(kind, wanted, signal).catch(() => announce("covers could not be loaded"));
  return h("ol.ranked", null, items);
}

/** The nodes of a list's first rows, and of a button that brings many more. `draw` shows records. */
export function longList(result, report, draw, extra = {}) {
  const { limit } = result.values;
  const place = h("div", null, draw(result.records));
  if (result.records.length < limit) return [place];
  const more = button("Show more", { quiet: true, onclick: async () => {
    more.disabled = true;
    try {
      const longer = await runReport(report, { ...extra, limit: Math.min(MOST_LISTED, limit * GROWTH) });
      more.closest(".row").remove();
      place.replaceWith(...longList(longer, report, draw, extra).filter(Boolean));
    } catch (fault) {
      more.disabled = false;
      notice(fault.message, { bad: true });
    }
  } });
  return [place, limit < MOST_LISTED && h("div.row", null, more, h("a.small", { href: href("reports", [report]) }, "as a report"))];
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
