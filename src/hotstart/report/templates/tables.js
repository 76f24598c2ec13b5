// Tables are sorted by a click on a column, files saved; what is folded on the screen is printed too.
(() => {
  for (const table of document.querySelectorAll("[data-sortable]")) {
    const bodies = [...table.tBodies].map((body) => ({ body, rows: [...body.rows] }));
    const tasks = bodies.filter(({ body }) => !body.classList.contains("controls"));
    const heads = [...table.querySelectorAll("[aria-sort]")];

    const restore = () => {
      bodies.forEach(({ body, rows }) => body.append(...rows));
      heads.forEach((head) => head.setAttribute("aria-sort", "none"));
      table.classList.remove("sorted");
    };
    const sort = (head, column) => {
      const way = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      restore();
      head.setAttribute("aria-sort", way);
      table.classList.add("sorted");
      const key = (row) => row.cells[column + 1]?.dataset.key;
      const ordered = (rows) =>
        rows.filter((row) => !row.classList.contains("part")).sort((a, b) => {
          const [one, other] = [key(a), key(b)];
          if (one === undefined || other === undefined) return (one === undefined) - (other === undefined);
          return way === "descending" ? other - one : one - other;
        });
      tasks[0]?.body.append(...ordered(tasks.flatMap(({ rows }) => rows)));
      for (const { body, rows } of bodies) {
        if (body.classList.contains("controls")) body.append(...ordered(rows));
      }
    };
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => sort(head, column)));
    table.querySelector("[data-order]").addEventListener("click", restore);
  }

  for (const button of document.querySelectorAll(".copy")) {
    const text = button.closest("div").querySelector("pre");
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text);
        button.textContent = "Selected: now press Ctrl+C";
      }
    });
  }

  // A packed file is unpacked on its way out; where the browser cannot, the packed one is saved.
  const bytes = (uri) => Uint8Array.from(atob(uri.slice(uri.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  for (const link of document.querySelectorAll("[data-unpacked]")) {
    if (!("DecompressionStream" in window)) continue;
    link.addEventListener("click", async (event) => {
      event.preventDefault();
      const packed = new Blob([bytes(link.href)]).stream();
      const whole = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).blob();
      const made = document.createElement("a");
      made.download = link.dataset.unpacked;
      made.href = URL.createObjectURL(whole);
      made.click();
      setTimeout(() => URL.revokeObjectURL(made.href), 10000);
    });
  }

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => folded.forEach((details) => { details.open = false; }));
})();
