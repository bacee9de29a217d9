// Small pictures of what a report draws: its kind of chart, with heights of its own so that no two look the same.

const SVG = "http://www.w3.org/2000/svg";
const [WIDE, TALL] = [72, 36]; // units of the drawing

/** The picture of a report's chart; it says nothing that the words beside it do not. */
export function thumbnail(kind, name) {
  const random = heights(name);
  const draw = { bar: bars, line, heatmap: cells, number: digits, table: lines }[kind] ?? lines;
  return element("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, class: "thumbnail", "aria-hidden": "true" }, draw(random));
}

/** Numbers from 0 to 1, always the same ones for a name. */
function heights(name) {
  let state = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 2147483647, 7);
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

function bars(random) {
  const long = [1, 0.5 + random() * 0.4, 0.3 + random() * 0.3, 0.15 + random() * 0.2];
  return long.map((part, at) => element("rect", { x: 0, y: at * 9.5, width: part * WIDE, height: 6.5, rx: 1.5 }));
}

function line(random) {
  const points = Array.from({ length: 9 }, (_, at) => `${at * 9},${4 + random() * 24}`);
  return [element("polygon", { points: `0,${TALL} ${points.join(" ")} ${WIDE},${TALL}`, class: "below" }), element("polyline", { points: points.join(" ") })];
}

function cells(random) {
  return Array.from({ length: 32 }, (_, at) => element("rect", { x: (at % 8) * 9, y: Math.floor(at / 8) * 9, width: 7.5, height: 7.5, rx: 1.5, "fill-opacity": (0.15 + random() * 0.85).toFixed(2) }));
}

function lines(random) {
  return [0, 1, 2, 3].flatMap((row) => [
    element("rect", { x: 0, y: row * 9.5, width: 24 + random() * 20, height: 5, rx: 1.5, class: row ? "quiet" : "" }),
    element("rect", { x: 52, y: row * 9.5, width: 12 + random() * 8, height: 5, rx: 1.5, class: row ? "quiet" : "" }),
  ]);
}

function digits(random) {
  return [element("rect", { x: 0, y: 6, width: 30 + random() * 20, height: 16, rx: 2 }), element("rect", { x: 0, y: 28, width: 40, height: 5, rx: 1.5, class: "quiet" })];
}

function element(name, attributes, children = []) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
