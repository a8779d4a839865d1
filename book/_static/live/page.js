// Small pieces of page that the demos share.
export const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

export const button = (text, act) =>
  element("button", { type: "button", textContent: text, onclick: act });

// A labelled slider; `act` hears its number, and `show` turns it into words.
export const slider = (text, { min, max, step, value }, act, show = String) => {
  const said = element("span", { textContent: show(value) });
  const input = element("input", { type: "range", min, max, step });
  input.value = value;
  input.oninput = () => {
    said.textContent = show(input.valueAsNumber);
    act(input.valueAsNumber);
  };
  const label = element("label", { className: "igr-live-slider" }, `${text} `, said, input);
  label.set = (number) => {
    input.value = number;
    said.textContent = show(input.valueAsNumber);
  };
  return label;
};

export const choice = (text, names, act) => {
  const select = element("select", { onchange: () => act(select.value) });
  select.append(...names.map((name) => element("option", { textContent: name, value: name })));
  return element("label", {}, `${text} `, select);
};

// A picture with words below it; `say` exchanges the words.
export const panel = (text, canvas) => {
  const words = element("figcaption", { textContent: text });
  const made = element("figure", { className: "igr-live-panel" }, canvas, words);
  made.say = (now) => (words.textContent = now);
  return made;
};

export const picture = (name, width, height = width) => {
  const canvas = element("canvas", { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
};

// Calls that come while one is at work are dropped but for the last: sliders never queue.
export const latest = (act) => {
  let busy = false;
  let next;
  return async (...given) => {
    next = given;
    if (busy) return;
    busy = true;
    try {
      while (next) {
        const now = next;
        next = undefined;
        await act(...now);
      }
    } finally {
      busy = false;
    }
  };
};
