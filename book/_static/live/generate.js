// The GAN's generator: sliders move z, and the digit follows.
import { run } from "./models.js";
import { button, element, latest, panel, picture, slider } from "./page.js";
import { gaussian, paint, plane } from "./pixels.js";

const LENGTH = 64;
const SLIDERS = 6;
const NAME = "the generator’s digit, G(z)";

const norm = (v) => Math.hypot(...v);
const scaled = (v, length) => v.map((x) => (x * length) / norm(v));

export const start = async (stage, samples, tell) => {
  const canvas = picture("The digit that the generator makes of z", 28);
  const shown = panel(NAME, canvas);
  const turn = Array(SLIDERS).fill(0);
  // Random directions of length 1, along which the sliders push.
  const directions = turn.map((_, k) => scaled(gaussian(LENGTH, 1000 + k), 1));
  let seed = 1;
  let base;
  const restart = () => (base = scaled(gaussian(LENGTH, seed), Math.sqrt(LENGTH)));
  restart();

  // Gaussian noise of 64 numbers lies near the sphere of radius 8, so z is brought back to it.
  const code = () =>
    scaled(base.map((v, i) => turn.reduce((sum, t, k) => sum + t * directions[k][i], v)), Math.sqrt(LENGTH));
  const draw = latest(tell, async () => {
    const { x } = await run("gan_generator", { z: { data: code(), dims: [1, LENGTH] } });
    paint(canvas, plane(x.data, 28));
  });

  const sliders = turn.map((_, k) =>
    slider(`direction ${k + 1}:`, { min: -12, max: 12, step: 0.1, value: 0 }, (value) => {
      turn[k] = value;
      draw();
    }, (v) => v.toFixed(1)),
  );
  const another = button("Another z", () => {
    seed += 1;
    restart();
    turn.fill(0);
    sliders.forEach((one) => one.set(0));
    draw();
  });
  let walking = 0; // the number of the walk that goes on, 0 for none
  let walks = 0;
  const walk = button("Walk", async () => {
    const mine = (walking = walking ? 0 : ++walks);
    walk.textContent = walking ? "Stop" : "Walk";
    shown.say(NAME);
    let digits = 0;
    const began = performance.now();
    for (let target = scaled(gaussian(LENGTH, ++seed), 8); mine && walking === mine; digits++) {
      // A short step along the sphere towards a random place, then towards the next.
      base = scaled(base.map((v, i) => v + 0.04 * target[i]), 8);
      if (norm(base.map((v, i) => v - target[i])) < 2) target = scaled(gaussian(LENGTH, ++seed), 8);
      await draw();
      if (walking) shown.say(`G(z), ${Math.round((1000 * digits) / (performance.now() - began))} digits a second`);
      await new Promise(requestAnimationFrame);
    }
  });
  stage.append(shown, element("div", { className: "igr-live-controls" }, ...sliders, element("p", {}, another, walk)));
  await draw();
};
