// The picture with its maps over it: zoom, the pixel under the pointer or the cursor, boxes, and the line between two versions.

import { inkOn } from "./drawing.js";
import { element } from "./legend.js";

const MOST_BOXES = 20, LEAST_SHARE = 0.002;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The stage.
 *
 *  pointed: called with the {x, y} of the pixel under the pointer, or null; and whether keys moved there.
 *  divided: called with the place of the dividing line in percent, when it is dragged.
 */
export class Stage {
  constructor(pointed, divided) {
    this.stage = document.querySelector("#stage");
    this.frame = document.querySelector("#frame");
    this.cursor = document.querySelector("#cursor");
    this.divider = document.querySelector("#divider");
    this.boxes = document.querySelector("#regions");
    this.pointed = pointed;
    this.frame.addEventListener("pointermove", (event) => pointed(this.pixel(event), false));
    this.frame.addEventListener("pointerdown", (event) => pointed(this.pixel(event), false));
    this.frame.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") pointed(null, false); });
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("blur", () => { this.cursor.hidden = true; });
    const handle = this.divider.querySelector("span");
    handle.addEventListener("pointerdown", (event) => { handle.setPointerCapture(event.pointerId); event.preventDefault(); });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const { left, width } = this.frame.getBoundingClientRect();
      divided(Math.min(100, Math.max(0, (100 * (event.clientX - left)) / width)));
    });
    new ResizeObserver(() => this.sized()).observe(this.frame);
  }

  /** Makes room for a picture of this size in pixels. */
  resize(width, height) {
    [this.width, this.height] = [width, height];
    this.frame.style.setProperty("--aspect", String(width / height));
    this.cursor.hidden = true;
    this.place = null;
    this.fit();
  }

  fit() {
    this.frame.classList.remove("zoomed");
  }

  /** Shows the picture larger or smaller by a factor, its middle staying where it is; at most 16 pixels of screen a pixel. */
  zoom(factor) {
    const shown = this.frame.clientWidth, wanted = Math.min(shown * factor, Math.max(16 * this.width, shown), 30000);
    const { clientWidth, clientHeight, scrollLeft, scrollTop } = this.stage;
    this.frame.style.setProperty("--width", `${Math.max(wanted, 80)}px`);
    this.frame.classList.add("zoomed");
    const scale = this.frame.clientWidth / shown;
    this.stage.scrollTo((scrollLeft + clientWidth / 2) * scale - clientWidth / 2, (scrollTop + clientHeight / 2) * scale - clientHeight / 2);
  }

  /** Pixels of the photograph are as crisp as those of the map where both are far enlarged. */
  sized() {
    this.frame.classList.toggle("large", this.width && this.frame.clientWidth > 6 * this.width);
  }

  pixel(event) {
    const { left, top, width, height } = this.frame.getBoundingClientRect();
    const x = Math.floor(((event.clientX - left) / width) * this.width), y = Math.floor(((event.clientY - top) / height) * this.height);
    return x >= 0 && y >= 0 && x < this.width && y < this.height ? { x, y } : null;
  }

  key(event) {
    if (event.target !== this.stage || !(event.key in KEYS) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const [right, down] = KEYS[event.key], step = event.shiftKey ? 1 : Math.max(1, Math.round(Math.max(this.width, this.height) / 40));
    const from = this.place ?? { x: Math.floor(this.width / 2), y: Math.floor(this.height / 2) };
    const within = (value, most) => Math.min(Math.max(value, 0), most - 1);
    this.place = { x: within(from.x + right * step, this.width), y: within(from.y + down * step, this.height) };
    this.cursor.hidden = false;
    this.cursor.style.left = `${(100 * (this.place.x + 0.5)) / this.width}%`;
    this.cursor.style.top = `${(100 * (this.place.y + 0.5)) / this.height}%`;
    if (this.frame.classList.contains("zoomed")) this.cursor.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.pointed(this.place, true);
  }

  /** Draws boxes of regions [{id, area, box}] of classes; of small ones the largest only. */
  drawBoxes(regions, classes, shows) {
    const least = LEAST_SHARE * this.width * this.height;
    const drawn = regions.filter(({ id, area }) => area >= least && shows(id)).slice(0, MOST_BOXES);
    this.boxes.replaceChildren(...drawn.map(({ id, box: [top, left, height, width] }) => {
      const shown = element("div", "", ""), name = element("span", "", classes[id].name), { colour } = classes[id];
      const percents = { left: left / this.width, top: top / this.height, width: width / this.width, height: height / this.height };
      for (const [side, share] of Object.entries(percents)) shown.style[side] = `${100 * share}%`;
      name.style.background = `rgb(${colour.join(" ")})`;
      name.style.color = inkOn(colour);
      shown.append(name);
      return shown;
    }));
  }

  /** Shows one map and its boxes left of a line at `percent` of the width and the other one right of it; null: the first alone. */
  divide(first, second, percent) {
    this.divider.hidden = second.hidden = percent === null;
    first.style.clipPath = this.boxes.style.clipPath = percent === null ? "" : `inset(0 ${100 - percent}% 0 0)`;
    if (percent === null) return;
    second.style.clipPath = `inset(0 0 0 ${percent}%)`;
    this.divider.style.left = `${percent}%`;
  }
}
