// The curves of training: single values, running mean or smoother; on a linear or logarithmic scale.
(() => {
  const GRID = 10000;
  const SMOOTHER = 8; // points of the running mean on either side, of about 120
  const bar = document.querySelector(".smoothing");
  if (!bar) return;
  const plots = [...document.querySelectorAll("#training .plot.curve")].map((plot) => {
    const area = plot.querySelector(".area");
    return { plot, area, first: area.innerHTML, ends: plot.dataset.ends, left: plot.style.getPropertyValue("--left") };
  });

  const points = (d) => d.slice(1).replace("Z", "").split("L").map((pair) => pair.split(",").map(Number));
  const path = (pairs) => "M" + pairs.map(([x, y]) => `${x},${Math.round(y)}`).join("L");
  const mean = (values, i) => {
    const reach = Math.min(SMOOTHER, i, values.length - 1 - i);
    const near = values.slice(i - reach, i + reach + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  };

  // Heights on the grid become other heights on the grid.
  const redraw = (area, change) => {
    for (const it of area.querySelectorAll(".path, .band")) {
      const closed = it.classList.contains("band") ? "Z" : "";
      it.setAttribute("d", path(points(it.getAttribute("d")).map(([x, y]) => [x, change(y)])) + closed);
    }
  };
  const smooth = (area, how) => {
    for (const line of area.querySelectorAll(".line[data-single]")) {
      const curve = line.querySelector(".path");
      const pairs = points(curve.getAttribute("d"));
      const told = how === "single" ? line.dataset.single.split(" ").map(Number) : pairs.map(([, y]) => y);
      const shown = how === "single" ? told : told.map((_, i) => mean(told, i));
      curve.setAttribute("d", path(pairs.map(([x], i) => [x, shown[i]])));
    }
  };

  // Round ones among the powers of ten; where the ends are near each other, evenly far apart.
  const ticks = (low, high) => {
    for (const steps of [[1, 2, 5], [1, 3], [1]]) {
      const found = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1) {
        found.push(...steps.map((step) => Number(`${step}e${e}`)).filter((tick) => tick >= low && tick <= high));
      }
      if (found.length > 2 && found.length <= 7) return found;
    }
    const power = 10 ** Math.floor(Math.log10((high - low) / 3));
    const step = power * ([5, 2].find((one) => one * power <= (high - low) / 3) ?? 1);
    const first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(12));
  };
  const told = (tick) => {
    if (tick >= 1000) return Math.round(tick).toLocaleString("en");
    return tick < 0.001 ? tick.toExponential() : String(+tick.toPrecision(4));
  };
  const write = (it, values) => Object.entries(values).forEach(([key, value]) => it.setAttribute(key, value));

  // False where a curve is zero or less somewhere, and so has no logarithm.
  const logarithmic = ({ plot, area, ends }) => {
    const [left, right, bottom, top] = ends.split(" ").map(Number);
    const value = (y) => bottom + (1 - y / GRID) * (top - bottom);
    const shown = [...area.querySelectorAll(".path")].flatMap((it) => points(it.getAttribute("d")).map(([, y]) => value(y)));
    const bands = [...area.querySelectorAll(".band")].flatMap((it) => points(it.getAttribute("d")).map(([, y]) => value(y)));
    const least = Math.min(...shown);
    if (!(least > 0)) return false;
    const rule = area.querySelector(".reference");
    const reference = rule ? value((GRID * parseFloat(rule.getAttribute("y1"))) / 100) : least;
    const lowest = Math.min(least, ...bands.filter((one) => one > least / 10), reference > 0 ? reference : least);
    const highest = Math.max(...shown, ...bands, reference);
    const space = (highest / lowest) ** 0.05;
    const [low, high] = [lowest / space, highest * space];
    const place = (one) => (GRID * Math.log(high / Math.max(one, low))) / Math.log(high / low);
    redraw(area, (y) => place(value(y)));
    const [line, text] = [area.querySelector(".grid"), area.querySelector(".tick")].map((it) => it.cloneNode(true));
    area.querySelectorAll(".grid, .tick[text-anchor=end]").forEach((it) => {
      if (it.previousElementSibling !== rule || !rule) it.remove();
    });
    const names = ticks(low, high).map((tick) => {
      const y = `${place(tick) / 100}%`;
      const [rowLine, rowText] = [line.cloneNode(true), text.cloneNode(true)];
      write(rowLine, { y1: y, y2: y });
      write(rowText, { y });
      rowText.textContent = told(tick);
      area.prepend(rowLine, rowText);
      return rowText.textContent.length;
    });
    if (rule) {
      const y = `${place(reference) / 100}%`;
      write(rule, { y1: y, y2: y });
      write(rule.nextElementSibling, { y });
    }
    plot.dataset.ends = [left, right, low, high].join(" ");
    plot.style.setProperty("--left", Math.max(...names) + 1);
    return true;
  };

  const draw = () => {
    const how = bar.querySelector("[name=curve]:checked").value;
    const log = bar.querySelector("[name=log]").checked;
    let linear = 0;
    for (const one of plots) {
      one.area.innerHTML = one.first;
      one.plot.dataset.ends = one.ends;
      one.plot.style.setProperty("--left", one.left);
      if (how !== "mean") smooth(one.area, how);
      one.plot.classList.toggle("log", log && logarithmic(one));
      linear += log && !one.plot.classList.contains("log");
    }
    bar.querySelector("output").textContent = linear ? "Curves that touch zero stay linear." : "";
  };
  bar.hidden = !plots.length;
  bar.addEventListener("change", draw);
  // A page that is loaded again may keep what was chosen.
  if (bar.querySelector("[name=log]").checked || !bar.querySelector("[value=mean]").checked) draw();
})();
