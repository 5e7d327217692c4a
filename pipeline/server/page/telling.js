// What the page says in words: what is served, what an answer holds, and why there is none.

import { element, percent } from "./legend.js";
import { Refusal } from "./server.js";

const $ = (selector) => document.querySelector(selector);

/** For a screen reader, as soon as it pauses. */
export function say(text) {
  $("#status").textContent = text;
}

/** Fills the head of the page: what the model is for, which files it takes, and how a program asks it. */
export function tellModel({ model, max_bytes: most }, { classes, channels, dtype, takes_pictures: takes }) {
  document.title = `${model} · kseg serve`;
  $("#lead").textContent = takes
    ? `Drop a photograph, and the model ${model} labels every pixel as one of ${classes.length} classes.`
    : `The model ${model} takes arrays of pixels, not picture files. Ask it from a program.`;
  $("#accepted").textContent = `${kindOfFile(channels, dtype)}, up to ${megabytes(most)} MB.`;
  $("#curl").textContent = takes ? [
    `(printf '{"signature_name": "palette", "instances": [{"b64": "'; base64 -w0 photo.jpg; printf '"}]}') |`,
    `  curl -s -d @- ${location.origin}/v1/models/${model}:predict |`,
    `  python3 -c 'import base64, json, sys; sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["predictions"][0]["label_map_bytes"]["b64"]))' > label_map.png`,
  ].join("\n") : `curl -s ${location.origin}/v1/models/${model}/metadata`;
}

function kindOfFile(channels, dtype) {
  const bits = dtype === "uint16" ? 16 : 8;
  if (channels !== 3 && channels !== 1) return `PNG of ${channels} channels, ${bits} bits each`;
  return bits === 8 ? "JPEG or PNG" : "PNG of 16 bits";
}

/** A choice among versions; `before` stands before each number. */
export function versionSelect(versions, before = "") {
  const select = document.createElement("select");
  select.append(...versions.map((entry) => new Option(`${before}${entry.version}`, entry.version)));
  return select;
}

/** Size of the picture, number of regions, and times. */
export function tellFacts({ map, times, number }) {
  const rows = {
    Picture: `${map.width} x ${map.height}`, Regions: number.toLocaleString("en"),
    Upload: milliseconds(times.upload), Server: milliseconds(times.server), Total: milliseconds(times.total),
  };
  $("#facts").replaceChildren(...Object.entries(rows).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value)]));
  $("#facts").hidden = false;
}

/** The regions as a table. */
export function tellRegions({ map, entry, regions, number }) {
  const all = number === regions.length ? `${number}` : `The ${regions.length} largest of ${number.toLocaleString("en")}`;
  $("#table summary").textContent = `${all} ${number === 1 ? "region" : "regions"} as a table`;
  $("#table tbody").replaceChildren(...regions.map(({ id, area, box: [top, left, height, width] }) => {
    const row = document.createElement("tr");
    const cells = [entry.classes[id].name, percent(area / (map.width * map.height)), left, top, width, height];
    row.append(...cells.map((cell) => element("td", "", cell)));
    return row;
  }));
  $("#table").hidden = false;
}

/** The classes with most pixels in one sentence. */
export function summary(name, { entry, shares }) {
  const named = shares.map((share, id) => [share, entry.classes[id].name]).filter(([share]) => share > 0);
  const largest = named.sort((a, b) => b[0] - a[0]).slice(0, 5);
  return `${name} is labelled: ${largest.map(([share, found]) => `${found} ${percent(share)}`).join(", ")}.`;
}

/** Why a picture is not seen under its classes; empty where it is. */
export function whyHidden({ entry, map }, photo, photographed) {
  if (entry.channels !== 3 && entry.channels !== 1) {
    return `This model reads ${entry.channels} channels, which a browser cannot show. Its classes are shown alone.`;
  }
  if (!photographed) return "This browser cannot show the picture. Its classes are shown alone.";
  const fits = photo.naturalWidth === map.width && photo.naturalHeight === map.height;
  return fits ? "" : "This browser turns the picture otherwise than the model does. Its classes are shown alone.";
}

/** How far two answers agree, by the names of their classes; and which version is on which side. */
export function tellAgreement(first, second) {
  const names = [first, second].map(({ entry }) => entry.classes.map(({ name }) => name));
  const same = names[0].map((name) => names[1].map((other) => other === name)), other = second.map.data;
  const count = first.map.data.reduce((sum, id, index) => sum + same[id][other[index]], 0);
  const [left, right] = [first.entry.version, second.entry.version];
  $("#divider .left").textContent = `version ${left}`;
  $("#divider .right").textContent = `version ${right}`;
  $("#divide-name").textContent = `Version ${left} left, ${right} right`;
  $("#agreement").textContent = `They agree on ${(100 * count / other.length).toFixed(1)} % of the pixels.`;
}

/** Shows an error; with a button for `again` where trying again may help. */
export function tellError(error, again) {
  const box = element("div", "error", ""), lead = document.createElement("p");
  const known = error instanceof Refusal;
  lead.append(element("b", "", known ? error.message : "This page failed. Load it again."));
  box.append(lead);
  const detail = known ? error.detail : String(error);
  if (detail) box.append(element("p", "", detail));
  if (again && (error.again || !known)) {
    const button = element("button", "", "Try again");
    button.type = "button";
    button.addEventListener("click", () => { clearError(); again(); });
    box.append(button);
  }
  $("#alert").replaceChildren(box);
  if (!known) console.error(error);
}

export function clearError() {
  $("#alert").replaceChildren();
}

function milliseconds(value) {
  if (value === undefined) return "unknown";
  return value < 9.95 ? `${value.toFixed(1)} ms` : value < 9950 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** Bytes as a number of MB. */
export function megabytes(number) {
  return (number / 2 ** 20).toLocaleString("en", { maximumFractionDigits: number < 2 ** 20 ? 2 : 0 });
}
