// Makes the results tables sortable: each heading becomes a button, numbers sort as numbers.
(() => {
  const value = (cell) => {
    const text = cell.textContent.trim();
    const number = parseFloat(text.replace(/,/g, ""));
    if (text === "–") return { empty: true };
    return Number.isNaN(number) ? { text } : { number, text };
  };
  const compare = (a, b) =>
    a.number !== undefined && b.number !== undefined
      ? a.number - b.number
      : (a.text ?? "").localeCompare(b.text ?? "");

  const sortBy = (table, column, down) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
    rows.sort(([a], [b]) => {
      if (a.empty || b.empty) return (a.empty ? 1 : 0) - (b.empty ? 1 : 0); // dashes stay last
      return down ? compare(b, a) : compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
  };

  const ready = () => {
    for (const table of document.querySelectorAll("table.igr-results")) {
      const heads = [...table.tHead.rows[0].cells];
      heads.forEach((head, column) => {
        const button = document.createElement("button");
        button.type = "button";
        button.title = "Sort by this column";
        button.append(...head.querySelector("p")?.childNodes ?? head.childNodes);
        head.replaceChildren(button);
        head.setAttribute("aria-sort", "none");
        button.addEventListener("click", () => {
          const down = head.getAttribute("aria-sort") === "ascending";
          heads.forEach((other) => other.setAttribute("aria-sort", "none"));
          head.setAttribute("aria-sort", down ? "descending" : "ascending");
          sortBy(table, column, down);
        });
      });
    }
  };
  document.addEventListener("DOMContentLoaded", ready);
})();

// Shows what a link to a term or a citation stands for, to mouse, finger and keyboard.
(() => {
  const note = document.createElement("div");
  note.className = "igr-note";
  note.id = "igr-note";
  note.role = "tooltip";
  note.hidden = true;
  const hide = () => (note.hidden = true);
  const show = ({ currentTarget: link }) => {
    note.textContent = link.dataset.note;
    note.hidden = false;
    const at = link.getBoundingClientRect();
    const room = document.documentElement.clientWidth - note.offsetWidth - 8;
    const below = at.bottom + note.offsetHeight + 8 < innerHeight;
    note.style.left = `${scrollX + Math.max(8, Math.min(at.left, room))}px`;
    note.style.top = `${scrollY + (below ? at.bottom + 4 : at.top - note.offsetHeight - 4)}px`;
  };
  const ready = () => {
    document.body.append(note);
    for (const link of document.querySelectorAll("article a.reference.internal[title]")) {
      link.dataset.note = link.title; // the title would open a second box
      link.removeAttribute("title");
      link.setAttribute("aria-describedby", note.id);
      for (const event of ["mouseenter", "focus"]) link.addEventListener(event, show);
      for (const event of ["mouseleave", "blur"]) link.addEventListener(event, hide);
    }
    document.addEventListener("keydown", ({ key }) => key === "Escape" && hide());
  };
  document.addEventListener("DOMContentLoaded", ready);
})();

// What scrolls sideways can be reached and scrolled with the keyboard. To measure all of a page at
// once would lay all of it out and freeze a telephone, so it is done bit by bit.
(() => {
  const regions = ".formula, span.math.wide, pre, .pst-scrollable-table-container, .igr-plot";
  const idle = window.requestIdleCallback ?? setTimeout; // Safari has no such callback
  const waiting = new Set();
  const measure = (deadline) => {
    for (const region of waiting) {
      waiting.delete(region);
      if (region.scrollWidth > region.clientWidth) region.tabIndex = 0;
      else region.removeAttribute("tabindex");
      if (!(deadline?.timeRemaining() > 0)) break;
    }
    if (waiting.size) idle(measure);
  };
  const look = (part) => {
    if (!waiting.size) idle(measure);
    part.querySelectorAll(regions).forEach((region) => waiting.add(region));
  };
  for (const event of ["load", "resize"]) window.addEventListener(event, () => look(document));
  document.addEventListener("toggle", ({ target }) => look(target), true); // had no width, folded
})();

// Paper is white and cannot be unfolded: while it prints, all is open and in the light theme.
(() => {
  const { dataset } = document.documentElement;
  let opened = [];
  let theme;
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => (details.open = true));
    theme = dataset.theme;
    dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    opened.forEach((details) => (details.open = false));
    dataset.theme = theme;
  });
})();

// Greek letters are indexed by their names, as formulas write them.
(() => {
  const names = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau upsilon phi chi psi omega".split(" ");
  const spelt = (text) => text.replace(/[α-ω]/g, (letter) => names[letter.codePointAt(0) - 945]);
  const query = new URLSearchParams(location.search);
  const asked = query.get("q") ?? "";
  if (location.pathname.endsWith("search.html") && spelt(asked.toLowerCase()) !== asked.toLowerCase()) {
    query.set("q", spelt(asked.toLowerCase()));
    location.search = query;
  }
})();

// What the search shows of a page are sentences: no code, no list of contents, formulas in words.
document.addEventListener("DOMContentLoaded", () => {
  if (typeof Search === "undefined") return;
  const { htmlToText } = Search;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(".highlight, #jb-print-docs-body").forEach((part) => part.remove());
    page.querySelectorAll(".math svg[aria-label]").forEach((svg) => svg.replaceWith(svg.ariaLabel));
    return htmlToText(page.documentElement.outerHTML, anchor);
  };
});
