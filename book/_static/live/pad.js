// A pad to write a digit on, with mouse, finger or pen, and examples for those who cannot.
import { button, element, fetched, picture } from "./page.js";
import { colours, plane } from "./pixels.js";

const SIDE = 280;

// As MNIST's makers did: the ink scaled into 20 by 20 pixels, its centre of mass in the middle of 28.
const centred = (pad) => {
  const { data } = pad.getContext("2d").getImageData(0, 0, SIDE, SIDE);
  let [top, bottom, left, right, mass, row, column] = [SIDE, -1, SIDE, -1, 0, 0, 0];
  for (let i = 0; i < SIDE; i++)
    for (let j = 0; j < SIDE; j++) {
      const ink = data[4 * (i * SIDE + j)];
      if (ink < 30) continue;
      [top, bottom, left, right] = [Math.min(top, i), Math.max(bottom, i), Math.min(left, j), Math.max(right, j)];
      [mass, row, column] = [mass + ink, row + ink * (i + 0.5), column + ink * (j + 0.5)];
    }
  if (!mass) return null;
  const scale = 20 / Math.max(bottom - top + 1, right - left + 1);
  const small = element("canvas", { width: 28, height: 28 }).getContext("2d");
  small.imageSmoothingQuality = "high";
  small.fillRect(0, 0, 28, 28);
  small.setTransform(scale, 0, 0, scale, 14 - (scale * column) / mass, 14 - (scale * row) / mass);
  small.drawImage(pad, 0, 0);
  const found = small.getImageData(0, 0, 28, 28).data;
  return plane(Float32Array.from({ length: 784 }, (_, i) => found[4 * i] / 255), 28);
};

// The pad's element; `act` hears each new digit as a plane of 28 by 28, or null for an empty pad. It
// has the ten `examples`, and `show` puts one of them on the pad.
export const writingPad = async (samples, act) => {
  const pad = picture("A pad: write a digit here with mouse or finger", SIDE);
  pad.className = "igr-live-pad";
  const ink = pad.getContext("2d", { willReadFrequently: true });
  let sample = false; // whether an example stands there, which the first stroke wipes off
  const clear = () => {
    sample = false;
    ink.fillStyle = "black";
    ink.fillRect(0, 0, SIDE, SIDE);
  };
  clear();
  let from = null;
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  };
  const stroke = (to) => {
    Object.assign(ink, { strokeStyle: "white", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    ink.beginPath();
    ink.moveTo(...from);
    ink.lineTo(...to);
    ink.stroke();
    from = to;
    act(centred(pad));
  };
  pad.onpointerdown = (event) => {
    if (!event.isPrimary) return; // a second finger, or the palm
    pad.setPointerCapture(event.pointerId);
    if (sample) clear();
    const [x, y] = (from = place(event));
    stroke([x + 0.01, y]); // a line of no length would leave no dot
  };
  pad.onpointermove = (event) => event.isPrimary && from && stroke(place(event));
  pad.onpointerup = pad.onpointercancel = (event) => event.isPrimary && (from = null);

  const ten = await createImageBitmap(await fetched(new URL("digits.png", samples)));
  const show = (k) => {
    clear();
    sample = true;
    ink.drawImage(ten, 28 * k, 0, 28, 28, 0, 0, SIDE, SIDE);
    return act(centred(pad));
  };
  const examples = Array.from({ length: 10 }, (_, k) => {
    const one = element("canvas", { width: 28, height: 28 });
    one.getContext("2d").drawImage(ten, 28 * k, 0, 28, 28, 0, 0, 28, 28);
    return colours(one)[0];
  });
  const write = element("p", { className: "igr-live-examples" }, "or take one that it did not learn from: ");
  for (let k = 0; k < 10; k++) write.append(button(String(k), () => show(k)));
  const wipe = button("Clear", () => {
    clear();
    act(null);
  });
  const whole = element("div", {}, pad, element("p", {}, wipe), write);
  return Object.assign(whole, { examples, show });
};
