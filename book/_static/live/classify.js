// The classifier: a digit is written, and ten bars say what the network takes it for.
import { run } from "./models.js";
import { writingPad } from "./pad.js";
import { element, latest, status } from "./page.js";

export const start = async (stage, samples, tell) => {
  const bars = Array.from({ length: 10 }, (_, k) =>
    element("tr", {}, element("th", { scope: "row", textContent: k }), element("td"), element("td")));
  const said = status();
  const show = (p) => {
    const most = p.indexOf(Math.max(...p));
    bars.forEach((row, k) => {
      row.cells[1].style.setProperty("--share", p[k] ?? 0);
      row.cells[2].textContent = k in p ? `${(100 * p[k]).toFixed(1)}%` : "–";
      row.classList.toggle("most", k === most);
    });
    said.textContent = most < 0 ? "Write a digit." : `The network reads ${most === 8 ? "an" : "a"} ${most}.`;
  };
  const classify = latest(tell, async (digit) => {
    if (!digit) return show([]);
    const y = new Float32Array(3 * 32 * 32); // white on black, two pixels of margin, in three channels
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < 28; i++)
        y.set(digit.data.subarray(28 * i, 28 * i + 28), 1024 * c + 32 * (i + 2) + 2);
    const { logits } = await run("cnn_classifier", { y: { data: y, dims: [1, 3, 32, 32] } });
    const largest = Math.max(...logits.data);
    const powers = Array.from(logits.data, (v) => Math.exp(v - largest));
    const sum = powers.reduce((a, b) => a + b);
    show(powers.map((v) => v / sum));
  });
  const pad = await writingPad(samples, classify);
  stage.append(pad, element("div", { className: "igr-live-controls" }, said,
    element("table", { className: "igr-live-bars" }, element("tbody", {}, ...bars))));
  await pad.show(3);
};
