// The VAE: a digit is written, encoded and decoded; sliders change its code.
import { run } from "./models.js";
import { writingPad } from "./pad.js";
import { element, latest, panel, picture, slider } from "./page.js";
import { paint, plane } from "./pixels.js";

const LENGTH = 24;
const SLIDERS = 6;

export const start = async (stage, samples) => {
  const [seen, made] = [picture("The digit as the encoder sees it", 28), picture("The decoder's answer", 28)];
  let z = new Float32Array(LENGTH);
  let sure = []; // the coordinates of which the encoder is surest
  const decode = latest(async () => {
    const { x } = await run("vae_decoder", { z: { data: z, dims: [1, LENGTH] } });
    paint(made, plane(x.data, 28));
  });
  const sliders = Array.from({ length: SLIDERS }, (_, k) =>
    slider("z", { min: -3, max: 3, step: 0.05, value: 0 }, (value) => {
      z[sure[k]] = value;
      decode();
    }, (v) => v.toFixed(2)),
  );
  const encode = latest(async (digit) => {
    const given = digit ?? plane(new Float32Array(784), 28);
    paint(seen, given);
    const { mu, logvar } = await run("vae_encoder", { x: { data: given.data, dims: [1, 1, 28, 28] } });
    z = mu.data;
    sure = [...logvar.data.keys()].sort((i, j) => logvar.data[i] - logvar.data[j]).slice(0, SLIDERS);
    sliders.forEach((one, k) => {
      one.firstChild.textContent = `z${String(sure[k] + 1).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d])} = `;
      one.set(z[sure[k]]);
    });
    await decode();
  });
  const pad = await writingPad(samples, encode);
  const pair = element("div", { className: "igr-live-pair" },
    panel("x, as the encoder sees it", seen), panel("the decoder’s answer", made));
  stage.append(pad, pair, element("div", { className: "igr-live-controls" }, ...sliders));
  pad.show(5);
};
