// Pointing at a chart, or its arrow keys, tell the values there.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const GRID = 10000;
  const peek = document.createElement("div");
  peek.className = "peek";
  peek.setAttribute("role", "status");
  let shown = null;

  const percent = (text) => parseFloat(text);
  const number = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4)));

  // Every point of a chart's visible lines: its line, place in percent, and how it is told.
  const read = (plot) => {
    const [left, right, bottom, top] = plot.dataset.ends.split(" ").map(Number);
    const found = [];
    for (const line of plot.querySelectorAll(".line:not(.off, .aside)")) {
      if (!line.dataset.name) continue;
      if (plot.classList.contains("curve")) {
        const path = line.querySelector(".path").getAttribute("d").slice(1).split("L");
        for (const pair of path) {
          const [x, y] = pair.split(",").map((value) => (100 * value) / GRID);
          const log = plot.classList.contains("log");
          const value = log ? bottom * (top / bottom) ** (1 - y / 100) : bottom + (1 - y / 100) * (top - bottom);
          const text = plot.dataset.percent === "1" ? value.toFixed(1) : String(+value.toPrecision(3));
          found.push({ line, x, y, text, at: number(Math.round(left + (x / 100) * (right - left))) });
        }
      } else {
        const values = line.dataset.values.split("|");
        line.querySelectorAll("use").forEach((mark, i) => {
          found.push({ line, x: percent(mark.getAttribute("x")), y: percent(mark.getAttribute("y")), text: values[i] });
        });
      }
    }
    const at = (plot.dataset.at || "").split("|").map((pair) => pair.split("="));
    for (const point of found) {
      point.at ??= (at.find(([x]) => Math.abs(percent(x) - point.x) < 0.02) || ["", ""])[1];
    }
    return found;
  };

  const hide = () => {
    peek.remove();
    shown?.plot.querySelector(".cursor")?.remove();
    shown = null;
  };

  const tell = (plot, x, points) => {
    hide();
    shown = { plot, x };
    const area = plot.querySelector(".area");
    const rule = document.createElementNS(SVG, "line");
    for (const [key, value] of [["class", "cursor"], ["x1", `${x}%`], ["x2", `${x}%`], ["y1", "0"], ["y2", "100%"]]) {
      rule.setAttribute(key, value);
    }
    area.prepend(rule);
    const head = document.createElement("p");
    head.className = "at";
    head.textContent = `${plot.dataset.across}: ${points[0].at}`;
    peek.replaceChildren(head);
    for (const { line, text } of points.sort((a, b) => a.y - b.y)) {
      const row = document.createElement("p");
      const key = document.createElement("span");
      const tone = [...line.classList].find((name) => name.startsWith("tone-"));
      key.className = `key ${tone}`;
      const value = document.createElement("b");
      value.textContent = text;
      row.append(key, line.dataset.name, value);
      peek.append(row);
    }
    plot.append(peek);
    const outer = plot.getBoundingClientRect();
    const inner = area.getBoundingClientRect();
    const place = inner.left - outer.left + (x / 100) * inner.width;
    const wide = peek.offsetWidth;
    const side = place + 14 + wide <= outer.width ? place + 14 : place - 14 - wide;
    const most = document.documentElement.clientWidth - outer.left - wide - 4;
    peek.style.left = `${Math.max(4 - outer.left, Math.min(side, most))}px`;
    peek.style.top = "0px";
  };

  // The points of one place; of loose points the nearest alone.
  const near = (plot, x, y) => {
    const points = read(plot);
    if (!points.length) return hide();
    const loose = plot.classList.contains("scatter");
    const area = plot.querySelector(".area").getBoundingClientRect();
    const far = (point) => Math.hypot((point.x - x) * area.width, loose ? (point.y - y) * area.height : 0);
    const nearest = points.reduce((best, point) => (far(point) < far(best) ? point : best));
    if (loose) return tell(plot, nearest.x, [nearest]);
    const of = new Map();
    for (const point of points) {
      const off = Math.abs(point.x - nearest.x);
      const limit = plot.classList.contains("curve") ? 3 : 0.02;
      if (off <= limit && off < (of.get(point.line)?.off ?? Infinity)) of.set(point.line, { ...point, off });
    }
    tell(plot, nearest.x, [...of.values()]);
  };

  for (const plot of document.querySelectorAll(".plot")) {
    const point = (event) => {
      const area = plot.querySelector(".area").getBoundingClientRect();
      near(plot, (100 * (event.clientX - area.left)) / area.width, (100 * (event.clientY - area.top)) / area.height);
    };
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") return hide();
      if (!way) return;
      event.preventDefault();
      const points = read(plot);
      const places = [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
      const now = shown?.plot === plot ? places.indexOf(shown.x) : way > 0 ? -1 : places.length;
      const x = places[Math.max(0, Math.min(now + way, places.length - 1))];
      near(plot, x, points.find((one) => one.x === x)?.y ?? 0);
    });
  }
})();
