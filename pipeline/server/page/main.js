// The page: takes a picture, asks the server about it, and shows the answer. The picture is kept in memory alone.

import { classTable, confidenceTable, draw } from "./drawing.js";
import { Legend, element } from "./legend.js";
import { readSamples } from "./png.js";
import { Refusal, about, infer } from "./server.js";
import { Stage } from "./stage.js";
import {
  clearError, megabytes, say, summary, tellAgreement, tellError, tellFacts, tellModel, tellRegions, versionSelect, whyHidden,
} from "./telling.js";

const LOCATED = ["label_map_bytes", "class_shares", "num_regions", "region_classes", "region_areas", "region_boxes"];
const OPACITY = { classes: 60, confidence: 85, picture: 0 };
const FIRST_BYTES = { "image/jpeg": [0xff, 0xd8, 0xff], "image/png": [0x89, 0x50, 0x4e, 0x47] };

const $ = (selector) => document.querySelector(selector);
const [photo, layer, other, sureness] = ["#photo", "#layer", "#other", "#sureness"].map($);

let served; // what the server tells about itself
let version; // that is asked
let current = null; // the picture: {picture, name, url, answers by version, confidence by version, photographed}
let view = "classes";
let asking = null; // an AbortController while a picture is labelled

const opacity = { ...OPACITY };
const legend = new Legend(() => { paint(); drawBoxes(); });
const stage = new Stage(point, (place) => { $("#divide").value = place; divide(); });

// What the server serves.

async function start() {
  try {
    served = await about();
  } catch (error) {
    return tellError(error, start);
  }
  version = served.versions[0];
  describe();
  clearError();
}

function describe() {
  tellModel(served, version);
  $("#drop").hidden = !version.takes_pictures || current !== null;
  $("#file").disabled = !version.takes_pictures;
  $("aside").hidden = !version.classes.length;
  offerVersions(served.model, served.versions);
  if (!current) legend.fill(version.classes);
}

function offerVersions(model, versions) {
  const name = element("b", "", model);
  if (versions.length === 1) return $("#model").replaceChildren("Model ", name, `, version ${version.version}`);
  const chosen = versionSelect(versions), label = element("label", "", "version ");
  chosen.value = version.version;
  chosen.addEventListener("change", () => choose(Number(chosen.value)));
  label.append(chosen);
  $("#model").replaceChildren("Model ", name, ", ", label);
  const second = $("#second"), before = second.value, others = versions.filter((entry) => entry !== version);
  second.replaceChildren(new Option("no other version", ""), ...versionSelect(others, "version ").options);
  second.value = [...second.options].some(({ value }) => value === before) ? before : "";
  $("#against").hidden = false;
}

async function choose(number) {
  version = served.versions.find((entry) => entry.version === number);
  describe();
  if (current) await label();
}

// Taking a picture.

async function take(file) {
  if (!file || !served || $("#file").disabled) return;
  if (file.size > served.max_bytes) {
    return tellError(new Refusal(`The picture has ${megabytes(file.size)} MB. This server takes at most ${megabytes(served.max_bytes)} MB.`));
  }
  if (current) URL.revokeObjectURL(current.url);
  let picture;
  try {
    picture = await asReadable(file);
  } catch {
    current = null;
    return tellError(new Refusal("The file cannot be read. Choose it again."));
  }
  const url = URL.createObjectURL(picture);
  current = { picture, name: file.name || "picture", url, answers: new Map(), confidence: new Map(), started: performance.now() };
  photo.src = url;
  current.photographed = await photo.decode().then(() => true, () => false);
  photo.alt = current.name;
  await label();
}

/** A JPEG or PNG as it is; of another picture that the browser reads (WebP, AVIF), a PNG; anything else as it is. */
async function asReadable(file) {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  if (Object.values(FIRST_BYTES).some((bytes) => bytes.every((byte, index) => head[index] === byte))) return file;
  try {
    const bitmap = await createImageBitmap(file), canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    return await new Promise((done) => canvas.toBlob(done, "image/png"));
  } catch {
    return file; // the model says what is wrong with it
  }
}

// Asking, and showing the answer.

/** Asks about the current picture, unless the version has answered already, and shows the answer. */
async function label() {
  const mine = current;
  clearError();
  if (mine.photographed && !mine.answers.size) {
    stage.resize(photo.naturalWidth, photo.naturalHeight);
    clear();
  }
  say(`Labelling ${mine.name}.`);
  try {
    const answer = await busy((signal) => answerOf(mine, version, signal));
    if (mine !== current) return;
    show(answer);
    await showView();
    await compare();
    say(summary(mine.name, answer));
  } catch (error) {
    if (error.name === "AbortError" || mine !== current) return;
    if (error.status === 404 && await renewed()) return label();
    fail(error);
  }
}

/** The result of an action that a new one stops, with a line that moves meanwhile. */
async function busy(action) {
  asking?.abort();
  const mine = (asking = new AbortController());
  $("#progress").hidden = false;
  document.body.setAttribute("aria-busy", "true");
  try {
    return await action(mine.signal);
  } finally {
    if (asking === mine) {
      $("#progress").hidden = true;
      document.body.removeAttribute("aria-busy");
    }
  }
}

/** What a version answers about a picture: map, shares, regions, times in milliseconds. */
async function answerOf(mine, entry, signal) {
  if (mine.answers.has(entry.version)) return mine.answers.get(entry.version);
  const sent = performance.now();
  const { outputs, milliseconds } = await infer({
    model: served.model, version: entry.version, signature: "localize", outputs: LOCATED, picture: mine.picture, signal,
  });
  const png = outputs.label_map_bytes[0], map = await readSamples(png), regions = [];
  outputs.region_classes.forEach((id, index) => {
    const box = [...outputs.region_boxes.subarray(4 * index, 4 * index + 4)];
    if (id >= 0) regions.push({ id, area: outputs.region_areas[index], box });
  });
  const times = { upload: milliseconds.body, server: milliseconds.answer, total: performance.now() - (mine.started ?? sent) };
  mine.started = undefined;
  const answer = { entry, png, map, shares: [...outputs.class_shares], regions, number: outputs.num_regions[0], times };
  mine.answers.set(entry.version, answer);
  return answer;
}

/** Whether the server serves other versions now than it told; then the newest is chosen. */
async function renewed() {
  const before = served.versions.map((entry) => entry.version).join();
  try {
    served = await about();
  } catch {
    return false;
  }
  version = served.versions[0];
  describe();
  return served.versions.map((entry) => entry.version).join() !== before;
}

function clear() {
  for (const canvas of [layer, other, sureness]) canvas.width = canvas.height = 1;
  stage.boxes.replaceChildren();
  stage.divide(layer, other, null);
  for (const part of ["#compare", "#note", "#facts", "#table", "#ramp"]) $(part).hidden = true;
  $("#readout").textContent = "";
  $("#drop").hidden = true;
  $("#result").hidden = false;
  legend.fill(version.classes);
}

function show(answer) {
  const { map, entry, shares } = answer;
  $("#note").textContent = whyHidden(answer, photo, current.photographed);
  photo.hidden = $("#note").textContent !== "";
  stage.resize(map.width, map.height);
  clear();
  $("#note").hidden = !photo.hidden;
  current.answer = answer;
  legend.fill(entry.classes, shares);
  tellFacts(answer);
  tellRegions(answer);
  paint();
  drawBoxes();
  rest();
}

/** Draws the maps of classes in the colours of those that are shown. */
function paint() {
  if (!current?.answer) return;
  const alone = legend.pointed !== null;
  draw(layer, current.answer.map, classTable(current.answer.entry.classes, (id) => legend.shows(id)));
  if (current.second) draw(other, current.second.map, classTable(current.second.entry.classes, (id) => legend.shows(id)));
  const strength = photo.hidden ? 100 : alone ? Math.max(opacity.classes, 80) : opacity.classes;
  layer.style.opacity = other.style.opacity = strength / 100;
}

function drawBoxes() {
  const shown = $("#boxes").checked && view === "classes" && current?.answer;
  stage.boxes.hidden = !shown;
  if (shown) stage.drawBoxes(current.answer.regions, current.answer.entry.classes, (id) => legend.shows(id));
}

// Views.

async function showView() {
  view = document.querySelector("input[name=view]:checked").value;
  $("#opacity").value = opacity[view];
  $("#opacity").disabled = view === "picture" || photo.hidden;
  $("#boxes").disabled = view !== "classes";
  document.querySelector("input[value=confidence]").disabled = !version.signatures.includes("confidence");
  document.querySelector("input[value=picture]").disabled = photo.hidden;
  if (view === "confidence") {
    try {
      draw(sureness, await confidence(), confidenceTable());
    } catch (error) {
      if (error.name === "AbortError") return;
      tellError(error, () => showView());
      document.querySelector("input[value=classes]").checked = true;
      return showView();
    }
  }
  if (view !== document.querySelector("input[name=view]:checked").value) return; // another one was chosen meanwhile
  layer.hidden = view !== "classes";
  sureness.hidden = $("#ramp").hidden = view !== "confidence";
  sureness.style.opacity = photo.hidden ? 1 : opacity.confidence / 100;
  drawBoxes();
  divide();
  rest();
}

/** The map of confidence of the current picture by the chosen version. */
async function confidence() {
  const mine = current, { version: number } = version;
  if (!mine.confidence.has(number)) {
    const { outputs } = await busy((signal) => infer({
      model: served.model, version: number, signature: "confidence", outputs: ["confidence_bytes"], picture: mine.picture, signal,
    }));
    mine.confidence.set(number, await readSamples(outputs.confidence_bytes[0]));
  }
  return mine.confidence.get(number);
}

// Two versions.

async function compare() {
  const number = Number($("#second").value), mine = current;
  mine.second = null;
  if (number && number !== version.version) {
    const entry = served.versions.find((found) => found.version === number);
    mine.second = await busy((signal) => answerOf(mine, entry, signal));
  }
  if (mine !== current) return;
  if (mine.second) tellAgreement(mine.answer, mine.second);
  paint();
  divide();
}

function divide() {
  const shown = Boolean(current?.second) && view === "classes";
  $("#compare").hidden = !shown;
  stage.divide(layer, other, shown ? Number($("#divide").value) : null);
}

// The pixel under the pointer.

function point(place, byKeys) {
  if (!current?.answer) return;
  if (!place) {
    legend.mark(null);
    return rest();
  }
  const { answer, second } = current, index = place.y * answer.map.width + place.x, id = answer.map.data[index];
  const sure = current.confidence.get(version.version)?.data[index], name = answer.entry.classes[id]?.name ?? "no class";
  const parts = [`x ${place.x}, y ${place.y}`];
  if (view === "confidence" && sure !== undefined) parts.unshift(`confidence ${Math.round(sure / 2.55)} %`);
  if (second) parts.unshift(`version ${second.entry.version}: ${second.entry.classes[second.map.data[index]]?.name ?? "no class"}`);
  $("#readout").replaceChildren(element("b", "", name), ` · ${parts.join(" · ")}`);
  legend.mark(id);
  if (byKeys) say(`${name}, ${parts.join(", ")}`);
}

function rest() {
  $("#readout").textContent = matchMedia("(pointer: coarse)").matches
    ? "Touch a pixel to read its class."
    : "Point at a pixel to read its class, at a class to see it alone.";
}

// Saving.

function saveMap() {
  save(new Blob([current.answer.png], { type: "image/png" }), "label_map");
}

async function saveOverlay() {
  const { map, entry } = current.answer, canvas = document.createElement("canvas"), colours = document.createElement("canvas");
  draw(colours, map, classTable(entry.classes, (id) => !legend.hidden.has(id)));
  [canvas.width, canvas.height] = [colours.width, colours.height];
  const context = canvas.getContext("2d");
  if (!photo.hidden) context.drawImage(photo, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = photo.hidden ? 1 : opacity.classes / 100;
  context.drawImage(colours, 0, 0);
  save(await new Promise((done) => canvas.toBlob(done, "image/png")), "overlay");
}

function save(blob, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${current.name.replace(/\.[^.]*$/, "")}_${kind}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Messages.

/** Shows why there is no answer; the picture, of which nothing is known, is put away. */
function fail(error) {
  const failed = current;
  if (!failed.answer) {
    current = null;
    $("#result").hidden = true;
    $("#drop").hidden = false;
    legend.fill(version.classes);
    $("#facts").hidden = $("#table").hidden = true;
  }
  say("");
  tellError(error, () => { current = failed; failed.started = performance.now(); label(); });
}

// Events.

$("#file").addEventListener("change", (event) => { take(event.target.files[0]); event.target.value = ""; });
document.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/")) ?? event.clipboardData.files[0];
  if (file) { event.preventDefault(); take(file); }
});
let depth = 0; // of elements that a dragged file has entered
document.addEventListener("dragenter", (event) => { event.preventDefault(); depth++; document.body.classList.add("dragging"); });
document.addEventListener("dragleave", () => { if (--depth <= 0) { depth = 0; document.body.classList.remove("dragging"); } });
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove("dragging");
  take(event.dataTransfer.files[0]);
});
document.querySelectorAll("input[name=view]").forEach((input) => input.addEventListener("change", () => showView()));
$("#opacity").addEventListener("input", (event) => {
  opacity[view] = Number(event.target.value);
  sureness.style.opacity = opacity.confidence / 100;
  layer.style.opacity = other.style.opacity = opacity.classes / 100;
});
$("#boxes").addEventListener("change", drawBoxes);
$("#smaller").addEventListener("click", () => stage.zoom(1 / 1.5));
$("#larger").addEventListener("click", () => stage.zoom(1.5));
$("#fit").addEventListener("click", () => stage.fit());
$("#divide").addEventListener("input", divide);
$("#second").addEventListener("change", () => compare().catch((error) => error.name === "AbortError" || tellError(error)));
$("#save-map").addEventListener("click", saveMap);
$("#save-overlay").addEventListener("click", saveOverlay);

start();
