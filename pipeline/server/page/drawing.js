// Draws maps on canvases: ids in the colours of their classes, confidence on a scale from blue to yellow.

const MOST = 2 ** 24; // pixels of a canvas, which some browsers limit

const STOPS = [[0, 32, 76], [49, 68, 107], [102, 105, 112], [149, 143, 120], [203, 186, 105], [255, 233, 69]];

const GREY = 40; // least difference between the parts of a colour, 0 to 255, that is not grey
const STANDING_OUT = [[0, 90, 200], [255, 200, 0], [220, 0, 110], [0, 170, 110], [150, 60, 230], [240, 90, 20], [0, 200, 240], [140, 200, 30]];

/** Draws samples {width, height, data} on a canvas by a table of 256 colours, see `colour`; of huge maps every n-th pixel. */
export function draw(canvas, { width, height, data }, table) {
  const step = Math.ceil(Math.sqrt((width * height) / MOST));
  canvas.width = Math.ceil(width / step);
  canvas.height = Math.ceil(height / step);
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let y = 0, place = 0; y < canvas.height; y++) {
    for (let x = 0, from = y * step * width; x < canvas.width; x++, from += step) pixels[place++] = table[data[from]];
  }
  context.putImageData(image, 0, 0);
}

/** A colour as a canvas stores it, on machines of little endian as all with browsers are. */
function colour([red, green, blue]) {
  return (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
}

/** A table of the colours of classes; those that `shown` denies are transparent. */
export function classTable(classes, shown) {
  const table = new Uint32Array(256);
  classes.forEach((entry, id) => { if (shown(id)) table[id] = colour(entry.colour); });
  return table;
}

/** Classes in colours that stand out from a photograph: where most are black, grey or white, these get others, dark ones first. */
export function standingOut(classes) {
  const grey = classes.filter(({ colour }) => Math.max(...colour) - Math.min(...colour) < GREY);
  if (grey.length < 2 || 2 * grey.length < classes.length || grey.length > STANDING_OUT.length) return classes;
  const used = classes.filter((entry) => !grey.includes(entry)).map(({ colour }) => colour), chosen = new Map();
  for (const entry of grey.sort((a, b) => a.colour[0] - b.colour[0])) {
    const least = (drawn) => Math.min(...used.map((other) => Math.hypot(...drawn.map((part, index) => part - other[index]))));
    const drawn = STANDING_OUT.reduce((best, next) => (least(next) > least(best) ? next : best));
    used.push(drawn);
    chosen.set(entry, drawn);
  }
  return classes.map((entry) => (chosen.has(entry) ? { ...entry, colour: chosen.get(entry), recoloured: true } : entry));
}

/** A table of confidence, 0 to 255. */
export function confidenceTable() {
  return Uint32Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (STOPS.length - 1), index = Math.min(Math.floor(place), STOPS.length - 2);
    return colour(STOPS[index].map((low, part) => Math.round(low + (place - index) * (STOPS[index + 1][part] - low))));
  });
}

/** "#000" or "#fff", whichever is read better on a colour. */
export function inkOn([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((part) => (part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}
