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
  const said = element("span");
  const input = element("input", { type: "range", min, max, step });
  const label = element("label", { className: "igr-live-slider" }, `${text} `, said, input);
  const say = () => (said.textContent = show(input.valueAsNumber).replace("-", "−"));
  label.set = (number) => {
    input.value = number;
    say();
  };
  label.set(value);
  input.oninput = () => {
    say();
    act(input.valueAsNumber);
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

export const picture = (name, width, height = width) =>
  element("canvas", { width, height, role: "img", ariaLabel: name });

// A line that is read out when it changes.
export const status = () => element("p", { className: "igr-live-said", role: "status" });

// Calls that come while one is at work are dropped but for the last: sliders never queue. `tell`
// hears what went wrong.
export const latest = (tell, act) => {
  let busy = false;
  let next;
  return async (...given) => {
    next = given;
    if (busy) return;
    busy = true;
    while (next) {
      const now = next;
      next = undefined;
      tell("");
      await act(...now).catch((error) => tell(error.message));
    }
    busy = false;
  };
};

// What the site brings for the demos.
export const fetched = async (address) => {
  const answer = await fetch(address).catch(() => ({}));
  if (!answer.ok) throw new Error(`${address.pathname.split("/").pop()} did not come: is the connection there?`);
  return answer.blob();
};
