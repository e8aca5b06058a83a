// The faults: those that are armed, and the form that arms one. What each does is said as the crate's front page says it.

import { el, shown, ask, parse } from "./text.js";

const CLOSES = ["", "fin", "close_notify", "reset", "half", "half_close_notify", "silent"];
const MESSAGES = ["client_hello", "server_hello", "certificate", "server_key_exchange", "server_hello_done"];
const CODES = ["", "IOTDA.000002", "IOTDA.000004", "IOTDA.000006", "IOTDA.021101", "IOTDA.021102", "IOTDA.021103", "IOTDA.021104", "IOTDA.021105"];
const number = (name, value = "") => ({ name, value, type: "number" });
const text = (name, value = "") => ({ name, value, type: "text" });
const one = (name, options) => ({ name, options });
const json = (name, value) => ({ name, value, type: "json" });
const close = one("close", CLOSES);
const answer = [number("status", 503), one("code", CODES), text("body"), number("retry_after"), close];

/** Of connections: they have no device and no call. */
const OF_CONNECTIONS = ["accept_stall", "wire_cut", "wire_drip", "handshake_stall", "certificate", "old_tls", "plain_http", "tls_alert"];

const KINDS = {
  answer: ["Answers this; the request is not looked at.", answer],
  delay: ["Sends nothing before the header, or between header and body.", [one("before", ["header", "body"]), number("for_ms", 3000)]],
  token_expired: ["Makes the sender's tokens invalid; with grace in 30 s.", [one("grace", ["false", "true"])]],
  token_rotated: ["Someone else authenticates as the sender: the earlier tokens have 30 s.", []],
  response_cut: ["Ends the connection after so many bytes of the answer.", [number("after", 20), close]],
  request_cut: ["Ends the connection after so many bytes of the request.", [number("after", 100), close]],
  request_unread: ["Reads the head and no more, then resets the connection.", [number("for_ms", 5000)]],
  request_slow: ["Reads what follows the head at this rate.", [number("bytes_per_s", 20000)]],
  early_answer: ["Answers before the body is read, and ends the connection.", answer],
  idle_close: ["Ends the connection when it has been idle for so long.", [number("after_ms", 1000), close]],
  damaged_record: ["Damages a TLS record.", [one("when", ["answer", "idle"])]],
  drip: ["Sends the answer byte by byte.", [number("every_ms", 100)]],
  endless: ["The answer's body never ends.", [one("form", ["chunked", "length", "close"])]],
  raw: ["Sends these pieces instead of the answer.", [json("send", '["answer", {"pause_ms": 10}, {"text": "more"}]'), close]],
  garbage: ["Sends this text instead of an answer, and closes.", [text("text", "SSH-2.0-x")]],
  trailing: ["Sends this after the answer; the answer once more if it is empty.", [text("text")]],
  content_length: ["The declared length is off by so much.", [number("off_by", 10)]],
  chunked: ["The body comes in chunks.", [number("chunk", 16), one("unterminated", ["false", "true"])]],
  http_1_0: ["Answers in HTTP/1.0 without a length.", []],
  continue_first: ["Sends 100 Continue before the answer.", [number("count", 1)]],
  huge_header: ["One header field has a value of this size.", [number("bytes", 100000)]],
  many_headers: ["So many header fields more.", [number("count", 1000)]],
  date: ["The Date header is off by so many seconds.", [number("off_s", -86400)]],
  accept_stall: ["Accepts the connection and does nothing.", [number("for_ms", 5000)]],
  handshake_stall: ["Sends nothing of the handshake beyond this message.", [one("after", MESSAGES), number("for_ms", 5000)]],
  tls_alert: ["Sends this fatal alert after this message.", [number("alert", 40), one("after", MESSAGES)]],
  certificate: ["Shows a certificate that a client must not accept.", [one("show", ["expired", "wrong_name", "unknown_ca"])]],
  old_tls: ["Speaks an old version of TLS alone.", [one("version", ["1.0", "1.1"]), one("reply", ["alert", "server_hello"])]],
  plain_http: ["Speaks plain HTTP instead of TLS.", []],
  wire_cut: ["Ends the connection after so many bytes of TCP.", [one("direction", ["sent", "received"]), number("after", 500), one("close", ["fin", "reset", "half", "silent"])]],
  wire_drip: ["Sends byte by byte, the handshake too.", [number("every_ms", 100)]],
};

const form = document.getElementById("fault-form");

/** Makes the form ready. `changed` is called when a fault was armed. */
export function start(changed) {
  form.elements.kind.append(...Object.keys(KINDS).map((kind) => el("option", {}, kind)));
  form.elements.kind.addEventListener("change", fields);
  fields();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const error = document.getElementById("fault-error");
    try {
      error.textContent = "";
      await ask("/faults", "POST", fault());
      document.getElementById("fault-dialog").close();
      changed();
    } catch (problem) {
      error.textContent = shown(problem.message);
    }
  });
}

function fields() {
  const kind = form.elements.kind.value;
  const [description, parameters] = KINDS[kind];
  document.getElementById("fault-text").textContent = description;
  document.getElementById("fault-fields").replaceChildren(...parameters.map((it) => el("label", {}, it.name, field(it))));
  for (const label of form.querySelectorAll("[data-request]")) label.hidden = OF_CONNECTIONS.includes(kind);
}

function field({ name, value, type, options }) {
  const attributes = { name: `p-${name}` };
  if (options) return el("select", attributes, ...options.map((option) => el("option", {}, option)));
  if (type === "json") return el("textarea", { ...attributes, spellcheck: "false" }, value);
  return el("input", { ...attributes, type, value, autocomplete: "off" });
}

function fault() {
  const kind = form.elements.kind.value;
  const it = { kind };
  if (form.elements.times.value) it.times = Number(form.elements.times.value);
  for (const { name, type, options } of KINDS[kind][1]) {
    const value = form.elements[`p-${name}`].value;
    if (value === "") continue;
    if (type === "number") it[name] = Number(value);
    else if (type === "json") it[name] = parse(value) ?? value;
    else if (options?.includes("false")) it[name] = value === "true";
    else it[name] = value;
  }
  if (!OF_CONNECTIONS.includes(kind)) {
    if (form.elements.on.value !== "any") it.on = form.elements.on.value;
    if (form.elements.device.value) it.device = form.elements.device.value;
  }
  return it;
}

/** The list of the faults that are armed. */
export async function list(place) {
  const faults = await ask("/faults");
  const open = faults.filter((it) => it.remaining === null || Number(it.remaining) > 0);
  place.replaceChildren(...faults.slice(-50).map((it) => {
    const { id, kind, hits, remaining, times, ...rest } = it;
    const left = remaining === null ? "until disarmed" : `${remaining} more`;
    const button = el("button", { type: "button", "aria-label": `Disarm fault ${id}` }, "Disarm");
    button.addEventListener("click", async () => {
      await ask(`/faults/${id}`, "DELETE");
      list(place);
    });
    return el("li", {}, el("span", { class: "clip", title: shown(JSON.stringify(rest)) }, `${kind} ${shown(JSON.stringify(rest))}`),
      button, el("small", {}, `done ${hits}×, ${left}`));
  }));
  return open.length;
}
