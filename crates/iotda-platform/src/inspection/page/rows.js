// The rows of the list, and the details of one: what a request was, and how to send it once more.

import { el, id, shown, parse, reportsOf, ask } from "./text.js";

const SIGNS = { accepted: "✓ accepted", discarded: "! discarded", refused: "✕ refused", unanswered: "– no answer" };
const MASK = "••••••••";

export function result(entry) {
  const sign = SIGNS[entry.result];
  const fault = entry.faults?.length ? ` (fault: ${entry.faults.join(", ")})` : "";
  if (entry.result === "refused") {
    const code = entry.error_code ? `${entry.error_code}, ` : "";
    return `${sign}: ${code}${entry.reason}${fault}`;
  }
  return (entry.result === "discarded" ? `${sign}: ${entry.discarded}` : sign) + fault;
}

function what(entry) {
  if (entry.incident) return `${entry.incident} on connection ${entry.connection}`;
  if (!entry.call) return `${entry.method} ${entry.target}`;
  const reports = reportsOf(entry);
  if (!reports.length) return entry.call === "auth" ? "" : entry.body ?? `${entry.body_hex?.length / 2} bytes`;
  const text = ({ service_id, properties }) => `${service_id} ${JSON.stringify(properties)}`;
  return reports.map(({ device, services }) =>
    (entry.call === "batch" ? `${device}: ` : "") + services.map(text).join(" ")).join(" · ");
}

/** A request as a row. */
export function row(entry, open) {
  const time = entry.received_at.slice(11, 23);
  const button = el("button", { type: "button", title: new Date(Number(entry.received_at_ms)).toString() }, time);
  button.addEventListener("click", () => open(entry.number));
  const text = (value, length) => shown(value.length > length ? `${value.slice(0, length)}…` : value);
  const outcome = text(result(entry), 300);
  const said = text(what(entry), 300);
  return el("tr", { role: "row", "data-number": entry.number },
    el("td", { role: "cell", class: "time" }, button),
    el("td", { role: "cell", class: "device" }, entry.device_id ? id(entry.device_id) : "–"),
    el("td", { role: "cell", class: "call" }, entry.call ?? "–"),
    el("td", { role: "cell", class: "status" }, entry.status ? String(entry.status) : "–"),
    el("td", { role: "cell", class: `result ${entry.result}`, title: outcome }, outcome),
    el("td", { role: "cell", class: "what", title: said }, el("bdi", {}, said)));
}

function masked(entry) {
  const headers = entry.headers?.map(([name, value]) => [name, name === "access_token" ? MASK : value]);
  const body = entry.body?.replace(/("password"\s*:\s*")[^"]*/g, `$1${MASK}`);
  return { ...entry, headers, body };
}

/** Fills the dialog with one request. */
export async function details(dialog, number) {
  const [entry] = await ask(`/log?after=${number - 1}&limit=1`);
  if (!entry || Number(entry.number) !== Number(number)) throw new Error(`request ${number} has made way for later ones`);
  document.getElementById("details-title").textContent = shown(entry.target ? `${entry.method} ${entry.target}` : entry.incident);
  const place = document.getElementById("details-body");
  const draw = (secrets) => place.replaceChildren(...parts(entry, secrets ? entry : masked(entry), secrets, draw));
  draw(false);
  if (!dialog.open) dialog.showModal();
}

function parts(entry, visible, secrets, draw) {
  const facts = [["Number", entry.number], ["Time", entry.received_at], ["Connection", entry.connection], ["Device", entry.device_id],
    ["Call", entry.call], ["Status", entry.status], ["Result", result(entry)], ["Reason", entry.reason], ["Discarded", entry.discarded],
    ["Faults", entry.faults?.join(", ")], ["HTTP", entry.http_version]];
  const list = el("dl");
  for (const [name, value] of facts) {
    if (value !== undefined && value !== null) list.append(el("dt", {}, name), el("dd", {}, el("bdi", {}, shown(value))));
  }
  const children = [list];
  if (visible.headers) {
    children.push(el("h2", {}, "Headers"), el("pre", {}, shown(visible.headers.map((it) => it.join(": ")).join("\n"), true)));
    const body = visible.body ?? visible.body_hex ?? "";
    const cut = body.length > 65536 ? `${body.slice(0, 65536)}…` : body;
    children.push(el("h2", {}, visible.body_hex ? "Body, in hex digits" : "Body"), el("pre", {}, shown(cut, true)));
  }
  const button = (text, act) => {
    const it = el("button", { type: "button" }, text);
    it.addEventListener("click", () => act(it));
    return it;
  };
  // Under a name that is not this machine's, a browser lets nobody write to the clipboard.
  const copy = (make) => async (it) => {
    try {
      await navigator.clipboard.writeText(make(entry));
      it.textContent = "Copied";
    } catch {
      it.after(el("pre", {}, make(entry)));
    }
  };
  if (entry.target) {
    children.push(el("div", { class: "actions" },
      button("Copy as curl", copy(curl)), entry.call ? button("Copy as C", copy(asC)) : "",
      button(secrets ? "Hide secrets" : "Show secrets", () => draw(!secrets))));
  }
  return children;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A command that sends the request once more. The secret and the token come from the shell's variables. */
export function curl(entry) {
  const headers = entry.headers.filter(([name]) => !["host", "content-length", "access_token"].includes(name));
  let data = quoted(entry.body ?? "");
  if (entry.call === "auth") {
    const timestamp = parse(entry.body ?? "")?.timestamp ?? "";
    const password = `$(printf %s "$SECRET" | openssl dgst -sha256 -hmac ${quoted(String(timestamp))} -r | cut -d' ' -f1)`;
    data = quoted(entry.body.replace(/("password"\s*:\s*")[^"]*/, "$1@PASSWORD@")).replace("@PASSWORD@", `'"${password}"'`);
  }
  const token = entry.headers.some(([name]) => name === "access_token") ? ` \\\n  -H "access_token: $TOKEN"` : "";
  const fields = headers.map((it) => ` \\\n  -H ${quoted(it.join(": "))}`).join("");
  const octal = (pair) => `\\${parseInt(pair, 16).toString(8).padStart(3, "0")}`;
  const source = entry.body_hex ? `printf ${quoted(entry.body_hex.match(/../g).map(octal).join(""))} | ` : "";
  const body = entry.body_hex ? "@-" : data;
  return `${source}curl --cacert "$IOTDA_CA_FILE" -X ${entry.method} "$IOTDA_ENDPOINT"${quoted(entry.target)}${fields}${token} \\\n  --data-binary ${body}`;
}

/** The call of the C library that sends the same. */
export function asC(entry) {
  const bytes = entry.body_hex ? entry.body_hex.match(/../g).map((pair) => parseInt(pair, 16)) : new TextEncoder().encode(entry.body ?? "");
  const plain = (byte) => byte >= 32 && byte < 127 && byte !== 34 && byte !== 92 && byte !== 63;
  const text = [...bytes].map((byte) => plain(byte) ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`).join("");
  const call = {
    auth: "iotda_auth(client, &call)",
    properties: "iotda_report_props_json(client, body, sizeof body - 1, &call)",
    message: "iotda_report_message(client, body, sizeof body - 1, &call)",
    batch: "iotda_gateway_batch_json(client, body, sizeof body - 1, &call)",
  }[entry.call];
  const body = entry.call === "auth" ? "" : `const char body[] = "${text}";\n`;
  return `/* client: iotda_config_set_device(config, "${entry.device_id}", getenv("SECRET"), strlen(getenv("SECRET"))) */\n` +
    `${body}iotda_call_t call = IOTDA_CALL_INIT;\niotda_status_t status = ${call};\n`;
}
