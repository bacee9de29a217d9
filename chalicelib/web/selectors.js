// Period, time zone and listener: three choices that live in the address.

import { button, h } from "./dom.js";
import { runReport } from "./reports.js";
import { change, localTimeZone, selection } from "./state.js";

const SPANS = { "7d": "Last 7 days", "4w": "Last 4 weeks", "3m": "Last 3 months", "6m": "Last 6 months", "1y": "Last 12 months" };

/** The row of selectors; the choices of years and listeners arrive when the lake has answered. */
export function selectors({ signal, period = true, found = listeners(signal) } = {}) {
  const user = listenerField("Listener", selection().user, { found, id: "select-user", onchange: (chosen) => change({ user: chosen }) });
  return h("div.selectors", null, period && periodField(found), zoneField(), user);
}

/** Whose listens there are: [{user_id, name, plays, first_listen, last_listen}]. */
export async function listeners(signal) {
  return (await runReport("dashboard_listeners", {}, signal)).records;
}

/** The choice of the period; a lake's years are among it once they are `found`. */
export function periodField(found) {
  const chosen = selection();
  const field = periodOf(chosen, []);
  found.then((all) => {
    if (!field.isConnected) return;
    const held = field.contains(document.activeElement);
    const whole = periodOf(chosen, yearsOf(all));
    field.replaceWith(whole);
    if (held) whole.querySelector("select").focus();
  }, () => {});
  return field;
}

function periodOf(chosen, years) {
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
  const to = h("input", { type: "date", required: true, value: chosen.to || today });
  const from = h("input", { type: "date", required: true, value: chosen.from || `${today.slice(0, 4)}-01-01`, oninput: () => { to.min = from.value; } });
  to.min = from.value;
  let done = false;
  const dialog = h("dialog", { "aria-labelledby": "days-title", onclose: () => {
    dialog.remove();
    if (!done) onCancel();
  } }, h("form", { onsubmit: (event) => {
    event.preventDefault();
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

export function zoneField() {
  const chosen = selection();
  const known = Intl.supportedValuesOf?.("timeZone") ?? [];
  const zones = [...new Set(["UTC", localTimeZone(), chosen.timezone, ...known])];
  const select = h("select", { id: "select-timezone", onchange: () => change({ timezone: select.value }) },
    zones.map((zone) => h("option", { value: zone, selected: zone === chosen.timezone }, zone.replaceAll("_", " "))));
  return h("label.field", null, "Time zone", select);
}

/** The choice of a listener: nothing until they are `found`, and nothing where there is no other to choose. */
export function listenerField(title, chosen, { found, id, onchange, nobody = "Everybody", ...more }) {
  const place = document.createComment(title);
  found.then((all) => {
    if (!place.isConnected || (all.length < 2 && !chosen)) return;
    const names = new Map(all.map(({ user_id: user, name }) => [user, name]));
    const ids = [...new Set([...all.map(({ user_id: user }) => user), chosen].filter(Boolean))];
    const select = h("select", { id, onchange: () => onchange(select.value), ...more },
      h("option", { value: "", selected: chosen === "" }, nobody),
      ids.map((user) => h("option", { value: user, selected: user === chosen }, names.get(user) ?? user)));
    place.replaceWith(h("label.field", null, title, select));
  }, () => {});
  return place;
}

function yearsOf(found) {
  const first = Math.min(...found.map(({ first_listen }) => Number(String(first_listen).slice(0, 4))));
  const last = Math.max(...found.map(({ last_listen }) => Number(String(last_listen).slice(0, 4))));
  if (!Number.isFinite(first)) return [];
  return Array.from({ length: Math.min(60, last - first + 1) }, (_, index) => String(last - index));
}
