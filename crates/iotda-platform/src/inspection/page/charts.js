// The charts: one for each numeric property of each device, drawn by hand as SVG. Of what falls into one column of
// pixels the least and the greatest are drawn, so that no spike is lost.

import { el, shown, isNumber, reportsOf } from "./text.js";

const MOST_POINTS = 2000, MOST_SERIES = 400, MOST_CHARTS = 12, WIDTH = 240, HEIGHT = 56;
const SVG = "http://www.w3.org/2000/svg";
const series = new Map();

export function forget() { series.clear(); }

/** Takes up the numbers of a request that was accepted. */
export function take(entry) {
  if (entry.result !== "accepted") return;
  for (const { device, services } of reportsOf(entry)) {
    for (const { service_id, properties } of services) {
      for (const [name, value] of Object.entries(properties ?? {})) {
        if (isNumber(value)) add(device, `${service_id}.${name}`, entry.received_at_ms, value);
      }
    }
  }
}

function add(device, name, at, value) {
  const key = JSON.stringify([device, name]);
  let it = series.get(key);
  if (!it) {
    if (series.size >= MOST_SERIES) return;
    series.set(key, it = { device, name, points: [] });
  }
  it.points.push([Number(at), Number(value), value.source ?? String(value)]);
  if (it.points.length > MOST_POINTS) it.points.shift();
}

/** Draws the charts of one device, or of all. */
export function draw(place, device) {
  const chosen = [...series.values()].filter((it) => !device || it.device === device).slice(0, MOST_CHARTS);
  place.replaceChildren(...chosen.map(figure));
}

function figure({ device, name, points }) {
  const values = points.map((point) => point[1]);
  const least = values.reduce((a, b) => Math.min(a, b)), greatest = values.reduce((a, b) => Math.max(a, b));
  const last = points.at(-1)[2];
  const numbers = `${points.length} values from ${least} to ${greatest}, the last ${last}`;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", shown(`${name} of ${device}: ${numbers}`));
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", outline(points, least, greatest));
  svg.append(path);
  return el("figure", { title: shown(`${device}: ${numbers}`) },
    el("figcaption", {}, el("span", {}, el("bdi", {}, shown(name))), el("b", {}, shown(last))),
    svg,
    el("small", {}, el("span", { class: "clip" }, el("bdi", {}, shown(device))),
      el("span", {}, least === greatest ? "" : `${Number(least.toPrecision(6))} – ${Number(greatest.toPrecision(6))}`)));
}

function outline(points, least, greatest) {
  const from = points[0][0], span = Math.max(points.at(-1)[0] - from, 1), height = greatest - least || 1;
  const y = (value) => (HEIGHT - 3 - ((value - least) / height) * (HEIGHT - 6)).toFixed(1);
  const columns = new Map();
  for (const [at, value] of points) {
    const x = Math.round(((at - from) / span) * WIDTH);
    const column = columns.get(x);
    if (!column) columns.set(x, [value, value, value]);
    else columns.set(x, [Math.min(column[0], value), Math.max(column[1], value), value]);
  }
  const drawn = [...columns].map(([x, [low, high, last]]) =>
    low === high ? `L${x} ${y(last)}` : `L${x} ${y(low)}L${x} ${y(high)}L${x} ${y(last)}`);
  const line = drawn.join("").replace("L", "M");
  return columns.size === 1 ? `${line}H${WIDTH}` : line;
}
