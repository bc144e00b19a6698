"use strict";
// Draws every chart of the page in the theme at hand. Colours in figures are "@name": a property of the style sheet.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const narrow = window.matchMedia("(max-width: 640px)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const config = { displayModeBar: false, responsive: true, showTips: false };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const resolved = (value) => {
    if (typeof value === "string") return /^@[\w-]+$/.test(value) ? colour(value.slice(1)) : value;
    if (Array.isArray(value)) return value.map(resolved);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, resolved(each)]));
  };

  // Few slow operations among thousands of fast ones show on a logarithmic scale alone.
  const onLogScale = (trace) => {
    const most = Math.max(...trace.z.map((row) => Math.max(...row)));
    const marks = [1, 10, 100, 1000, 10000, 100000].filter((mark) => mark < most / 2).concat(most);
    return {
      ...trace,
      customdata: trace.z,
      z: trace.z.map((row) => row.map((count) => (count > 0 ? Math.log10(count) : null))),
      zmin: 0,
      zmax: Math.max(1, Math.log10(most)),
      colorbar: { ...trace.colorbar, tickvals: marks.map(Math.log10), ticktext: marks.map(String) },
    };
  };

  const axis = (own) => ({
    gridcolor: colour("grid"),
    zeroline: false,
    linecolor: colour("rule"),
    tickcolor: colour("rule"),
    ticks: "outside",
    ticklen: 4,
    automargin: true,
    fixedrange: narrow.matches,
    ...own,
    title: { standoff: 8, font: { size: 12 }, ...own.title },
  });

  const themed = (figure) => {
    const { data, layout } = resolved(figure);
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
    return {
      data: data.map((trace) => (trace.meta?.scale === "log" ? onLogScale(trace) : trace)),
      layout: {
        autosize: true,
        hovermode: "x unified",
        dragmode: narrow.matches ? false : "zoom",
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif", size: 12, color: colour("text") },
        hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("rule"), font: { color: colour("text") } },
        legend: { orientation: "h", x: 0, y: -56 / (layout.height - 64), yanchor: "top", font: { size: 12 } },
        ...layout,
        annotations: layout.annotations?.filter(({ name }) => name === "narrow" || !narrow.matches),
        margin: { l: 8, r: 8, t: 12, b: 8, ...layout.margin },
        ...Object.fromEntries(axes.map((key) => [key, axis(layout[key])])),
      },
    };
  };

  const chosen = (name) => {
    const select = document.querySelector(`select[data-charts~="${name}"]`);
    return figures[name][select ? select.value : ""];
  };

  const draw = (name) => {
    const place = document.getElementById(name);
    const { data, layout } = themed(chosen(name));
    return Plotly.react(place, data, layout, config).then(() => place.setAttribute("data-drawn", String(data.length)));
  };

  const drawAll = () => Promise.all(Object.keys(figures).map(draw));

  for (const select of document.querySelectorAll("select[data-charts]")) {
    select.addEventListener("change", () => select.dataset.charts.split(" ").forEach(draw));
  }
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", () => {
    document.documentElement.classList.add("paper");
    drawAll();
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("paper");
    drawAll();
  });
  drawAll();
})();
