// Reads a PNG of one 8-bit sample a pixel: ids of classes, or a map of confidence. A canvas would do, but some browsers add noise
// to what a page reads from one, and two classes may have one colour.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** Bytes of a PNG (grey or palette, 8 bits, not interlaced) to {width, height, data: Uint8Array of width * height samples}. */
export async function readSamples(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (SIGNATURE.some((byte, index) => bytes[index] !== byte)) throw new Error("A map must be a PNG.");
  const parts = [];
  let width, height;
  for (let place = 8; place < bytes.length;) {
    const length = view.getUint32(place), kind = String.fromCharCode(...bytes.subarray(place + 4, place + 8));
    const start = place + 8;
    if (kind === "IHDR") {
      [width, height] = [view.getUint32(start), view.getUint32(start + 4)];
      const [depth, colour, , , interlaced] = bytes.subarray(start + 8, start + 13);
      if (depth !== 8 || ![0, 3].includes(colour) || interlaced) throw new Error("A map must have 8 bits a pixel.");
    }
    if (kind === "IDAT") parts.push(bytes.subarray(start, start + length));
    place = start + length + 4;
  }
  const rows = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  return { width, height, data: unfilter(new Uint8Array(await new Response(rows).arrayBuffer()), width, height) };
}

/** Rows with a filter byte each to samples. */
function unfilter(rows, width, height) {
  const data = new Uint8Array(width * height);
  let above = new Uint8Array(width);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (width + 1)], row = data.subarray(y * width, (y + 1) * width);
    row.set(rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)));
    if (filter === 1) for (let x = 1; x < width; x++) row[x] += row[x - 1];
    if (filter === 2) for (let x = 0; x < width; x++) row[x] += above[x];
    if (filter === 3) for (let x = 0; x < width; x++) row[x] += ((x ? row[x - 1] : 0) + above[x]) >> 1;
    if (filter === 4) for (let x = 0; x < width; x++) row[x] += paeth(x ? row[x - 1] : 0, above[x], x ? above[x - 1] : 0);
    above = row;
  }
  return data;
}

function paeth(left, up, corner) {
  const toLeft = Math.abs(up - corner), toUp = Math.abs(left - corner), toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}
