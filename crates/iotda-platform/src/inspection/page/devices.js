// The list of devices: those that have reported, the latest first and with their latest values, then the others that are
// registered. No more than fifty are listed: the search finds the rest.

import { el, id, shown, ago, ask, reportsOf } from "./text.js";

const MOST_LISTED = 50, MOST_KEPT = 2000;
const list = document.getElementById("devices"), search = document.getElementById("device-search");

let heard = new Map();       // by ID: when something came, and the latest values
let registered = [];         // the IDs that the search has found
let chosen = () => {};

/** Makes the search ready. `choose` is called with the device that a person picks. */
export function start(choose) {
  chosen = choose;
  search.addEventListener("input", find);
  return find();
}

export function forget() { heard = new Map(); }

/** One that is registered, to be named in an example. */
export function example() { return registered[0]; }

/** Takes up a request that came so many milliseconds ago. */
export function take(entry, ageMs) {
  const reports = reportsOf(entry);
  if (entry.result === "accepted") {
    for (const { device, services } of reports) {
      touch(device, ageMs, services.map((it) => `${it.service_id} ${JSON.stringify(it.properties)}`).join(" "));
    }
  }
  if (entry.device_id && !reports.length) touch(entry.device_id, ageMs, heard.get(entry.device_id)?.values);
}

function touch(device, ageMs, values) {
  heard.delete(device);
  heard.set(device, { at: performance.now() - ageMs, values });
  if (heard.size > MOST_KEPT) heard.delete(heard.keys().next().value);
}

async function find() {
  const query = new URLSearchParams({ q: search.value.trim(), limit: MOST_LISTED });
  registered = (await ask(`/devices?${query}`)).map((it) => it.device_id);
  draw();
}

export function draw() {
  // Not under the hands of whoever is in it.
  if (list.contains(document.activeElement)) return;
  const text = search.value.trim().toLowerCase();
  const seen = [...heard].reverse().filter(([name]) => name.toLowerCase().includes(text));
  const silent = registered.filter((name) => !heard.has(name)).map((name) => [name, undefined]);
  list.replaceChildren(...[...seen, ...silent].slice(0, MOST_LISTED).map(([name, it]) => line(name, it)));
}

function line(name, seen) {
  const when = seen ? ago(performance.now() - seen.at) : "–";
  const button = el("button", { type: "button" }, el("span", { class: "clip" }, id(name)), el("small", {}, when));
  button.addEventListener("click", () => chosen(name));
  const item = el("li", {}, button);
  if (seen?.values) {
    const values = el("bdi", {}, shown(seen.values.slice(0, 120)));
    item.append(el("div", { class: "clip", title: shown(seen.values.slice(0, 500)) }, values));
  }
  return item;
}
