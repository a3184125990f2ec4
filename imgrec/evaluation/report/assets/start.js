startTheme();
document.querySelectorAll("[data-table]").forEach(startTable);
document.querySelectorAll(".images:not(.wide)").forEach(sharpen);
for (const chart of document.querySelectorAll("[data-chart]")) {
  const data = JSON.parse(chart.querySelector('script[type="application/json"]').textContent);
  charts[chart.dataset.chart](chart.querySelector(".drawing"), data);
}
startContents();
