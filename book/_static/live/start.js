// Gives each demo of a page its start button. Nothing else is loaded before the button is pressed.
(() => {
  const home = new URL(".", document.currentScript.src);
  const labels = []; // functions that write on the buttons how much they fetch
  let runtime = true; // whether ONNX Runtime is still to be fetched

  const obstacle = () => {
    if (location.protocol === "file:")
      return "This model runs inside the page only when a server sends the page: run “make serve” in a copy of the book.";
    if (typeof WebAssembly !== "object" || typeof Worker !== "function")
      return "This model needs WebAssembly, which this browser does not have or has turned off.";
    return "";
  };

  const offer = (demo) => {
    demo.querySelector(".igr-live-off").remove();
    const bar = document.createElement("div");
    bar.className = "igr-live-bar";
    const said = document.createElement("p");
    said.role = "status";
    said.textContent = obstacle();
    demo.append(bar);
    if (said.textContent) return bar.append(said);
    const button = document.createElement("button");
    button.type = "button";
    const progress = document.createElement("progress");
    progress.hidden = true;
    progress.ariaLabel = "Loading";
    const label = () => {
      progress.max = Number(demo.dataset.bytes) + (runtime ? Number(demo.dataset.runtime) : 0);
      button.textContent = `Start (${(progress.max / 1e6).toFixed(progress.max < 1e7 ? 1 : 0)} MB)`;
    };
    labels.push(label);
    label();
    button.addEventListener("click", async () => {
      button.disabled = true;
      progress.hidden = false;
      said.textContent = "Loading the network …";
      try {
        const modules = ["models.js", `${demo.dataset.demo}.js`].map((name) => import(new URL(name, home)));
        const [{ load }, { start }] = await Promise.all(modules).catch(() => {
          throw new Error("The demo did not come: is the connection there?");
        });
        await load(demo.dataset.models.split(" "), (bytes) => (progress.value = bytes));
        runtime = false;
        labels.forEach((write) => write());
        const stage = document.createElement("div");
        stage.className = "igr-live-stage";
        const told = document.createElement("p");
        told.className = "igr-live-told";
        told.role = "alert";
        stage.append(told);
        await start(stage, new URL("samples/", home), (text) => (told.textContent = text));
        demo.querySelector("figure img").hidden = true;
        demo.prepend(stage);
        bar.remove();
        const first = stage.querySelector("input, button, select");
        first.focus({ preventScroll: true });
        for (const part of [demo, first]) part.scrollIntoView({ block: "nearest" });
        demo.dataset.state = "running";
      } catch (error) {
        said.textContent = `${error.message} Press Start again.`;
        button.disabled = false;
        progress.hidden = true;
      }
    });
    bar.append(button, progress, said);
  };

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".igr-live").forEach(offer));
})();
