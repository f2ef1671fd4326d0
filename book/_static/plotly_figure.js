// Draws each plotly figure when it comes near the window, and recolours it when the theme changes.
const GRID = "rgba(128, 128, 128, 0.25)";
const COLOURS = ["#1f83c4", "#d55e00", "#009e73", "#c86ba0", "#b58900", "#56a8dc"]; // book.mplstyle's

const axis = () => ({ gridcolor: GRID, zerolinecolor: GRID, linecolor: "#7a7d82", automargin: true });
const sceneAxis = () => ({ gridcolor: GRID, zerolinecolor: GRID, showbackground: false });
const template = {
  layout: {
    colorway: COLOURS,
    font: { size: 13 },
    hoverlabel: { align: "left" },
    margin: { l: 10, r: 10, t: 30, b: 10 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#7a7d82", activecolor: "#1f83c4" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    scene: { xaxis: sceneAxis(), yaxis: sceneAxis(), zaxis: sceneAxis() },
    xaxis: axis(),
    yaxis: axis(),
  },
};

// Menus and sliders have white boxes of their own, which do not inherit.
function themed() {
  const style = getComputedStyle(document.body);
  return { ink: style.color, paper: style.backgroundColor };
}

function recolour(layout) {
  const { ink, paper } = themed();
  layout.font = { ...layout.font, color: ink, family: getComputedStyle(document.body).fontFamily };
  for (const box of [...(layout.updatemenus ?? []), ...(layout.sliders ?? [])]) {
    Object.assign(box, { bgcolor: paper, bordercolor: "#7a7d82", font: { ...box.font, color: ink } });
  }
  return layout;
}

function draw(holder) {
  const { data, layout } = JSON.parse(holder.querySelector("script").textContent);
  const plot = document.createElement("div");
  plot.style.height = "100%";
  holder.append(plot);
  Plotly.newPlot(plot, data, { ...recolour(layout), template, autosize: true }, {
    displaylogo: false,
    responsive: true,
  }).then(() => {
    holder.classList.add("drawn");
    showPictures(plot);
  });
}

// A dot whose customdata is a picture shows it beside the pointer, while it is there.
function showPictures(plot) {
  const picture = document.createElement("img");
  picture.className = "plotly-picture";
  plot.on("plotly_hover", ({ points, event }) => {
    const { customdata, data, pointNumber } = points[0];
    if (typeof customdata !== "string" || !customdata.startsWith("data:image/")) return;
    picture.src = customdata;
    picture.alt = `${data.name} ${pointNumber}`;
    picture.style.left = `${event.pageX + 16}px`;
    picture.style.top = `${event.pageY + 16}px`;
    document.body.append(picture);
  });
  plot.on("plotly_unhover", () => picture.remove());
}

drawLate(".plotly-figure", draw);

new MutationObserver(() => {
  for (const plot of document.querySelectorAll(".plotly-figure .js-plotly-plot")) {
    const { font, updatemenus, sliders } = recolour(plot.layout);
    Plotly.relayout(plot, { font, ...(updatemenus && { updatemenus }), ...(sliders && { sliders }) });
  }
}).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
