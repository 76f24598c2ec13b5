(() => {
  "use strict";
  const charts = JSON.parse(document.getElementById("chart-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");

  // The palette is style.css's; on paper, the page's own colours are not yet those of the print.
  const onPaper = {
    paper: "#ffffff", ink: "#000000", soft: "#444a52", rule: "#d3d7dc",
    c0: "#2460c8", c1: "#c9501c", c2: "#16805a", c3: "#8a43b8",
    c4: "#9a6a00", c5: "#0a7a8e", c6: "#c03074", c7: "#76573b",
    random: "#717880", scratch: "#717880", supervised: "#000000",
  };
  const onScreen = () => {
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue("--" + name).trim();
    return Object.fromEntries(Object.keys(onPaper).map((name) => [name, read(name)]));
  };

  // Mean over a window of a twenty-fifth of the points, narrower towards both ends.
  const runningMean = (values) => {
    const reach = Math.max(1, Math.round(values.length / 50));
    return values.map((_, i) => {
      const near = Math.min(reach, i, values.length - 1 - i);
      const window = values.slice(i - near, i + near + 1).filter((v) => v !== null);
      return window.length ? window.reduce((a, b) => a + b, 0) / window.length : null;
    });
  };

  const traces = (chart, colours) => chart.lines.flatMap((line) => {
    const unit = chart.percent ? 100 : 1;
    const scaled = (values) => values.map((v) => (v === null ? null : v * unit));
    const colour = colours[line.style.tone];
    const few = chart.x_kind !== "linear";
    const digits = chart.percent ? ".1f" : ".4~g";
    const base = {
      type: "scatter", name: line.name, x: line.x, y: scaled(line.y),
      mode: few ? "lines+markers" : "lines",
      line: { color: colour, width: few ? 2 : 1.75, dash: few ? line.style.dash : "solid" },
      marker: { color: colour, size: 7, symbol: line.style.marker },
      hovertemplate: `%{y:${digits}}<extra>%{fullData.name}</extra>`,
    };
    if (line.error) {
      const array = scaled(line.error).map((v) => v ?? 0);
      base.error_y = { type: "data", array, color: colour, thickness: 1.25, width: 3 };
    }
    if (!line.noisy) return [base];
    const faint = { ...base, opacity: 0.28, line: { ...base.line, width: 1 }, hoverinfo: "skip" };
    delete faint.hovertemplate;
    return [faint, { ...base, y: runningMean(base.y) }];
  });

  const layout = (chart, colours) => {
    const axis = {
      gridcolor: colours.rule, linecolor: colours.soft, zeroline: false, automargin: true,
      tickfont: { size: 11 }, ticks: "", fixedrange: true,
    };
    const xaxis = {
      ...axis, showgrid: false, showline: true, type: chart.x_kind,
      title: { text: chart.x_title, font: { size: 11 }, standoff: 6 }, nticks: 6,
    };
    if (chart.x_ticks.length) {
      xaxis.tickvals = chart.x_ticks.map(([value]) => value);
      xaxis.ticktext = chart.x_ticks.map(([, text]) => text);
      const logs = xaxis.tickvals.map(Math.log10);
      xaxis.range = [Math.min(...logs) - 0.12, Math.max(...logs) + 0.12];
    }
    const yaxis = { ...axis, nticks: 6, rangemode: chart.zero ? "tozero" : "normal" };
    const shown = {
      margin: { l: 8, r: 12, t: 12, b: 8 }, showlegend: false,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.soft },
      separators: ".\u202f", hovermode: "x unified",
      hoverlabel: { bgcolor: colours.paper, bordercolor: colours.rule, font: { color: colours.ink } },
      xaxis, yaxis, shapes: [], annotations: [],
    };
    if (chart.reference) {
      const [value, text] = chart.reference;
      const y = value * (chart.percent ? 100 : 1);
      const line = { color: colours.random, width: 1.25, dash: "dash" };
      shown.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, y0: y, y1: y, line });
      shown.annotations.push({
        xref: "paper", x: 1, y, text, showarrow: false, xanchor: "right", yanchor: "bottom",
        font: { size: 11, color: colours.random },
      });
    }
    return shown;
  };

  const places = [...document.querySelectorAll("[data-chart]")];
  const config = { displayModeBar: false, responsive: true };
  const draw = (place, colours) => {
    const chart = charts[Number(place.dataset.chart)];
    Plotly.react(place, traces(chart, colours), layout(chart, colours), config);
  };

  // One chart at a time, so that the page can be read and scrolled meanwhile.
  let next = 0;
  const step = () => {
    if (next < places.length) {
      draw(places[next++], onScreen());
      setTimeout(step);
    } else {
      document.documentElement.dataset.charts = "drawn";
    }
  };
  setTimeout(step);

  dark.addEventListener("change", () => {
    places.slice(0, next).forEach((place) => draw(place, onScreen()));
  });
  let opened = [];
  addEventListener("beforeprint", () => {
    places.forEach((place) => {
      draw(place, onPaper);
      Plotly.relayout(place, { width: 310, height: 200 });
    });
    next = places.length;
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => {
    opened.forEach((details) => { details.open = false; });
    places.forEach((place) => {
      draw(place, onScreen());
      Plotly.relayout(place, { autosize: true });
    });
  });
})();
