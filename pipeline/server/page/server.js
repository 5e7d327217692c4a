// Asks the server: what it serves, and by the Open Inference Protocol with its binary extension what a picture shows.

import { standingOut } from "./drawing.js";

const ARRAYS = { FP32: Float32Array, INT32: Int32Array, UINT8: Uint8Array };

/** Why there is no answer, in sentences for people: `message`, `detail` of the server, and whether trying again may help. */
export class Refusal extends Error {
  constructor(message, { detail = "", again = false, status = 0 } = {}) {
    super(message);
    Object.assign(this, { detail, again, status });
  }
}

/** What is served: model, versions with their classes in the colours in which they are drawn, limits. */
export async function about() {
  const told = await (await ask("about", { cache: "no-store" })).json();
  return { ...told, versions: told.versions.map((entry) => ({ ...entry, classes: standingOut(entry.classes) })) };
}

/** Asks a signature of a version about one encoded picture.
 *
 *  Returns {outputs, milliseconds}: by name an array of bytes for each string, else a typed array; and how long the body took to
 *  arrive at the server and the answer to be made.
 */
export async function infer({ model, version, signature, outputs, picture, signal }) {
  const head = new TextEncoder().encode(JSON.stringify({
    parameters: { signature },
    inputs: [{ name: "image_bytes", shape: [1], datatype: "BYTES", parameters: { binary_data_size: 4 + picture.size } }],
    outputs: outputs.map((name) => ({ name, parameters: { binary_data: true } })),
  }));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, picture.size, true);
  const response = await ask(`v2/models/${encodeURIComponent(model)}/versions/${version}/infer`, {
    method: "POST",
    headers: { "Inference-Header-Content-Length": String(head.length), "Content-Type": "application/octet-stream" },
    body: new Blob([head, length, picture]),
    signal,
  });
  const bytes = new Uint8Array(await received(response.arrayBuffer()));
  return { outputs: readOutputs(bytes, response.headers), milliseconds: timing(response.headers.get("server-timing") ?? "") };
}

async function ask(path, options) {
  const response = await received(fetch(path, options));
  if (!response.ok) throw refusal(response, await received(response.text()));
  return response;
}

/** The result of a promise of the network. */
async function received(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server cannot be reached. See whether it still runs and whether you are connected to it.", { again: true });
  }
}

function refusal(response, text) {
  let detail = "";
  try {
    detail = JSON.parse(text).error ?? "";
  } catch { /* a proxy answered, not the server */ }
  const { status } = response, wait = response.headers.get("retry-after");
  const told = { detail, status };
  if (status === 429 || status === 503) {
    return new Refusal(`The server is busy with other pictures. Try again${wait ? ` in ${wait} s` : " in a moment"}.`, { again: true, status });
  }
  if (status === 413) return new Refusal("The picture is too large for this server.", told);
  if (status === 408 || status === 504) return new Refusal("The server did not answer in time.", { ...told, again: true });
  if (status === 400) return new Refusal("The model cannot read this picture.", told);
  if (status === 404) return new Refusal("This version of the model is served no longer.", told);
  return new Refusal(`The server could not answer (status ${status}).`, { ...told, again: status >= 500 });
}

/** The tensors behind the JSON of an answer. */
function readOutputs(bytes, headers) {
  const length = Number(headers.get("inference-header-content-length"));
  const message = JSON.parse(new TextDecoder().decode(bytes.subarray(0, length))), outputs = {};
  let place = length;
  for (const { name, datatype, parameters } of message.outputs) {
    const raw = bytes.slice(place, place + parameters.binary_data_size);
    outputs[name] = datatype === "BYTES" ? readStrings(raw) : new ARRAYS[datatype](raw.buffer);
    place += raw.length;
  }
  return outputs;
}

function readStrings(raw) {
  const view = new DataView(raw.buffer), found = [];
  for (let place = 0; place < raw.length;) {
    const end = place + 4 + view.getUint32(place, true);
    found.push(raw.subarray(place + 4, end));
    place = end;
  }
  return found;
}

/** "body;dur=1.5, answer;dur=80" to {body: 1.5, answer: 80}. */
function timing(header) {
  return Object.fromEntries([...header.matchAll(/(\w+);dur=([\d.]+)/g)].map(([, name, value]) => [name, Number(value)]));
}
