// A photograph of the reader's, which never leaves the page, and a divider between before and after.
import { button, element, picture } from "./page.js";

const MEGABYTES = 30;
const MEGAPIXELS = 60;

// A file as a canvas, its longer side at most `side` pixels; an Error says what is wrong with it.
const readPicture = async (file, side) => {
  if (file.size > MEGABYTES * 1e6)
    throw new Error(`${file.name} has ${Math.round(file.size / 1e6)} MB; at most ${MEGABYTES} MB can be opened here. Save it smaller and try again.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is not a picture that this browser can open. Choose a PNG, JPEG or WebP file.`);
  }
  if (bitmap.width * bitmap.height > MEGAPIXELS * 1e6)
    throw new Error(`${file.name} has ${Math.round((bitmap.width * bitmap.height) / 1e6)} megapixels; at most ${MEGAPIXELS} can be opened here. Save it smaller and try again.`);
  if (Math.min(bitmap.width, bitmap.height) < 16)
    throw new Error(`${file.name} is ${bitmap.width} by ${bitmap.height} pixels; it should have at least 16 each way.`);
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const even = (length) => 2 * Math.round((scale * length) / 2); // the denoiser works on halves
  const canvas = element("canvas", { width: even(bitmap.width), height: even(bitmap.height) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
};

// A place to drop a picture on; `act` hears it as a canvas. The sample comes with the site.
export const dropZone = async (samples, side, act) => {
  const said = element("p", { className: "igr-live-said" });
  said.setAttribute("role", "alert");
  const take = async (file) => {
    said.textContent = "";
    try {
      await act(await readPicture(file, side));
    } catch (error) {
      said.textContent = error.message;
    }
  };
  const input = element("input", { type: "file", accept: "image/*", onchange: () => input.files[0] && take(input.files[0]) });
  const zone = element("div", { className: "igr-live-drop" },
    element("label", {}, "Drop a photograph here, or choose one: ", input),
    element("p", { textContent: "It stays in this page and is sent nowhere." }), said);
  zone.ondragover = (event) => {
    event.preventDefault();
    zone.classList.add("over");
  };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  };
  const sample = async () => {
    const file = await (await fetch(new URL("photograph.png", samples))).blob();
    await take(new File([file], "photograph.png", { type: file.type }));
  };
  zone.append(button("The book’s photograph", sample));
  zone.sample = sample;
  return zone;
};

// Two canvases of one size, one over the other, and a divider that moves between them.
export const divided = (before, after) => {
  const [below, above] = [picture(before, 1), picture(after, 1)];
  const words = [element("span", { textContent: before }), element("span", { textContent: after })];
  const input = element("input", { type: "range", min: 0, max: 100, value: 50, className: "igr-live-divide" });
  input.setAttribute("aria-label", `Divider: ${before} on its left, ${after} on its right`);
  const whole = element("div", { className: "igr-live-divided" }, below, above, input);
  input.oninput = () => whole.style.setProperty("--at", `${input.value}%`);
  const made = element("div", {}, whole, element("p", { className: "igr-live-words" }, ...words));
  return Object.assign(made, { below, above, say: (...texts) => texts.forEach((text, k) => (words[k].textContent = text)) });
};
