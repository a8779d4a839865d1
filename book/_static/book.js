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
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", ready);
  else ready();
})();
