// Draws the charts of use from the figures that the page carries; its table says the same without this script.

const METRICS = {
  cost: { stacked: true, words: (value) => `$${Number(value.toPrecision(6))}` },
  tokens: { stacked: true, words: (value) => value.toLocaleString("en") },
  requests: { stacked: true, words: (value) => value.toLocaleString("en") },
  latency: { stacked: false, words: (value) => (value < 1000 ? `${value} ms` : `${value / 1000} s`) },
};
const dark = matchMedia("(prefers-color-scheme: dark)");
let charts = [];

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function dataset(group, index, metric) {
  const color = token(`--series-${index + 1}`);
  return {
    label: group.name,
    data: group[metric],
    backgroundColor: color,
    borderColor: color,
    borderWidth: METRICS[metric].stacked ? 0 : 2,
    pointRadius: METRICS[metric].stacked ? 0 : 2,
    spanGaps: true,
    maxBarThickness: 36,
  };
}

function draw() {
  for (const chart of charts) chart.destroy();
  charts = [];
  const place = document.querySelector("[data-charts]");
  if (!place) return;
  place.hidden = false;
  document.querySelector("[data-without-script]").hidden = true;
  const { labels, groups } = JSON.parse(place.dataset.charts);
  Chart.defaults.color = token("--soft");
  Chart.defaults.borderColor = token("--line");
  Chart.defaults.font.family = token("--sans");
  for (const canvas of document.querySelectorAll("canvas[data-metric]")) {
    const metric = canvas.dataset.metric;
    const { stacked, words } = METRICS[metric];
    charts.push(new Chart(canvas, {
      type: stacked ? "bar" : "line",
      data: { labels, datasets: groups.map((group, index) => dataset(group, index, metric)) },
      options: {
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", intersect: false },
        plugins: {
          legend: { display: groups.length > 1, position: "bottom", labels: { boxWidth: 12 } },
          tooltip: { callbacks: { label: (item) => `${item.dataset.label}: ${item.raw === null ? "–" : words(item.raw)}` } },
        },
        scales: {
          x: { stacked, grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 12 } },
          y: { stacked, beginAtZero: true, ticks: { maxTicksLimit: 5, precision: metric === "cost" ? undefined : 0, callback: (value) => words(value) } },
        },
      },
    }));
  }
}

draw();
document.addEventListener("htmx:load", draw); // of what htmx put into the page, too
dark.addEventListener("change", draw);
