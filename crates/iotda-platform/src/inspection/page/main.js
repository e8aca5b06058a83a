// The page as a whole: what it follows, what it shows, and the address that says both.

import { el, shown, ago, ask, reportsOf } from "./text.js";
import * as charts from "./charts.js";
import * as devices from "./devices.js";
import * as faults from "./faults.js";
import { row, result, details } from "./rows.js";

const $ = (name) => document.getElementById(name);
const MOST_ROWS = 200, NAMES = ["device", "call", "result", "status", "q"];
const form = $("filter-form"), dialog = $("details");

let entries = [];            // newest first, those that the filters let through
let waiting = 0;             // how many are not drawn because the list stands still
let arrivals = [];           // times of the last seconds
let last = 0, lastAt = 0;    // the number of the newest, and when it came
let run, clears, source, endpoint = "…", paused = false, toDraw = false, armed = 0, spoken = 0;

const filters = () => Object.fromEntries(NAMES.map((name) => [name, form.elements[name].value.trim()]).filter((pair) => pair[1]));

function matches(entry) {
  const { device, call, result, status, q } = filters();
  const about = () => entry.device_id === device || reportsOf(entry).some((it) => it.device === device);
  const text = () => [entry.target, entry.body, entry.device_id, entry.reason, entry.discarded, entry.error_code, entry.incident]
    .some((it) => it?.toLowerCase().includes(q.toLowerCase()));
  return (!device || about()) && (!call || (entry.call ?? "none") === call) && (!result || entry.result === result) &&
    (!status || String(entry.status ?? "") === status) && (!q || text());
}

/* What comes in. */

function take(entry) {
  last = Math.max(last, Number(entry.number));
  lastAt = performance.now();
  arrivals.push(lastAt);
  if (arrivals.length > 20000) arrivals = arrivals.slice(-10000);
  note(entry);
  if (!matches(entry) || has(entry)) return;
  entries.unshift(entry);
  if (entries.length > 2 * MOST_ROWS) entries.length = MOST_ROWS;
  if (isHeld()) waiting += 1;
}

/** Whether a list that was asked for meanwhile has brought it already. */
function has(entry) {
  const number = Number(entry.number);
  return number <= Number(entries[0]?.number ?? 0) && entries.some((it) => Number(it.number) === number);
}

function note(entry) {
  charts.take(entry);
  devices.take(entry, Math.max(0, behind(entry)));
}

let clockAt = 0, clockMs = 0, clockStopped = true;
const platformNow = () => clockStopped ? clockMs : clockMs + performance.now() - clockAt;
const behind = (entry) => clockAt ? platformNow() - Number(entry.received_at_ms) : 0;

async function fetchRows() {
  const asked = filters(), askedAt = last;
  const query = new URLSearchParams({ ...asked, limit: MOST_ROWS });
  try {
    const list = await ask(`/log?${query}`);
    if (JSON.stringify(asked) !== JSON.stringify(filters())) return;
    // What has come by the events since the list was asked for is not in it, or is in both.
    const listed = new Set(list.map((it) => Number(it.number)));
    const since = entries.filter((it) => Number(it.number) > askedAt && !listed.has(Number(it.number)) && matches(it));
    entries = [...since, ...list].sort((a, b) => Number(b.number) - Number(a.number));
    waiting = 0;
    fail("");
  } catch (error) {
    entries = [];
    fail(error.message);
  }
  drawRows();
}

function fail(text) {
  $("error").textContent = shown(text);
  $("error").hidden = !text;
}

/** A page that nobody sees leaves the stream to others: there are eight, and a browser opens six of one host. */
function follow() {
  source?.close();
  if (document.hidden) return;
  source = new EventSource(`/events?after=${last}`);
  const begun = (reset) => (event) => {
    const data = JSON.parse(event.data);
    if (reset || run !== data.run || clears !== data.clears) return load();
    state();
  };
  source.addEventListener("start", begun(false));
  source.addEventListener("reset", begun(true));
  source.addEventListener("gap", fetchRows);
  source.addEventListener("message", (event) => {
    take(JSON.parse(event.data));
    later();
  });
  source.addEventListener("error", () => state(source.readyState === EventSource.CLOSED ? "ended" : "reconnecting"));
  source.addEventListener("open", () => state());
}

/** Loads what there is and follows what comes: at the start, and when all was forgotten or the platform is another. */
async function load() {
  source?.close();
  entries = []; waiting = 0; last = 0;
  devices.forget(); charts.forget();
  try {
    // Before anything is listed: what is forgotten from now on is noticed when the events begin.
    const health = await ask("/health");
    run = health.run; clears = Number(health.clears); endpoint = health.endpoint;
    await refresh();
    const recent = await ask("/log?limit=1000");
    recent.forEach(note);
    last = Math.max(0, ...recent.map((entry) => Number(entry.number)));
    await fetchRows();
    drawAside();
    follow();
  } catch (error) {
    fail(error.message);
    state("ended");
  }
}

/* What is drawn, once in a frame. */

const isHeld = () => paused || scrollY > 200;

function later() {
  if (toDraw) return;
  toDraw = true;
  requestAnimationFrame(() => {
    toDraw = false;
    if (!isHeld()) drawRows();
    else newer();
    drawAside();
    refreshSoon();
  });
}

function drawRows() {
  waiting = 0;
  const focused = document.activeElement?.closest("tr")?.dataset.number;
  $("rows").replaceChildren(...entries.slice(0, MOST_ROWS).map((entry) => row(entry, open)));
  if (focused) $("rows").querySelector(`[data-number="${focused}"] button`)?.focus();
  newer(); empty();
}

function newer() {
  $("newer").hidden = waiting === 0;
  $("newer").textContent = `${waiting} newer ^`;
}

function empty() {
  const place = $("empty");
  place.hidden = entries.length > 0;
  if (!place.hidden) {
    if (Object.keys(filters()).length) {
      const clear = el("button", { type: "button" }, "Clear");
      clear.addEventListener("click", clearFilters);
      place.replaceChildren(`Nothing of ${counters.requests ?? 0} matches. `, clear);
    } else {
      place.replaceChildren(`Nothing yet. Point a device at ${endpoint}:`,
        el("pre", {}, `curl -s ${location.origin}/ca.pem > ca.pem\nexport IOTDA_ENDPOINT=${endpoint}\nexport IOTDA_CA_FILE="$PWD/ca.pem"\n` +
          `export IOTDA_DEVICE_ID=${devices.example() ?? "…"}\n`));
    }
  }
  const gone = Number(counters.requests_dropped ?? 0);
  $("older").hidden = gone === 0;
  $("older").textContent = `${gone.toLocaleString("en")} older made way`;
}

function drawAside() {
  charts.draw($("charts"), filters().device);
  devices.draw();
}

function choose(device) {
  form.elements.device.value = form.elements.device.value === device ? "" : device;
  changed();
}

let counters = {}, refreshing = 0;

/** Counters, faults and the clock: no more than once a second. */
function refreshSoon() {
  refreshing ||= setTimeout(() => { refreshing = 0; refresh(); }, 500);
}

async function refresh() {
  const [numbers, clock, open] = await Promise.all([ask("/counters"), ask("/clock"), faults.list($("faults"))]);
  counters = numbers; armed = open;
  clockMs = Number(clock.now_ms); clockAt = performance.now(); clockStopped = clock.stopped;
  const count = (value) => Number(value).toLocaleString("en");
  const accepted = Number(numbers.requests) - Number(numbers.refusals) - Number(numbers.discarded);
  const refused = Number(numbers.refusals) + Number(numbers.http_refused) + Number(numbers.handshakes_failed);
  const part = (value, name) => [el("b", {}, count(value)), ` ${name}`];
  $("counts").replaceChildren(...part(accepted, "accepted"), " · ", ...part(numbers.discarded, "discarded"), " · ",
    ...part(refused, "refused"), " · ", ...part(armed, armed === 1 ? "fault armed" : "faults armed"));
  $("devices-title").textContent = `Devices (${count(numbers.devices)})`;
  empty(); drawClock(); devices.draw();
}

function drawClock() {
  const text = new Date(platformNow()).toISOString().replace("T", " ").slice(0, 19);
  $("clock").textContent = `${text} UTC${clockStopped ? ", stopped" : ""}`;
}

function state(now) {
  const name = now ?? (paused ? "paused" : "live");
  if ($("state").textContent === name) return;
  $("state").textContent = name;
  $("state").dataset.state = name;
}

function tick() {
  if (document.hidden) return;
  const now = performance.now();
  arrivals = arrivals.filter((at) => now - at < 5000);
  $("rate").textContent = lastAt ? `${Math.round(arrivals.length / 5)}/s, last ${ago(now - lastAt)}` : "nothing yet";
  devices.draw(); drawClock();
  if (now - spoken > 10000 && arrivals.length && entries[0]) {
    spoken = now;
    $("spoken").textContent = shown(`${arrivals.length} in 5 seconds; the last: ${result(entries[0])}`);
  }
}

/* What a person does. */

function address() {
  const query = new URLSearchParams(filters());
  if (paused) query.set("paused", "1");
  if (dialog.open) query.set("open", dialog.dataset.number);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
}

async function changed() {
  address();
  await fetchRows();
  drawAside();
}

function clearFilters() {
  form.reset();
  changed();
}

function pause(on = !paused) {
  paused = on;
  drawPause();
  state(); address();
  if (!paused) fetchRows();
}

function drawPause() {
  $("pause").textContent = paused ? "Go on" : "Pause";
  $("pause").setAttribute("aria-pressed", paused);
}

async function open(number) {
  try {
    dialog.dataset.number = number;
    await details(dialog, number);
    address();
  } catch (error) {
    fail(error.message);
  }
}

function move(by) {
  const buttons = [...$("rows").querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  buttons[Math.min(Math.max(at + by, 0), buttons.length - 1)]?.focus();
}

function armFault() {
  $("fault-dialog").showModal();
  $("fault-form").elements.kind.focus();
}

const KEYS = { "/": () => { $("filters").open = true; form.elements.q.focus(); }, p: () => pause(), j: () => move(1), k: () => move(-1), f: armFault, "?": () => $("help").showModal() };

function listen() {
  form.addEventListener("submit", (event) => event.preventDefault());
  let typing;
  form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(changed, 150); });
  $("clear-filters").addEventListener("click", clearFilters);
  $("pause").addEventListener("click", () => pause());
  $("newer").addEventListener("click", () => { scrollTo(0, 0); drawRows(); });
  $("help-open").addEventListener("click", KEYS["?"]);
  $("fault-open").addEventListener("click", armFault);
  $("clock-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    await ask("/clock/advance", "POST", { ms: Number(event.target.elements.seconds.value) * 1000 });
    refresh();
  });
  $("expire").addEventListener("click", () => ask("/tokens/expire", "POST"));
  dialog.addEventListener("close", address);
  addEventListener("scroll", () => { if (!isHeld() && waiting) drawRows(); }, { passive: true });
  addEventListener("keydown", (event) => {
    const busy = event.target.closest?.("input, select, textarea, dialog[open]");
    if (busy || event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  document.addEventListener("visibilitychange", follow);
}

function readAddress() {
  const unknown = [];
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (NAMES.includes(name)) form.elements[name].value = value;
    else if (name === "paused") paused = value === "1";
    else if (name !== "open") unknown.push(name);
  }
  return unknown;
}

async function start() {
  if (matchMedia("(max-width: 760px)").matches) $("filters").open = false;
  const unknown = readAddress();
  const number = new URLSearchParams(location.search).get("open");
  listen();
  faults.start(refresh);
  drawPause();
  await load();
  if (unknown.length) fail(`${unknown.join(", ")}: there is no such filter`);
  await devices.start(choose);
  empty();
  setInterval(tick, 1000);
  if (number) open(number);
}

start();
