// Draws the charts of use, earnings and scores from the figures that the page carries; its tables say the same without it.

const METRICS = {
  cost: { stacked: true, words: (value) => `$${Number(value.toPrecision(6))}` },
  tokens: { stacked: true, words: (value) => value.toLocaleString("en") },
  earned: { stacked: true, words: (value) => `$${Number(value.toPrecision(6))}` },
  health: { stacked: false, max: 1, words: (value) => `${Math.round(value * 100)} %` },
  trust: { stacked: false, max: 1, words: (value) => value.toFixed(2) },
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
  Chart.defaults.color = token("--soft");
  Chart.defaults.borderColor = token("--line");
  Chart.defaults.font.family = token("--sans");
  for (const words of document.querySelectorAll("[data-without-script]")) words.hidden = true;
  for (const place of document.querySelectorAll("[data-charts]")) {
    place.hidden = false;
    const { labels, groups } = JSON.parse(place.dataset.charts);
    for (const canvas of place.querySelectorAll("canvas[data-metric]")) charts.push(chart(canvas, labels, groups));
  }
}

function chart(canvas, labels, groups) {
  const metric = canvas.dataset.metric;
  const { stacked, words, max } = METRICS[metric];
  return new Chart(canvas, {
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
        y: { stacked, max, beginAtZero: true, ticks: { maxTicksLimit: 5, precision: Number.isInteger(max) || metric === "cost" || metric === "earned" ? undefined : 0, callback: (value) => words(value) } },
      },
    },
  });
}

draw();
document.addEventListener("htmx:load", draw); // of what htmx put into the page, too
dark.addEventListener("change", draw);
