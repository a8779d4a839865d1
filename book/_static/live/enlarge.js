// Super-resolution: the reader's photograph, enlarged by a formula and by a network.
import { load, run } from "./models.js";
import { choice, element, latest, status } from "./page.js";
import { divided, dropZone } from "./photo.js";
import { apply, colours, paint, plane, psnr, resize, studio } from "./pixels.js";

const NETWORKS = { 3: "espcn_x3", 4: "srresnet_x4" };
const SIDE = 768; // larger photographs are shrunk to it
const rounded = (v) => Math.min(255, Math.max(0, Math.round(255 * v))) / 255;

// Every pixel s times, down and across.
const repeated = (p, s) =>
  plane(Float32Array.from({ length: p.data.length * s * s }, (_, k) => {
    const [i, j] = [Math.floor(k / (p.W * s)), k % (p.W * s)];
    return p.data[p.W * Math.floor(i / s) + Math.floor(j / s)];
  }), p.H * s, p.W * s);

export const start = async (stage, samples, tell) => {
  const pictures = divided("the other picture", "network");
  const said = status();
  let photo;
  let s = 3;
  let left = "bicubic";
  let others = {}; // what may stand at the left of the divider: name -> planes and words
  const compare = () => {
    paint(pictures.below, others[left].planes);
    pictures.say(others[left].words, others.network.words);
  };
  const enlarge = latest(tell, async () => {
    if (!photo) return;
    const x = colours(photo); // the truth
    const [H, W] = [x[0].H, x[0].W];
    const y = x.map((p) => apply(rounded, resize(p, H / s, W / s))); // what the camera measured
    await load([NETWORKS[s]]);
    const began = performance.now();
    const detail = await run(NETWORKS[s], { y: { data: studio(y).data, dims: [1, 1, H / s, W / s] } });
    const seconds = (performance.now() - began) / 1000;
    const formula = y.map((p) => resize(p, H, W));
    const [before, truth] = [studio(formula), studio(x)];
    const luma = plane(detail.x.data, H, W);
    // The network's detail is in the luma alone; the colours stay those of the formula.
    const network = formula.map((p) => apply((v, now, was) => v + ((now - was) * 255) / 219, p, luma, before));
    others = {
      bicubic: { planes: formula, words: `bicubic, ${psnr(before, truth).toFixed(1)} dB` },
      "what was measured": { planes: y.map((p) => repeated(p, s)), words: "y, what was measured" },
      "the truth": { planes: x, words: "x, the truth" },
      network: { words: `network, ${psnr(luma, truth).toFixed(1)} dB` },
    };
    paint(pictures.above, network);
    compare();
    said.textContent = `The truth has ${W} by ${H} pixels. It was shrunk to ${W / s} by ${H / s}, and from those the network enlarged it ${s} times in ${seconds.toFixed(1)} s.`;
  });
  const zone = dropZone(stage, samples, SIDE, tell, (canvas) => {
    photo = canvas;
    return enlarge();
  });
  const factor = choice("factor", Object.keys(NETWORKS), (value) => {
    s = Number(value);
    enlarge();
  });
  const beside = choice("beside the network", ["bicubic", "what was measured", "the truth"], (value) => {
    left = value;
    if (photo) compare();
  });
  stage.append(zone, element("p", {}, factor, beside), pictures, said);
  await zone.sample();
};
