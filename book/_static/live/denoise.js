// Denoising: noise is added to the reader's photograph, and taken away again.
import { run } from "./models.js";
import { latest, slider, status } from "./page.js";
import { divided, dropZone } from "./photo.js";
import { apply, colours, gaussian, luma, paint, plane, psnr } from "./pixels.js";

const SIDE = 324; // larger photographs are shrunk to it

export const start = async (stage, samples, tell) => {
  const pictures = divided("noisy", "network");
  const said = status();
  let x;
  let level = 25;
  const denoise = latest(tell, async () => {
    if (!x) return;
    const n = plane(gaussian(x.data.length, 1), x.H, x.W);
    const y = apply((v, e) => v + (level / 255) * e, x, n);
    const began = performance.now();
    const { x_hat: found } = await run("denoiser_sigma25", { y: { data: y.data, dims: [1, 1, x.H, x.W] } });
    const seconds = (performance.now() - began) / 1000;
    const x_hat = plane(found.data, x.H, x.W);
    paint(pictures.below, y);
    paint(pictures.above, x_hat);
    pictures.say(
      level ? `y = x + n, ${psnr(y, x).toFixed(1)} dB` : "x, without noise",
      `network, ${psnr(x_hat, x).toFixed(1)} dB`,
    );
    said.textContent = `${x.W} by ${x.H} pixels, in grey as the network was trained, in ${seconds.toFixed(1)} s.`;
  });
  const zone = dropZone(stage, samples, SIDE, tell, (canvas) => {
    x = luma(colours(canvas));
    return denoise();
  });
  const noise = slider("noise added:", { min: 0, max: 60, step: 1, value: level }, (value) => {
    level = value;
    denoise();
  }, (v) => `${v}/255`);
  stage.append(zone, noise, pictures, said);
  await zone.sample();
};
