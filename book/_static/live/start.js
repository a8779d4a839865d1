// Gives each demo of a page its start button. Nothing else is loaded before the button is pressed.
(() => {
  const home = new URL(".", document.currentScript.src);

  const obstacle = () => {
    if (location.protocol === "file:")
      return "This model runs inside the page only when a server sends the page: run “make serve” in a copy of the book.";
    if (typeof WebAssembly !== "object" || typeof Worker !== "function")
      return "This model needs WebAssembly, which this browser does not have or has turned off.";
    return "";
  };

  const offer = (demo) => {
    const bar = document.createElement("div");
    bar.className = "igr-live-bar";
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    said.textContent = obstacle();
    if (said.textContent) {
      bar.append(said);
      demo.append(bar);
      return;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Start (${Math.ceil(demo.dataset.bytes / 1e6)} MB, once)`;
    const progress = document.createElement("progress");
    progress.max = Number(demo.dataset.bytes);
    progress.hidden = true;
    progress.setAttribute("aria-label", "Loading");
    button.addEventListener("click", async () => {
      button.disabled = true;
      progress.hidden = false;
      said.textContent = "Loading the network …";
      try {
        const { load } = await import(new URL("models.js", home));
        const { start } = await import(new URL(`${demo.dataset.demo}.js`, home));
        await load(demo.dataset.models.split(" "), (bytes) => (progress.value = bytes));
        const stage = document.createElement("div");
        stage.className = "igr-live-stage";
        await start(stage, new URL("samples/", home));
        demo.querySelector("figure").hidden = true;
        bar.replaceWith(stage);
        stage.querySelector("input, button, select")?.focus({ preventScroll: true });
        demo.dataset.state = "running";
      } catch (error) {
        said.textContent = `${error.message} Try again.`;
        button.disabled = false;
        progress.hidden = true;
      }
    });
    bar.append(button, progress, said);
    demo.append(bar);
  };

  const ready = () => document.querySelectorAll(".igr-live").forEach(offer);
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
