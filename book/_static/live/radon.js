// Parallel-beam tomography as in the book's helpers: Joseph's Radon transform, its adjoint, and FBP.
// A sinogram is a plane of views by detectors; images are square.
import { plane } from "./pixels.js";

// Calls visit(ray, pixel, weight) for every entry of the Radon matrix that belongs to one view.
const eachEntry = (view, views, side, detectors, visit) => {
  const t = (view * Math.PI) / views;
  const [cos, sin] = [Math.cos(t), Math.sin(t)];
  const steep = Math.abs(cos) >= Math.abs(sin); // crosses every row once, others every column
  const length = Math.max(Math.abs(cos), Math.abs(sin));
  const middle = (side - 1) / 2;
  for (let ray = 0; ray < detectors; ray++) {
    const s = ray - (detectors - 1) / 2;
    for (let k = 0; k < side; k++) {
      const line = k - middle;
      const crossing = (steep ? (s + line * sin) / cos : (line * cos - s) / sin) + middle;
      const low = Math.floor(crossing);
      for (let i = low; i <= low + 1; i++) {
        const share = 1 - Math.abs(crossing - i);
        if (i >= 0 && i < side && share > 1e-9)
          visit(ray, steep ? k * side + i : i * side + k, share / length);
      }
    }
  }
};

const detectors = (side) => Math.ceil(Math.SQRT2 * side);

export const radon = (x, views) => {
  const D = detectors(x.W);
  const y = new Float32Array(views * D);
  for (let v = 0; v < views; v++)
    eachEntry(v, views, x.W, D, (ray, pixel, weight) => (y[v * D + ray] += weight * x.data[pixel]));
  return plane(y, views, D);
};

const adjoint = (y, side) => {
  const x = new Float32Array(side * side);
  for (let v = 0; v < y.H; v++)
    eachEntry(v, y.H, side, y.W, (ray, pixel, weight) => (x[pixel] += weight * y.data[v * y.W + ray]));
  return plane(x, side);
};

// Filtered back-projection: the ramp, sampled in space, then the adjoint.
export const fbp = (y, side) => {
  const ramp = (n) => (n === 0 ? 1 / 4 : n % 2 ? -1 / (Math.PI * n) ** 2 : 0);
  const filtered = new Float32Array(y.data.length);
  for (let v = 0; v < y.H; v++)
    for (let i = 0; i < y.W; i++) {
      let sum = 0;
      for (let j = 0; j < y.W; j++) sum += ramp(i - j) * y.data[v * y.W + j];
      filtered[v * y.W + i] = (sum * Math.PI) / y.H;
    }
  return adjoint(plane(filtered, y.H, y.W), side);
};
