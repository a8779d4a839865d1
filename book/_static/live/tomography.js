// Tomography: a random body, a number of views; FBP and two networks answer.
import { run } from "./models.js";
import { button, element, latest, panel, picture, slider, status } from "./page.js";
import { apply, gaussian, paint, plane, psnr, uniform } from "./pixels.js";
import { fbp, radon } from "./radon.js";

const SIDE = 64;
const TRAINED = 30; // views, for both networks

// A body of ellipses like those of the training, drawn twice as fine and averaged.
const phantom = (seed) => {
  const draw = uniform(seed);
  const between = (low, high) => low + (high - low) * draw();
  const ellipse = (axes, offset) => {
    const [at, turn, r] = [between(0, 2 * Math.PI), between(0, Math.PI), between(...offset)];
    const [a, b, cos, sin] = [between(...axes), between(...axes), Math.cos(turn), Math.sin(turn)];
    return (right, up) => {
      const [u, v] = [right - r * Math.cos(at), up - r * Math.sin(at)];
      return ((cos * u + sin * v) / a) ** 2 + ((cos * v - sin * u) / b) ** 2 < 1;
    };
  };
  const body = ellipse([0.55, 0.9], [0, 0.08]);
  const level = between(0.3, 0.7);
  const things = Array.from({ length: 11 }, () => [ellipse([0.03, 0.35], [0, 0.65]), between(-0.4, 0.4)]);
  const x = plane(new Float32Array(SIDE * SIDE), SIDE);
  const fine = 2 * SIDE;
  for (let i = 0; i < fine; i++)
    for (let j = 0; j < fine; j++) {
      const [right, up] = [(2 * j + 1) / fine - 1, 1 - (2 * i + 1) / fine];
      if (!body(right, up)) continue;
      const value = things.reduce((sum, [inside, more]) => sum + (inside(right, up) ? more : 0), level);
      x.data[SIDE * (i >> 1) + (j >> 1)] += Math.min(1, Math.max(0, value)) / 4;
    }
  return x;
};

export const start = async (stage, samples, tell) => {
  const show = (text) => panel(text, picture(text, SIDE));
  const [truth, sinogram, classical, unet, lpd] = [
    "x, the truth", "y, what was measured", "filtered back-projection", "U-Net", "learned primal-dual"].map(show);
  const wanted = { seed: 1, views: TRAINED, noise: 1 };
  const said = status();
  const draw = latest(tell, async () => {
    const { seed, views, noise } = wanted;
    const x = phantom(seed);
    const clean = radon(x, views);
    const n = plane(gaussian(clean.data.length, seed), clean.H, clean.W);
    const sigma = (noise / 100) * clean.data.reduce((a, b) => Math.max(a, b), 0);
    const y = apply((v, e) => v + sigma * e, clean, n);
    const x_fbp = fbp(y, SIDE);
    paint(truth.firstChild, x);
    paint(sinogram.firstChild, y, 0, y.data.reduce((a, b) => Math.max(a, b), 1));
    const answer = (where, name, found) => {
      paint(where.firstChild, found);
      where.say(`${name}, ${psnr(found, x).toFixed(1)} dB`);
    };
    answer(classical, "filtered back-projection", x_fbp);
    const cleaned = await run("ct_unet", { x_fbp: { data: x_fbp.data, dims: [1, 1, SIDE, SIDE] } });
    answer(unet, "U-Net", plane(cleaned.x_hat.data, SIDE));
    said.textContent = views === TRAINED && noise === 1
      ? `Both networks were trained for ${TRAINED} views and 1% noise, as here.`
      : `Both networks were trained for ${TRAINED} views and 1% noise: here they meet what they never saw.`;
    if (views === TRAINED) {
      const { x_hat } = await run("ct_reconstructor", { sinogram: { data: y.data, dims: [1, 1, y.H, y.W] } });
      answer(lpd, "learned primal-dual", plane(x_hat.data, SIDE));
    } else {
      paint(lpd.firstChild, plane(new Float32Array(SIDE * SIDE).fill(0.5), SIDE));
      lpd.say(`learned primal-dual: made for ${TRAINED} views`);
    }
  });
  const set = (name) => (value) => {
    wanted[name] = value;
    draw();
  };
  stage.append(
    element("div", { className: "igr-live-controls" },
      slider("views:", { min: 4, max: 90, step: 1, value: wanted.views }, set("views")),
      slider("noise:", { min: 0, max: 5, step: 0.25, value: wanted.noise }, set("noise"), (v) => `${v}% of the largest value`),
      element("p", {}, button("Another body", () => set("seed")(wanted.seed + 1)))),
    element("div", { className: "igr-live-pair" }, truth, sinogram, classical, unet, lpd), said);
  await draw();
};
