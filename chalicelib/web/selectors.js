// Period, time zone and listener: three choices that live in the address.

import { button, h } from "./dom.js";
import { runReport } from "./reports.js";
import { change, localTimeZone, selection } from "./state.js";

const SPANS = { "7d": "Last 7 days", "4w": "Last 4 weeks", "3m": "Last 3 months", "6m": "Last 6 months", "1y": "Last 12 months" };

/** The row of selectors; the choices of years and listeners arrive when the lake has answered. */
export function selectors({ signal, period = true, found: asked = listeners(signal) } = {}) {
  const chosen = selection();
  const element = h("div.selectors", null, period && periodField(chosen, []), zoneField(chosen));
  asked.then((found) => {
    if (signal?.aborted) return;
    if (period) {
      const held = element.firstChild.contains(document.activeElement);
      element.replaceChild(periodField(chosen, yearsOf(found)), element.firstChild);
      if (held) element.querySelector("select").focus();
    }
    if (found.length > 1 || chosen.user) element.append(userField(chosen, found));
  }, () => {});
  return element;
}

/** Whose listens there are: [{user_id, plays, first_listen, last_listen}]. */
export async function listeners(signal) {
  return (await runReport("dashboard_listeners", {}, signal)).records;
}

function periodField(chosen, years) {
  const custom = chosen.from && chosen.to;
  const current = custom ? "custom" : chosen.period;
  const options = [...Object.entries(SPANS), ...years.map((year) => [year, year]), ["all", "All time"]];
  if (!custom && !options.some(([value]) => value === current)) options.push([current, current]);
  options.push(["custom", custom ? `${chosen.from} – ${chosen.to}` : "From … to …"]);
  const select = h("select", { id: "select-period", onchange: () => {
    if (select.value === "custom") return askForDays(chosen, () => { select.value = current; });
    return change({ period: select.value, from: "", to: "" });
  } }, options.map(([value, text]) => h("option", { value, selected: value === current }, text)));
  return h("label.field", null, "Period", select);
}

function askForDays(chosen, onCancel) {
  const today = new Date().toISOString().slice(0, 10);
  const from = h("input", { type: "date", required: true, value: chosen.from || `${today.slice(0, 4)}-01-01` });
  const to = h("input", { type: "date", required: true, value: chosen.to || today });
  let done = false;
  const dialog = h("dialog", { "aria-labelledby": "days-title", onclose: () => {
    dialog.remove();
    if (!done) onCancel();
  } }, h("form", { onsubmit: (event) => {
    event.preventDefault();
    if (from.value > to.value) return;
    done = true;
    dialog.close();
    change({ from: from.value, to: to.value });
  } },
    h("h2", { id: "days-title" }, "Period"),
    h("label.field", null, "First day", from), h("label.field", null, "Last day", to),
    h("div.row.end", null, button("Cancel", { onclick: () => dialog.close() }), button("Show", { primary: true, type: "submit" }))));
  document.body.append(dialog);
  dialog.showModal();
}

function zoneField(chosen) {
  const known = Intl.supportedValuesOf?.("timeZone") ?? [];
  const zones = [...new Set(["UTC", localTimeZone(), chosen.timezone, ...known])];
  const select = h("select", { id: "select-timezone", onchange: () => change({ timezone: select.value }) },
    zones.map((zone) => h("option", { value: zone, selected: zone === chosen.timezone }, zone.replaceAll("_", " "))));
  return h("label.field", null, "Time zone", select);
}

function userField(chosen, found) {
  const ids = [...new Set([...found.map(({ user_id }) => user_id), chosen.user].filter(Boolean))];
  const select = h("select", { id: "select-user", onchange: () => change({ user: select.value }) },
    h("option", { value: "", selected: chosen.user === "" }, "Everybody"),
    ids.map((id) => h("option", { value: id, selected: id === chosen.user }, id)));
  return h("label.field", null, "Listener", select);
}

function yearsOf(found) {
  const first = Math.min(...found.map(({ first_listen }) => Number(String(first_listen).slice(0, 4))));
  const last = Math.max(...found.map(({ last_listen }) => Number(String(last_listen).slice(0, 4))));
  if (!Number.isFinite(first)) return [];
  return Array.from({ length: Math.min(60, last - first + 1) }, (_, index) => String(last - index));
}
