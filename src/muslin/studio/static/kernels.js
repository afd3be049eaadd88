// Named kernels, and the arithmetic of sliding one over an image. Numbers in, numbers out.

const THIRD = 1 / 9, SIXTEENTH = 1 / 16;

/** The rows of each kernel by its name. */
export const KERNELS = {
  identity: [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
  blur: [[THIRD, THIRD, THIRD], [THIRD, THIRD, THIRD], [THIRD, THIRD, THIRD]],
  gaussian: [[SIXTEENTH, 2 * SIXTEENTH, SIXTEENTH], [2 * SIXTEENTH, 4 * SIXTEENTH, 2 * SIXTEENTH], [SIXTEENTH, 2 * SIXTEENTH, SIXTEENTH]],
  sharpen: [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
  edges: [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
  emboss: [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
  sobelX: [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
  sobelY: [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
  laplace: [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
};

/** The kernel padded with zeros, or cropped, to `size` × `size`. */
export function fitted(kernel, size) {
  const shift = Math.floor((size - kernel.length) / 2);
  return Array.from({ length: size }, (_, y) => Array.from({ length: size }, (_, x) => kernel[y - shift]?.[x - shift] ?? 0));
}

/** Positions of a kernel along one side: ⌊(n + 2p − k) / s⌋ + 1. */
export const positionsAlong = (n, size, stride, padding) => Math.floor((n + 2 * padding - size) / stride) + 1;

/** Value at row y, column x of the image; beyond it zero, or the nearest pixel where `border` is "edge". */
export function pixelAt(image, rows, columns, y, x, border) {
  if (y < 0 || x < 0 || y >= rows || x >= columns) {
    if (border !== "edge") return 0;
    y = Math.min(Math.max(y, 0), rows - 1);
    x = Math.min(Math.max(x, 0), columns - 1);
  }
  return image[y * columns + x];
}

/** A convolution as in networks (the kernel is not flipped): {values, rows, columns}. */
export function convolve(image, rows, columns, kernel, stride, padding, border) {
  const size = kernel.length;
  const down = positionsAlong(rows, size, stride, padding), across = positionsAlong(columns, size, stride, padding);
  if (down < 1 || across < 1) return { values: new Float32Array(0), rows: 0, columns: 0 };
  // The padded image, so that the loop below needs no branches.
  const high = rows + 2 * padding, wide = columns + 2 * padding, padded = new Float32Array(high * wide);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) padded[y * wide + x] = pixelAt(image, rows, columns, y - padding, x - padding, border);
  }
  const values = new Float32Array(down * across);
  for (let i = 0; i < down; i++) {
    for (let j = 0; j < across; j++) {
      let sum = 0;
      for (let v = 0; v < size; v++) {
        const row = (i * stride + v) * wide + j * stride, weights = kernel[v];
        for (let u = 0; u < size; u++) sum += padded[row + u] * weights[u];
      }
      values[i * across + j] = sum;
    }
  }
  return { values, rows: down, columns: across };
}

/** Negative values become 0. */
export const relu = (values) => values.map((value) => Math.max(value, 0));

/** The largest value ("max") or the mean of each window of `size` × `size`, side by side: {values, rows, columns}. */
export function pooled(image, rows, columns, size, how) {
  const down = Math.floor(rows / size), across = Math.floor(columns / size), values = new Float32Array(down * across);
  for (let i = 0; i < down; i++) {
    for (let j = 0; j < across; j++) {
      let most = -Infinity, sum = 0;
      for (let v = 0; v < size; v++) {
        for (let u = 0; u < size; u++) {
          const value = image[(i * size + v) * columns + j * size + u];
          most = Math.max(most, value);
          sum += value;
        }
      }
      values[i * across + j] = how === "max" ? most : sum / (size * size);
    }
  }
  return { values, rows: down, columns: across };
}

/** An image that shows what kernels do: a disc, stripes of two directions, a ramp, single pixels. 0 to 255. */
export function testImage(side = 48) {
  const values = new Float32Array(side * side), half = side / 2;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      let value;
      if (y < half && x < half) value = Math.hypot(y - half / 2, x - half / 2) < half * 0.36 ? 230 : 25;
      else if (y < half) value = Math.floor(x / 3) % 2 ? 210 : 40;
      else if (x < half) value = Math.floor(y / 3) % 2 ? 210 : 40;
      else value = (x - half) / half * 255;
      values[y * side + x] = Math.round(value);
    }
  }
  for (const [y, x] of [[0.7, 0.62], [0.8, 0.72], [0.9, 0.66]]) values[Math.floor(y * side) * side + Math.floor(x * side)] = 255;
  return values;
}
