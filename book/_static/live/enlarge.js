// Super-resolution: the reader's photograph, enlarged by a formula and by a network.
import { load, run } from "./models.js";
import { choice, element, latest } from "./page.js";
import { divided, dropZone } from "./photo.js";
import { apply, colours, paint, plane, psnr, resize, studio } from "./pixels.js";

const NETWORKS = { 3: "espcn_x3", 4: "srresnet_x4" };
const SIDE = 256; // of what is enlarged; larger pictures are shrunk to it
const rounded = (v) => Math.min(255, Math.max(0, Math.round(255 * v))) / 255;

export const start = async (stage, samples) => {
  const pictures = divided("bicubic", "network");
  const said = element("p", { className: "igr-live-said" });
  said.setAttribute("role", "status");
  let photo;
  let s = 3;
  const enlarge = latest(async () => {
    if (!photo) return;
    said.textContent = "Enlarging …";
    const whole = colours(photo).map((p) => resize(p, s * Math.floor(p.H / s), s * Math.floor(p.W / s)));
    const [H, W] = [whole[0].H, whole[0].W];
    const y = whole.map((p) => apply(rounded, resize(p, H / s, W / s))); // what the camera measured
    const began = performance.now();
    await load([NETWORKS[s]]);
    const detail = await run(NETWORKS[s], { y: { data: studio(y).data, dims: [1, 1, H / s, W / s] } });
    const seconds = (performance.now() - began) / 1000;
    const formula = y.map((p) => resize(p, H, W));
    const before = studio(formula);
    const luma = plane(detail.x.data, H, W);
    // The network's detail is in the luma alone; the colours stay those of the formula.
    const network = formula.map((p) => apply((v, now, was) => v + ((now - was) * 255) / 219, p, luma, before));
    paint(pictures.below, formula);
    paint(pictures.above, network);
    const truth = studio(whole);
    pictures.say(`bicubic, ${psnr(before, truth).toFixed(1)} dB`, `network, ${psnr(luma, truth).toFixed(1)} dB`);
    said.textContent = `${W / s} by ${H / s} pixels, enlarged ${s} times in ${seconds.toFixed(1)} s. The photograph was shrunk first, so that there is a truth to compare with.`;
  });
  const zone = await dropZone(samples, SIDE * s, (canvas) => {
    photo = canvas;
    return enlarge();
  });
  const factor = choice("factor", Object.keys(NETWORKS), (value) => {
    s = Number(value);
    enlarge();
  });
  stage.append(zone, element("p", {}, factor), pictures, said);
  await zone.sample();
};
