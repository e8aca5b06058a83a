// Text and elements. Everything that comes from outside goes through `shown` and `textContent`: it is never markup.

const harmful = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** The text with each control and format character as \u{…}; line breaks stay where `lines` is set. */
export function shown(text, lines = false) {
  return String(text).replace(harmful, (it) =>
    lines && (it === "\n" || it === "\t") ? it : `\\u{${it.codePointAt(0).toString(16)}}`);
}

/** An element with attributes, and children that are elements or texts. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** An ID, kept from turning the text around it. */
export function id(text) {
  return el("bdi", { title: shown(text) }, shown(text));
}

/** A number as it was sent: a 64-bit one does not fit JavaScript's. */
class Sent {
  constructor(source) { this.source = source; }
  toString() { return this.source; }
  valueOf() { return Number(this.source); }
  toJSON() { return JSON.rawJSON ? JSON.rawJSON(this.source) : Number(this.source); }
}

/** JSON with its numbers as they were sent, or nothing if it is none. */
export function parse(text) {
  try {
    return JSON.parse(text, (_, value, context) =>
      typeof value === "number" && context?.source ? new Sent(context.source) : value);
  } catch {
    return undefined;
  }
}

export function isNumber(value) {
  return value instanceof Sent || typeof value === "number";
}

/** The reports in a request's body: pairs of device and services. */
export function reportsOf(entry) {
  const body = entry.body && (entry.call === "properties" || entry.call === "batch") ? parse(entry.body) : undefined;
  const devices = entry.call === "batch" ? body?.devices : [{ device_id: entry.device_id, services: body?.services }];
  if (!Array.isArray(devices)) return [];
  return devices.filter((it) => it && Array.isArray(it.services)).map((it) => ({
    device: String(it.device_id),
    services: it.services.filter((service) => service && typeof service === "object"),
  }));
}

export function ago(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s ago`;
  if (seconds < 120) return `${Math.round(seconds)} s ago`;
  return `${Math.round(seconds / 60)} min ago`;
}

/** Asks the inspection API. Throws what it says is wrong. */
export async function ask(path, method = "GET", body = undefined) {
  const response = await fetch(path, { method, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  const answer = parse(text);
  if (!response.ok) throw new Error(answer?.error_msg ?? `${response.status} ${text}`);
  return answer;
}
