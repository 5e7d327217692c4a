// Draws maps on canvases: ids in the colours of their classes, confidence on a scale from blue to yellow.

const MOST = 2 ** 24; // pixels of a canvas, which some browsers limit

const STOPS = [[0, 32, 76], [49, 68, 107], [102, 105, 112], [149, 143, 120], [203, 186, 105], [255, 233, 69]];

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
