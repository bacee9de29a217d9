// Elements without a framework: h("a.link", {href}, ...children). Styles go through the CSSOM, as the page's
// Content-Security-Policy allows no style attributes.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `tag` may carry classes ("div.card.wide"); props starting with "on" are listeners. */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name || "div");
  if (classes.length) element.classList.add(...classes);
  apply(element, props);
  append(element, children);
  return element;
}

function apply(element, props) {
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.classList.add(...value.split(" ").filter(Boolean));
    else if (key === "style") for (const [name, set] of Object.entries(value)) element.style.setProperty(name, set);
    else if (key === "value" || key === "checked" || key === "selected") element[key] = value;
    else element.setAttribute(key, value === true ? "" : String(value));
  }
}

export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child);
  }
}

export function replace(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

const ICONS = {
  overview: "M4 13h4v7H4zM10 4h4v16h-4zM16 9h4v11h-4z",
  year: "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4m-8 7h4",
  listens: "M4 7h2m3 0h11M4 12h2m3 0h11M4 17h2m3 0h11",
  library: "M5 4v16M9.5 4v16M14 5l5 15",
  sql: "M4 6c0-1.7 3.6-3 8-3s8 1.3 8 3-3.6 3-8 3-8-1.3-8-3zm0 0v6c0 1.7 3.6 3 8 3s8-1.3 8-3V6m-16 6v6c0 1.7 3.6 3 8 3s8-1.3 8-3v-6",
  reports: "M6 3h9l4 4v14H6zM9 12h7M9 16h7M9 8h3",
  pipeline: "M4 7h6m4 0h6M4 17h6m4 0h6M10 4h4v6h-4zM10 14h4v6h-4z",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.4m11.2 11.2L19 19M19 5l-1.4 1.4M6.4 17.6 5 19",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  plus: "M12 5v14M5 12h14",
  play: "M7 4.5v15l12-7.5z",
  stop: "M6 6h12v12H6z",
  upload: "M12 16V4m-5 5 5-5 5 5M4 20h16",
  download: "M12 4v12m-5-5 5 5 5-5M4 20h16",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  chart: "M4 20V4m0 16h16M8 16l4-5 3 3 5-7",
  table: "M4 5h16v14H4zM4 10h16M4 15h16M10 5v14",
  code: "m8 7-5 5 5 5m8-10 5 5-5 5",
  refresh: "M20 11a8 8 0 1 0-2.3 6.3M20 5v6h-6",
  save: "M5 4h11l3 3v13H5zM8 4v5h7M8 20v-6h8v6",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5 20 20",
  key: "M15 9a4 4 0 1 0-4 4c.5 0 1-.1 1.5-.3L14 14h2v2h2v2h3v-3l-6.3-4.5c.2-.5.3-1 .3-1.5z",
  out: "M14 4h6v6m0-6-9 9M18 14v6H4V6h6",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3.5 2",
  history: "M4 5v5h5M4.6 10A8 8 0 1 1 4 13m8-5v4.5l3 2",
};

/** A line icon from the set above; decorative, so hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** A button with an icon and a label; `quiet` ones show no frame, `bare` ones hide the label from the eye. */
export function button(label, { icon: name, quiet, bare, primary, danger, ...props } = {}) {
  const kinds = { quiet, bare, primary, danger };
  const classes = Object.keys(kinds).filter((kind) => kinds[kind]).join(" ");
  return h(
    "button.button",
    { type: "button", class: classes, title: bare ? label : undefined, ...props },
    name && icon(name),
    h(bare ? "span.visually-hidden" : "span", null, label),
  );
}

/** A number to look at, as large as its letters fit; with words below it. */
export function figure(name, value, more) {
  return h("div.figure", null, h("dt", null, name), h("dd", { style: typeof value === "string" ? { "--letters": value.length } : {} }, value), more && h("dd.change", null, more));
}

/** A name in whatever script it is written: from right to left, it leaves what stands around it where it was. */
export function bdi(name) {
  return h("bdi", null, name);
}

/** Say something to screen readers. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** A passing notice in the corner; errors stay until closed. */
export function notice(text, { bad = false, action } = {}) {
  const box = h("div.notice", { class: bad ? "bad" : "", role: bad ? "alert" : "status" }, h("span", null, text), action);
  box.append(button("Close", { bare: true, quiet: true, onclick: () => box.remove() }));
  box.lastChild.prepend("×");
  document.getElementById("notices").append(box);
  if (!bad) setTimeout(() => box.remove(), 6000);
}

/** Save text or a blob as a file of the user's. */
export function saveFile(blob, filename) {
  const address = URL.createObjectURL(blob);
  const anchor = h("a", { href: address, download: filename });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "visually-hidden", value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  notice("Copied");
}
