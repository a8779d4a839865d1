// The flow: noise becomes a digit of the wanted class in a few of Euler's steps.
import { run } from "./models.js";
import { button, choice, element, latest, panel, picture, slider } from "./page.js";
import { gaussian, paint, plane } from "./pixels.js";

const SECONDS = 0.8; // that a walk takes at least, so that it can be watched

export const start = async (stage, samples, tell) => {
  const canvas = picture("The image on its way from noise to a digit", 28);
  const shown = panel("", canvas);
  const wanted = { label: 7, steps: 10, w: 1, seed: 1 };

  const velocity = async (x, t, label) => {
    const feeds = {
      x: { data: x, dims: [1, 1, 28, 28] },
      t: { data: Float32Array.of(t), dims: [1] },
      label: { data: Float32Array.of(label), dims: [1] },
    };
    return (await run("flow_generator", feeds)).velocity.data;
  };
  const draw = latest(tell, async () => {
    const { label, steps, w, seed } = wanted;
    let x = gaussian(784, seed);
    for (let k = steps; ; k--) {
      const t = k / steps;
      paint(canvas, plane(x, 28), -1, 1);
      shown.say(`t = ${t.toFixed(2)}${{ 0: ", the digit", 1: ", noise" }[t] ?? ""}`);
      if (!k) break;
      await new Promise((resolve) => setTimeout(resolve, (1000 * SECONDS) / steps));
      let u = await velocity(x, t, label);
      if (w !== 1) {
        const untold = await velocity(x, t, 10); // label 10: "not told"
        u = u.map((v, i) => untold[i] + w * (v - untold[i]));
      }
      x = x.map((v, i) => v - u[i] / steps);
    }
  });
  const set = (name) => (value) => {
    wanted[name] = Number(value);
    draw();
  };
  const labels = choice("digit", [..."0123456789"], set("label"));
  labels.querySelector("select").value = wanted.label;
  stage.append(shown, element("div", { className: "igr-live-controls" }, element("p", {}, labels, button("Another noise", () => set("seed")(wanted.seed + 1))),
    slider("steps:", { min: 1, max: 50, step: 1, value: wanted.steps }, set("steps")),
    slider("guidance w =", { min: 0, max: 8, step: 0.25, value: wanted.w }, set("w"))));
  await draw();
};
