// Numbers and pictures. A plane is {data: Float32Array, H, W}, row by row, black 0 and white 1.
export const plane = (data, H, W = H) => ({ data, H, W });

export const apply = (f, p, q = p, r = p) =>
  plane(p.data.map((v, i) => f(v, q.data[i], r.data[i])), p.H, p.W);

// Draws one grey plane, or three as red, green and blue, into a canvas of their size.
export const paint = (canvas, planes, low = 0, high = 1) => {
  const [red, green, blue] = Array.isArray(planes) ? planes : [planes, planes, planes];
  const { H, W } = red;
  if (canvas.width !== W || canvas.height !== H) Object.assign(canvas, { width: W, height: H });
  const image = new ImageData(W, H);
  const level = (v) => (255 * (v - low)) / (high - low); // the image clamps and rounds
  for (let i = 0, k = 0; i < H * W; i++) {
    for (const { data } of [red, green, blue]) image.data[k++] = level(data[i]);
    image.data[k++] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
};

// A canvas as three planes.
export const colours = (canvas) => {
  const { width: W, height: H } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, W, H);
  return [0, 1, 2].map((c) => plane(new Float32Array(H * W).map((_, i) => data[4 * i + c] / 255), H, W));
};

// BT.601, from 0 to 1 as the denoiser takes it.
export const luma = ([r, g, b]) => apply((r, g, b) => 0.299 * r + 0.587 * g + 0.114 * b, r, g, b);

// BT.601 in studio swing, from 16/255 to 235/255, as the networks for enlarging take it.
export const studio = (rgb) => apply((v) => (16 + 219 * v) / 255, luma(rgb));

export const psnr = (a, b) => {
  const square = a.data.reduce((sum, v, i) => sum + (Math.min(1, Math.max(0, v)) - b.data[i]) ** 2, 0);
  return Math.min(99, -10 * Math.log10(square / a.data.length)); // 99: the same picture
};

// Keys' cubic with a = -1/2, stretched where it shrinks: F.interpolate(mode="bicubic", antialias=True).
const weights = (length, wanted) => {
  const scale = length / wanted;
  const stretch = Math.max(1, scale);
  const cubic = (t) => {
    const a = Math.abs(t);
    if (a < 1) return (1.5 * a - 2.5) * a * a + 1;
    return a < 2 ? ((-0.5 * a + 2.5) * a - 4) * a + 2 : 0;
  };
  return Array.from({ length: wanted }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - 2 * stretch + 0.5));
    const last = Math.min(length, Math.trunc(centre + 2 * stretch + 0.5));
    const w = Array.from({ length: last - first }, (_, k) => cubic((first + k + 0.5 - centre) / stretch));
    const sum = w.reduce((a, b) => a + b);
    return { first, w: w.map((v) => v / sum) };
  });
};

const transpose = ({ data, H, W }) => {
  const turned = new Float32Array(H * W);
  for (let i = 0; i < H; i++) for (let j = 0; j < W; j++) turned[j * H + i] = data[i * W + j];
  return plane(turned, W, H);
};

const resizeRows = ({ data, H, W }, wanted) => {
  const found = new Float32Array(H * wanted);
  weights(W, wanted).forEach(({ first, w }, j) => {
    for (let i = 0; i < H; i++) {
      let sum = 0;
      for (let k = 0; k < w.length; k++) sum += w[k] * data[i * W + first + k];
      found[i * wanted + j] = sum;
    }
  });
  return plane(found, H, wanted);
};

export const resize = (p, H, W) => transpose(resizeRows(transpose(resizeRows(p, W)), H));

// Repeatable random numbers: a generator of uniform ones (mulberry32), and Gaussian ones from it.
export const uniform = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

export const gaussian = (length, seed) => {
  const draw = uniform(seed);
  return Float32Array.from(
    { length },
    () => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw()),
  );
};
