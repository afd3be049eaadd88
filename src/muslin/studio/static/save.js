// Images and numbers as files: PNG, SVG, CSV and NumPy's .npy, made from the values and not from a canvas,
// which some browsers add noise to when it is read.

export function download(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

const CRCS = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length), view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set([...name].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  let crc = ~0;
  for (const byte of bytes.subarray(4, 8 + data.length)) crc = CRCS[(crc ^ byte) & 255] ^ (crc >>> 8);
  view.setUint32(8 + data.length, ~crc >>> 0);
  return bytes;
}

/** A PNG file of red, green, blue bytes, each pixel `zoom` wide and high. */
export async function png(rgb, width, height, zoom = 1) {
  const wide = width * zoom, rows = new Uint8Array((1 + 3 * wide) * height * zoom);
  let at = 0;
  for (let y = 0; y < height * zoom; y++) {
    at += 1; // filter 0
    for (let x = 0; x < wide; x++) {
      const from = 3 * (Math.floor(y / zoom) * width + Math.floor(x / zoom));
      rows[at++] = rgb[from];
      rows[at++] = rgb[from + 1];
      rows[at++] = rgb[from + 2];
    }
  }
  const packing = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new Uint8Array(13), view = new DataView(header.buffer);
  view.setUint32(0, wide);
  view.setUint32(4, height * zoom);
  header.set([8, 2, 0, 0, 0], 8);
  const packed = new Uint8Array(await new Response(packing).arrayBuffer());
  return new Blob([
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk("IHDR", header), chunk("IDAT", packed), chunk("IEND", new Uint8Array(0)),
  ], { type: "image/png" });
}

/** numpy.save's format 1.0 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), float32. */
export function npy(values, shape) {
  const words = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const text = words + " ".repeat((64 - ((10 + words.length + 1) % 64)) % 64) + "\n";
  const bytes = new Uint8Array(10 + text.length + 4 * values.length), view = new DataView(bytes.buffer);
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  view.setUint16(8, text.length, true);
  bytes.set([...text].map((letter) => letter.charCodeAt(0)), 10);
  for (let i = 0; i < values.length; i++) view.setFloat32(10 + text.length + 4 * i, values[i], true);
  return bytes;
}

/** Rows of values; words are quoted, and one that begins like a formula gets an apostrophe before it. */
export function csv(rows) {
  return rows.map((row) => row.map((cell) => {
    if (typeof cell === "number") return String(cell);
    const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  }).join(",")).join("\r\n") + "\r\n";
}

/** A drawing in the page as a file of its own, with the colours it has now. */
export function svgFile(drawing) {
  const copy = drawing.cloneNode(true);
  const originals = [drawing, ...drawing.querySelectorAll("*")], copies = [copy, ...copy.querySelectorAll("*")];
  originals.forEach((element, i) => {
    const style = getComputedStyle(element);
    for (const rule of ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "font-weight", "text-anchor", "opacity"]) {
      const value = style.getPropertyValue(rule);
      if (value) copies[i].setAttribute(rule, value);
    }
    copies[i].removeAttribute("class");
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const box = drawing.viewBox.baseVal;
  copy.setAttribute("width", box.width);
  copy.setAttribute("height", box.height);
  return new XMLSerializer().serializeToString(copy);
}
