// Whose lake it is: the listeners with the end of each authorisation, and the buttons to renew, name, join, share, invite.

import { ApiError, get, send } from "./api.js";
import { command } from "./command.js";
import { button, copyText, h, notice, replace } from "./dom.js";
import { moment } from "./format.js";
import { faultBox, loading } from "./panel.js";

/** Everybody whom the lake knows: [{user_id, name, may_be, authorization_ends_at, …}]. */
export async function people(signal) {
  return (await get("listeners", {}, signal)).listeners;
}

/** The panel of listeners, which loads itself; `refresh()` looks again. */
export function listenersPanel({ signal }) {
  const body = h("div.stack", null, loading(60));
  const links = h("div.stack", { role: "status" });
  const show = async () => {
    try {
      const all = await people(signal);
      replace(body, all.length ? all.map((person) => line(person, all, act)) : h("p.muted", null, "Nobody yet: invite somebody, or import an export."));
    } catch (fault) {
      if (fault.name !== "AbortError") replace(body, faultBox(fault, show));
    }
  };
  /** Do something and show its outcome; what it answers is a link to hand on, or nothing. */
  async function act(what) {
    try {
      const link = await what();
      if (link) replace(links, linkBox(link));
      await show();
    } catch (fault) {
      if (fault.name !== "AbortError") replace(links, notice(fault.message, { bad: true }));
    }
  }
  const name = h("input", { id: "invite-name", maxlength: "100", placeholder: "Name" });
  const form = h("form.row", { onsubmit: (event) => {
    event.preventDefault();
    act(() => invitation({ name: name.value.trim() || "somebody" }));
  } }, h("label.field", { for: "invite-name" }, "Somebody new", name), button("Invite", { type: "submit" }));
  show();
  const section = h("section.panel.half", { "aria-labelledby": "listeners-title" },
    h("h2", { id: "listeners-title" }, "Listeners"), body, form, links);
  section.refresh = show;
  return section;
}

function line(person, all, act) {
  const ends = person.authorization_ends_at;
  const names = new Map(all.map((one) => [one.user_id, one.name]));
  return h("div.row.spread", null,
    h("div", null, h("strong", null, person.name),
      h("div.muted.small", null, ends ? `logged in until ${moment(ends, "UTC", { dateStyle: "medium" })}` : "known from imports alone")),
    h("div.row", null,
      button(ends ? "Renew" : "Log in", { quiet: true, onclick: () => act(() => invitation(ends ? { listener: person.user_id } : { name: person.name })) }),
      button("Rename", { quiet: true, onclick: () => act(() => rename(person)) }),
      button("Share", { quiet: true, onclick: () => act(() => share(person)) }),
      person.may_be.map((other) => button(`Same as ${names.get(other) ?? other}`, { quiet: true,
        onclick: () => act(() => send("POST", "merges", { listener: other, into: person.user_id }).then(() => null)) }))));
}

async function invitation(asked) {
  const made = await send("POST", "invitations", asked);
  return { url: made.url, words: `Works once, until ${moment(made.expires_at, "UTC", { dateStyle: "medium" })}.` };
}

async function share(person) {
  const made = await send("POST", "shares", { listener: person.user_id });
  return { url: made.url, words: [`Shows ${person.name}’s pages and nobody else’s, to whoever has it. `, command(`token revoke ${made.token_id}`), " takes it back."] };
}

async function rename(person) {
  const name = prompt(`What is ${person.name} called?`, person.name);
  if (name?.trim()) await send("PUT", "listeners", { listener: person.user_id, name });
}

function linkBox({ url, words }) {
  return h("div.stack", null, h("a", { href: url, rel: "noreferrer" }, url), h("div.row", null, h("span.small.muted", null, words), button("Copy", { quiet: true, onclick: () => copyText(url) })));
}

/** Ask in `place` whose listening a file is: {user_id} of somebody known, or {new_listener} of somebody new. */
export async function askWhose(place, title, signal) {
  const all = await people(signal);
  return new Promise((resolve) => {
    const name = h("input", { "aria-label": "Name of somebody new", maxlength: "100", required: true, placeholder: "Somebody new" });
    replace(place, h("strong", null, title), h("div.row", { role: "group", "aria-label": `Whose listening is ${title}?` },
      h("span", null, "Whose listening is it?"),
      all.map((person) => button(person.name, { onclick: () => resolve({ user_id: person.user_id }) })),
      h("form.row", { onsubmit: (event) => {
        event.preventDefault();
        resolve({ new_listener: name.value });
      } }, name, button("This is new", { type: "submit" }))));
  });
}

/** Whether a fault says that it is not clear whose an export is. */
export function asksWhose(fault) {
  return fault instanceof ApiError && Array.isArray(fault.details?.known);
}
