// Charts: Chart.js on a canvas, in the page's colours, with words for screen readers. The data table behind each
// chart is the panel's business (panel.js).

import {
  BarController, BarElement, CategoryScale, Chart, Filler, Legend, LinearScale, LineController, LineElement,
  MatrixController, MatrixElement, PointElement, ScatterController, Tooltip,
} from "./vendor/chart.js";
import { h } from "./dom.js";
import { number, short } from "./format.js";

Chart.register(
  BarController, BarElement, CategoryScale, Filler, Legend, LinearScale, LineController, LineElement,
  MatrixController, MatrixElement, PointElement, ScatterController, Tooltip,
);
Chart.defaults.animation = false;
Chart.defaults.font.family = getComputedStyle(document.documentElement).fontFamily;
Chart.defaults.font.size = 12;

const MOST_POINTS = 5000; // drawn points; more says nothing on a screen
const BEND = 0.75; // of a heat map's colours: most of the light lies where most of the cells are
const LETTER = 6.8; // px of one letter beside an axis, on average
const drawn = new Map(); // canvas -> {chart, configure}

/** Lines, filled when there is one: `series` is [{name, values, quiet?}]. What is `partial` (places) is dashed. */
export function lineChart({ labels, series, label, unit = number, tall, valueName, partial = [], onChoose, upsideDown }) {
  return canvasOf(label, tall, (palette) => ({
    type: "line",
    data: { labels, datasets: series.map((one, index) => lineOf(one, index, series, palette, new Set(partial), upsideDown)) },
    options: { ...cartesian(palette, { unit, legend: series.length > 1, whole: areWhole(series), valueName, alone: labels.length === 1, upsideDown }), ...choosing(onChoose) },
  }));
}

/**
 * Vertical bars, or horizontal ones; several series stand beside each other or `stacked`. `named` labels may be long.
 * What is `partial` (places) is paler; `onChoose(place)` hears which bar was clicked.
 */
export function barChart({ labels, series, label, unit = number, named, horizontal, tall, stacked, valueName, partial = [], onChoose }) {
  const beside = stacked ? 1 : Math.max(1, series.length * 0.6);
  return canvasOf(label, tall ?? (horizontal ? Math.max(160, labels.length * 26 * beside + 50 + (valueName ? 22 : 0)) : undefined), (palette) => {
    const datasets = series.map((one, index) => ({
      label: one.name,
      data: one.values,
      backgroundColor: partial.length
        ? one.values.map((_, place) => withAlpha(palette.series[index % palette.series.length], partial.includes(place) ? 0.4 : 1))
        : one.quiet ? palette.quiet : palette.series[index % palette.series.length],
      borderRadius: labels.length > 30 ? 1 : 3,
      maxBarThickness: 42,
      categoryPercentage: 0.86,
      barPercentage: 0.92,
    }));
    return {
      type: "bar",
      data: { labels, datasets },
      options: { ...cartesian(palette, { unit, legend: series.length > 1, horizontal, stacked, whole: areWhole(series), valueName, named }), ...choosing(onChoose) },
    };
  });
}

/** A click on what is drawn, for who has a use for it: the same is in the table, for keyboards. */
function choosing(onChoose) {
  if (!onChoose) return {};
  return {
    onClick: (_event, [found]) => found && onChoose(found.index),
    onHover: (event, found) => { event.native.target.style.cursor = found.length ? "pointer" : ""; },
  };
}

/** Points of two numbers: `points` is [{x, y, name?}]. */
export function scatterChart({ points, label, xName, yName, tall }) {
  return canvasOf(label, tall, (palette) => {
    const options = cartesian(palette, { unit: number });
    options.scales.x = { ...options.scales.y, grid: { display: false }, title: titleOf(xName, palette) };
    options.scales.y.title = titleOf(yName, palette);
    options.scales.x.beginAtZero = options.scales.y.beginAtZero = false;
    options.interaction = { mode: "nearest", intersect: true };
    options.plugins.tooltip.callbacks = {
      title: () => "",
      label: ({ raw }) => [raw.name, `${xName} ${number(raw.x)}, ${yName} ${number(raw.y)}`].filter(Boolean),
    };
    const data = points.slice(0, MOST_POINTS);
    const dots = { data, backgroundColor: palette.series[0], pointRadius: 3.5, pointHoverRadius: 5 };
    return { type: "scatter", data: { datasets: [dots] }, options };
  });
}

/** A heat map with its key: `value(x, y)` of so many `what` for each of `columns` and `rows` (their labels). */
export function heatMap({ columns, rows, value, what, label, unit = number, tall = 236, describe, xName, yName, onChoose }) {
  const cells = rows.flatMap((row, y) => columns.map((column, x) => ({ x, y, v: Number(value(x, y) ?? 0) })));
  const most = Math.max(0, ...cells.map((cell) => cell.v)) || 1;
  return [canvasOf(label, tall, (palette) => ({
    type: "matrix",
    data: {
      datasets: [{
        data: cells,
        width: ({ chart }) => Math.max(1, (chart.chartArea?.width ?? 0) / columns.length - 2),
        height: ({ chart }) => Math.max(1, (chart.chartArea?.height ?? 0) / rows.length - 2),
        borderRadius: 3,
        backgroundColor: ({ raw }) => (raw.v ? mix(palette.heat[0], palette.heat[1], (raw.v / most) ** BEND) : palette.empty),
        hoverBackgroundColor: palette.series[1],
      }],
    },
    options: {
      ...choosing(onChoose && ((at) => onChoose(cells[at]))),
      interaction: { mode: "nearest", intersect: false }, // between two cells too
      maintainAspectRatio: false,
      scales: {
        x: { ...axisOf(columns, palette, { autoSkip: true, maxRotation: 0, autoSkipPadding: 14 }), title: xName && titleOf(xName, palette) },
        y: { ...axisOf(rows, palette, { autoSkip: rows.length > 12 }), reverse: true, title: yName && titleOf(yName, palette) },
      },
      plugins: {
        legend: { display: false },
        tooltip: tooltip(palette, {
          title: () => "",
          label: ({ raw }) => describe?.(columns[raw.x], rows[raw.y], raw.v, raw) ?? `${rows[raw.y]}, ${columns[raw.x]}: ${unit(raw.v)}`,
        }),
      },
    },
  })), keyOf(unit(most), what)];
}

/** What the colours of a heat map stand for: none, and five steps up to the most. */
function keyOf(most, what) {
  const steps = [1, 2, 3, 4, 5].map((step) => h("i", { style: { "--part": `${100 * (step / 5) ** BEND}%` } }));
  const words = most === "1" ? what?.replace(/s$/, "") : what;
  return h("p.heat-key", null, h("span", null, "0"), h("i.none"), steps, h("span", null, [most, words].filter(Boolean).join(" ")));
}

function axisOf(labels, palette, ticks) {
  return {
    type: "linear", min: -0.5, max: labels.length - 0.5, offset: false, border: { display: false }, grid: { display: false },
    afterBuildTicks: (axis) => { axis.ticks = labels.map((_, value) => ({ value })); },
    ticks: { ...ticks, color: palette.muted, callback: (value) => labels[value] ?? "" },
  };
}

function lineOf(one, index, series, palette, partial, upsideDown) {
  const colour = one.quiet ? palette.quiet : palette.series[index % palette.series.length];
  const alone = series.filter((each) => !each.quiet).length === 1 && !one.quiet;
  return {
    label: one.name,
    data: one.values,
    borderColor: colour,
    backgroundColor: alone ? withAlpha(colour, 0.13) : colour,
    fill: alone && !upsideDown ? "origin" : false,
    borderWidth: one.quiet ? 1.5 : 2,
    borderDash: one.quiet ? [4, 4] : [],
    pointRadius: one.values.filter((value) => value !== null).length > 40 ? 0 : 2.5,
    pointBackgroundColor: colour,
    pointHoverRadius: 5,
    tension: 0, // a bend would show values that nobody counted
    spanGaps: true,
    segment: { borderDash: ({ p0DataIndex, p1DataIndex }) => (partial.has(p0DataIndex) || partial.has(p1DataIndex) ? [3, 4] : undefined) },
  };
}

function cartesian(palette, { unit, legend, horizontal, stacked, whole, valueName, named, alone, upsideDown }) {
  const values = {
    beginAtZero: !upsideDown, ...(upsideDown && { reverse: true, min: 1, grace: "5%" }), stacked, border: { display: false }, grid: { color: palette.line, drawTicks: false },
    ticks: { color: palette.muted, maxTicksLimit: 6, padding: 8, precision: whole ? 0 : undefined, callback: (value) => short(value) },
    title: valueName ? titleOf(valueName, palette) : undefined,
  };
  const names = {
    stacked, border: { color: palette.line }, grid: { display: false },
    ticks: { color: palette.muted, maxRotation: 0, autoSkip: !horizontal, autoSkipPadding: 18 },
  };
  if (alone) names.offset = true; // in the middle
  if (named) names.ticks.callback = function fitting(value) {
    const room = horizontal ? this.chart.width * 0.36 : this.chart.width / this.getLabels().length;
    return cut(this.getLabelForValue(value), Math.max(8, Math.floor(room / LETTER)));
  };
  return {
    maintainAspectRatio: false,
    normalized: true,
    indexAxis: horizontal ? "y" : "x",
    interaction: { mode: "index", intersect: false, axis: horizontal ? "y" : "x" },
    scales: horizontal ? { x: values, y: names } : { x: names, y: values },
    plugins: {
      legend: {
        display: Boolean(legend), position: "bottom", align: "start",
        labels: { color: palette.ink, boxWidth: 12, boxHeight: 12, useBorderRadius: true, borderRadius: 3, padding: 14 },
      },
      tooltip: tooltip(palette, {
        label: ({ dataset, raw }) => ` ${dataset.label ? `${dataset.label}: ` : ""}${unit(raw)}`,
      }),
    },
  };
}

/** A name cut to so many letters; its whole stands in the tooltip and the table. */
function cut(name, most) {
  const letters = [...name];
  return letters.length > most ? `${letters.slice(0, most - 1).join("").trimEnd()}…` : name;
}

function areWhole(series) {
  return series.every(({ values }) => values.every((value) => value === null || Number.isInteger(value)));
}

function tooltip(palette, callbacks) {
  return {
    backgroundColor: palette.ink, titleColor: palette.surface, bodyColor: palette.surface, padding: 10, cornerRadius: 6,
    boxPadding: 4, displayColors: false, callbacks,
  };
}

function titleOf(text, palette) {
  return { display: true, text, color: palette.muted };
}

function canvasOf(label, tall, configure) {
  const canvas = h("canvas", { role: "img", "aria-label": label });
  const box = h("div.chart-box", { style: tall ? { "--chart-height": `${tall}px` } : {} }, canvas);
  requestAnimationFrame(() => {
    if (canvas.isConnected) draw(canvas, configure);
  });
  return box;
}

function draw(canvas, configure) {
  drawn.get(canvas)?.chart.destroy();
  drawn.set(canvas, { configure, chart: new Chart(canvas, configure(paletteOf(canvas))) });
  for (const [other, { chart }] of drawn) {
    if (!other.isConnected) {
      chart.destroy();
      drawn.delete(other);
    }
  }
}

/** Draw again, for new colours. */
export function redrawCharts() {
  for (const [canvas, { configure }] of [...drawn]) if (canvas.isConnected) draw(canvas, configure);
}

function paletteOf(element) {
  const probe = h("i", { hidden: true });
  element.parentNode.append(probe);
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const palette = {
    ink: colour("ink"), muted: colour("muted"), line: colour("line"), surface: colour("surface"), quiet: colour("quiet"),
    empty: colour("empty"), heat: [colour("heat-low"), colour("heat-high")],
    series: [1, 2, 3, 4, 5, 6].map((index) => colour(`series-${index}`)),
  };
  probe.remove();
  return palette;
}

function channels(colour) {
  return colour.match(/[\d.]+/g).map(Number);
}

function mix(low, high, part) {
  const [from, to] = [channels(low), channels(high)];
  return `rgb(${[0, 1, 2].map((index) => Math.round(from[index] + (to[index] - from[index]) * part)).join(",")})`;
}

function withAlpha(colour, alpha) {
  return `rgba(${channels(colour).slice(0, 3).join(",")},${alpha})`;
}
