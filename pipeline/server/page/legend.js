// The list of classes: their colours, what share of the picture they have, which of them are shown.

const MANY = 20;

/** A list of classes in `aside`.
 *
 *  changed: called when other classes are shown or one is pointed at.
 */
export class Legend {
  constructor(changed) {
    this.changed = changed;
    this.classes = [];
    this.hidden = new Set();
    this.pointed = null;
    this.list = document.querySelector("#legend");
    this.absent = document.querySelector("#absent");
    this.filter = document.querySelector("#filter");
    this.all = document.querySelector("#all");
    this.filter.addEventListener("input", () => this.find(this.filter.value));
    this.all.addEventListener("click", () => this.toggleAll());
  }

  /** Whether the pixels of a class are shown now. */
  shows(id) {
    return this.pointed === null ? !this.hidden.has(id) : this.pointed === id;
  }

  /** Lists classes [{name, colour}]; with `shares` by size, those without pixels apart. */
  fill(classes, shares = null) {
    if (classes.length !== this.classes.length) this.hidden.clear();
    this.classes = classes;
    this.rows = classes.map((entry, id) => this.row(entry, id, shares?.[id]));
    const order = classes.map((_, id) => id);
    if (shares) order.sort((a, b) => shares[b] - shares[a] || a - b);
    const present = order.filter((id) => !shares || shares[id] > 0), rest = order.filter((id) => shares && !(shares[id] > 0));
    this.list.replaceChildren(...present.map((id) => this.rows[id]));
    this.list.classList.toggle("long", present.length > MANY);
    this.absent.hidden = !rest.length;
    this.absent.querySelector("summary").textContent = `${rest.length} ${rest.length === 1 ? "class has" : "classes have"} no pixel here`;
    this.absent.querySelector("ul").replaceChildren(...rest.map((id) => this.rows[id]));
    document.querySelector("#classes-title").textContent = shares
      ? `${present.length} of ${classes.length} classes`
      : `${classes.length} classes`;
    document.querySelector("#recoloured").hidden = !classes.some(({ recoloured }) => recoloured);
    this.filter.hidden = classes.length <= MANY;
    this.all.hidden = !shares;
    this.tellAll();
    if (!this.filter.hidden) this.find(this.filter.value);
  }

  row({ name, colour }, id, share) {
    const row = document.createElement("li"), label = document.createElement("label"), tick = document.createElement("input");
    tick.type = "checkbox";
    tick.checked = !this.hidden.has(id);
    tick.disabled = share === undefined;
    tick.style.setProperty("--colour", `rgb(${colour.join(" ")})`);
    label.append(tick, element("span", "name", name), element("span", "share", share === undefined ? "" : percent(share)));
    if (share > 0) {
      const meter = element("span", "meter", ""), fill = document.createElement("i");
      fill.style.width = `${100 * share}%`;
      meter.append(fill);
      label.append(meter);
    }
    row.append(label);
    tick.addEventListener("change", () => {
      this.hidden[tick.checked ? "delete" : "add"](id);
      this.tellAll();
      this.point(null);
    });
    if (share !== undefined) {
      row.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse" && tick.checked) this.point(id); });
      row.addEventListener("pointerleave", () => this.point(null));
      tick.addEventListener("focus", () => { if (tick.checked && tick.matches(":focus-visible")) this.point(id); });
      tick.addEventListener("blur", () => this.point(null));
    }
    return row;
  }

  point(id) {
    this.pointed = id;
    this.changed();
  }

  /** Marks the row of the class under the pointer in the picture; null: none. */
  mark(id) {
    if (this.marked === id) return;
    this.marked = id;
    this.rows?.forEach((row, other) => row.classList.toggle("pointed", other === id));
  }

  find(text) {
    const wanted = text.trim().toLowerCase();
    this.rows.forEach((row, id) => { row.hidden = !this.classes[id].name.toLowerCase().includes(wanted); });
  }

  toggleAll() {
    if (this.hidden.size) this.hidden.clear();
    else this.classes.forEach((_, id) => this.hidden.add(id));
    this.rows.forEach((row, id) => { row.querySelector("input").checked = !this.hidden.has(id); });
    this.tellAll();
    this.changed();
  }

  tellAll() {
    this.all.textContent = this.hidden.size ? "Show all" : "Hide all";
  }
}

/** An element with a class and text. */
export function element(kind, name, text) {
  const made = document.createElement(kind);
  made.className = name;
  made.textContent = text;
  return made;
}

/** A share in [0, 1] for people. */
export function percent(share) {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}
