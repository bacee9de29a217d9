// The story in one picture, drawn on a canvas.

const [WIDE, TALL] = [1080, 1350]; // px: as phones show pictures
const EDGE = 84;
const FONT = '"Inter", system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const [GROUND, DEEP, INK, SOFT, BRIGHT] = ["#0b6e63", "#06302b", "#ffffff", "#bfe3dc", "#ffd28a"];

/** Draw `period`, `minutes`, `facts` [[number, words]], `lists` [[title, names]] and a `last` line. */
export function drawPoster(canvas, { period, minutes, facts, lists, last }) {
  canvas.width = WIDE;
  canvas.height = TALL;
  const pen = canvas.getContext("2d");
  const ground = pen.createLinearGradient(0, 0, WIDE * 0.4, TALL);
  ground.addColorStop(0, GROUND);
  ground.addColorStop(1, DEEP);
  pen.fillStyle = ground;
  pen.fillRect(0, 0, WIDE, TALL);
  pen.textBaseline = "alphabetic";
  line(pen, period, EDGE, 140, { size: 44, weight: 500, colour: SOFT });
  line(pen, minutes, EDGE, 290, { size: 150, weight: 700, whole: true });
  line(pen, "minutes listened", EDGE, 350, { size: 40, colour: SOFT });
  facts.forEach(([number, words], at) => {
    const x = EDGE + at * ((WIDE - 2 * EDGE) / facts.length);
    const room = (WIDE - 2 * EDGE) / facts.length - 16;
    line(pen, number, x, 470, { size: 56, weight: 650, colour: BRIGHT, room, whole: true });
    line(pen, words, x, 514, { size: 26, colour: SOFT, room });
  });
  lists.forEach(([title, names], at) => {
    const y = 610 + at * 320;
    line(pen, title, EDGE, y, { size: 32, weight: 600, colour: BRIGHT });
    names.forEach((name, place) => line(pen, `${place + 1}  ${name}`, EDGE, y + 52 + place * 46, { size: 35, weight: 560 }));
  });
  if (last) line(pen, last, EDGE, TALL - 84, { size: 30, colour: SOFT });
}

/** One line of text. Where it does not fit it is cut, or, if it is to stay `whole` as numbers are, written smaller. */
function line(pen, text, x, y, { size, weight = 400, colour = INK, room = WIDE - 2 * EDGE, whole = false }) {
  const set = (pixels) => { pen.font = `${weight} ${pixels}px ${FONT}`; };
  set(size);
  pen.fillStyle = colour;
  if (whole) set(Math.min(size, Math.floor((size * room) / pen.measureText(text).width)));
  let shown = [...String(text)];
  const all = shown.length;
  while (shown.length > 1 && pen.measureText(shown.join("") + (shown.length < all ? "…" : "")).width > room) shown = shown.slice(0, -1);
  pen.fillText(shown.join("").trimEnd() + (shown.length < all ? "…" : ""), x, y);
}
