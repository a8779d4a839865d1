// Denoising: noise is added to the reader's photograph, and taken away again.
import { run } from "./models.js";
import { choice, element, latest, slider } from "./page.js";
import { divided, dropZone } from "./photo.js";
import { apply, colours, gaussian, luma, paint, plane, psnr } from "./pixels.js";

const SIDE = 320;

export const start = async (stage, samples) => {
  const pictures = divided("noisy", "network");
  const said = element("p", { className: "igr-live-said" });
  said.setAttribute("role", "status");
  let x;
  let level = 25;
  const denoise = latest(async () => {
    if (!x) return;
    said.textContent = "Denoising …";
    const n = plane(gaussian(x.data.length, 1), x.H, x.W);
    const y = apply((v, e) => v + (level / 255) * e, x, n);
    const began = performance.now();
    const { x_hat: found } = await run("denoiser_sigma25", { y: { data: y.data, dims: [1, 1, x.H, x.W] } });
    const seconds = (performance.now() - began) / 1000;
    const x_hat = plane(found.data, x.H, x.W);
    paint(pictures.below, y);
    paint(pictures.above, x_hat);
    pictures.say(
      level ? `y = x + n, ${psnr(y, x).toFixed(1)} dB` : "your photograph as it is",
      level ? `f(y), ${psnr(x_hat, x).toFixed(1)} dB` : "f(y)",
    );
    said.textContent = `${x.W} by ${x.H} pixels in ${seconds.toFixed(1)} s. The network was trained for noise of 25/255, and for no other.`;
  });
  const zone = await dropZone(samples, SIDE, (canvas) => {
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
