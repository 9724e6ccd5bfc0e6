// Draws the dashboard's charts with Chart.js (unfold's). Without this script the table beside them says the same.
addEventListener("load", () => {
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const charts = [];

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function options(precision) {
    const grid = { color: color("--chart-grid") };
    const ticks = { color: color("--chart-text") };
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      plugins: { legend: { labels: { color: ticks.color, boxWidth: 12 } } },
      scales: {
        x: { grid: { display: false }, ticks: { ...ticks, maxRotation: 0, autoSkipPadding: 12 } },
        y: { beginAtZero: true, grid, ticks: { ...ticks, precision } },
      },
    };
  }

  function draw() {
    charts.splice(0).forEach((chart) => chart.destroy());
    const bars = (label, values, name) => ({ label, data: values, backgroundColor: color(name) });
    const one = (id, datasets, precision) => charts.push(new Chart(document.getElementById(id), {
      type: "bar", data: { labels: data.days, datasets }, options: options(precision),
    }));
    one("requests-chart", [bars("Requests", data.requests, "--chart-1")], 0);
    one("money-chart", [bars("Spend, USD", data.spend, "--chart-1"), bars("Platform’s income, USD", data.income, "--chart-2")]);
  }

  draw();
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["class"] }); // dark, light
});
