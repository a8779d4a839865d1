// A photograph of the reader's, which never leaves the page, and a divider between before and after.
import { button, element, fetched, latest, picture } from "./page.js";

const MEGABYTES = 30;
const MEGAPIXELS = 60;
const LEAST = 24; // pixels each way, which the networks' margins need

// A dropped file replaces the page unless it is told not to, also beside a demo.
for (const kind of ["dragover", "drop"])
  document.addEventListener(kind, (event) => event.dataTransfer.types.includes("Files") && event.preventDefault());

// Knows an image's size without decoding it.
const opened = (file, address) =>
  new Promise((resolve, reject) => {
    const image = element("img", { onload: () => resolve(image), onerror: reject, src: address });
  }).catch(() => {
    throw new Error(`${file.name} is not a picture that this browser can open. Choose a PNG, JPEG or WebP file.`);
  });

// A file as a canvas, its longer side at most `side` pixels; an Error says what is wrong with it.
const readPicture = async (file, side) => {
  if (file.size > MEGABYTES * 1e6)
    throw new Error(`${file.name} has ${Math.round(file.size / 1e6)} MB; at most ${MEGABYTES} MB can be opened here. Save it smaller and try again.`);
  const address = URL.createObjectURL(file);
  try {
    const image = await opened(file, address);
    const { naturalWidth: width, naturalHeight: height } = image;
    if (width * height > MEGAPIXELS * 1e6)
      throw new Error(`${file.name} has ${Math.round((width * height) / 1e6)} megapixels; at most ${MEGAPIXELS} can be opened here. Save it smaller and try again.`);
    const scale = Math.min(1, side / Math.max(width, height));
    const whole = (length) => 12 * Math.floor((scale * length) / 12 + 1e-9); // halves, thirds and quarters are whole
    const canvas = element("canvas", { width: whole(width), height: whole(height) });
    if (Math.min(canvas.width, canvas.height) < LEAST)
      throw new Error(`${file.name} is too small or too narrow: it has ${width} by ${height} pixels.`);
    const context = canvas.getContext("2d");
    context.fillStyle = "white"; // what is transparent stands on paper
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas;
  } finally {
    URL.revokeObjectURL(address);
  }
};

// A place to choose a picture at; it may be dropped anywhere on the stage. `act` hears it as a canvas.
// The sample comes with the site.
export const dropZone = (stage, samples, side, tell, act) => {
  const take = latest(tell, async (file) => act(await readPicture(file, side)));
  const input = element("input", {
    type: "file",
    accept: "image/*",
    onclick: () => (input.value = ""), // so that the same file can be chosen again
    onchange: () => input.files[0] && take(input.files[0]),
  });
  const zone = element("div", { className: "igr-live-drop" },
    element("label", {}, "Drop a photograph here, or choose one: ", input),
    element("p", { textContent: "It stays in this page and is sent nowhere." }));
  stage.ondragover = () => zone.classList.add("over");
  stage.ondragleave = () => zone.classList.remove("over");
  stage.ondrop = (event) => {
    zone.classList.remove("over");
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  };
  const sample = latest(tell, async () => {
    const found = await fetched(new URL("photograph.png", samples));
    await take(new File([found], "photograph.png", { type: found.type }));
  });
  zone.append(button("The book’s photograph", sample));
  return Object.assign(zone, { sample });
};

// Two canvases of one size, one over the other, and a divider that moves between them.
export const divided = (before, after) => {
  const [below, above] = [picture(before, 1), picture(after, 1)];
  const words = [element("span", { textContent: before }), element("span", { textContent: after })];
  const input = element("input", { type: "range", min: 0, max: 100, value: 50, className: "igr-live-divide" });
  input.ariaLabel = `Divider: ${before} on its left, ${after} on its right`;
  const whole = element("div", { className: "igr-live-divided" }, below, above, input);
  input.oninput = () => whole.style.setProperty("--at", `${input.value}%`);
  const made = element("div", {}, whole, element("p", { className: "igr-live-words" }, ...words));
  return Object.assign(made, { below, above, say: (...texts) => texts.forEach((text, k) => (words[k].textContent = text)) });
};
