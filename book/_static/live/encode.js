// The VAE: a digit is written, encoded and decoded; sliders change its code.
import { run } from "./models.js";
import { writingPad } from "./pad.js";
import { button, element, latest, panel, picture, slider } from "./page.js";
import { paint, plane } from "./pixels.js";

const LENGTH = 24;
const SLIDERS = 6;
const EMPTY = plane(new Float32Array(784), 28);

const encoded = (x) => run("vae_encoder", { x: { data: x, dims: [x.length / 784, 1, 28, 28] } });

// The coordinates of which the encoder is surest over the examples, in their own order.
const surest = async (examples) => {
  const x = new Float32Array(784 * examples.length);
  examples.forEach((one, k) => x.set(one.data, 784 * k));
  const { logvar } = await encoded(x);
  const sums = Array.from({ length: LENGTH }, (_, i) => examples.reduce((sum, _, k) => sum + logvar.data[LENGTH * k + i], 0));
  return [...sums.keys()].sort((i, j) => sums[i] - sums[j]).slice(0, SLIDERS).sort((i, j) => i - j);
};

export const start = async (stage, samples, tell) => {
  const [seen, made] = [picture("The digit as the encoder sees it", 28), picture("The decoder's answer", 28)];
  const answer = panel("the decoder’s answer", made);
  let z = new Float32Array(LENGTH);
  const decode = latest(tell, async () => {
    const { x } = await run("vae_decoder", { z: { data: z, dims: [1, LENGTH] } });
    paint(made, plane(x.data, 28));
  });
  let given = null;
  const encode = latest(tell, async () => {
    controls.disabled = !given;
    paint(seen, given ?? EMPTY);
    answer.say(given ? "the decoder’s answer" : "Write a digit.");
    if (!given) return paint(made, EMPTY);
    z = (await encoded(given.data)).mu.data;
    shown.forEach((i, k) => sliders[k].set(z[i]));
    await decode();
  });
  const pad = await writingPad(samples, (digit) => {
    given = digit;
    return encode();
  });
  const shown = await surest(pad.examples);
  const sliders = shown.map((i) => {
    const name = `z${String(i + 1).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d])} =`;
    return slider(name, { min: -3, max: 3, step: 0.05, value: 0 }, (value) => {
      z[i] = value;
      decode();
    }, (v) => v.toFixed(2));
  });
  const pair = element("div", { className: "igr-live-pair" }, panel("x, as the encoder sees it", seen), answer);
  const controls = element("fieldset", { className: "igr-live-controls" }, pair, ...sliders,
    element("p", {}, button("Back to the encoder’s code", encode)));
  stage.append(pad, controls);
  await pad.show(5);
};
