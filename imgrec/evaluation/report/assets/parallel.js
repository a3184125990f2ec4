// Parallel coordinates of a sweep: an axis for each override and metric, a line for each job.
charts.parallel = (holder, data) => {
  let chosen = data.best;
  const drawing = element("div", { class: "scroll" });
  const readout = element("p", { class: "readout", "aria-live": "polite" });
  holder.append(drawing, readout);
  const axes = data.axes.map((about) => makeAxis(about, data.jobs));

  function draw() {
    const gap = Math.max(104, Math.min(210, (holder.clientWidth - 90) / Math.max(1, axes.length - 1)));
    const width = Math.max(holder.clientWidth, 90 + gap * (axes.length - 1)), height = 330;
    const top = 46, bottom = height - 18, left = 45;
    const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Parallel coordinates of ${data.jobs.length} jobs`, style: { width: `${width}px` } });
    const rows = data.jobs.map((job, index) => {
      const points = axes.map((one, place) => [left + place * gap, one.at(job.values[place], bottom, top)]).filter(([, y]) => y !== null);
      const isChosen = index === chosen, stroke = index === data.best ? "var(--c2)" : "var(--c1)";
      const line = svgElement("polyline", { points: points.map((point) => point.join(",")).join(" "), fill: "none", stroke,
        "stroke-width": isChosen ? 3 : 1.5, opacity: isChosen ? 1 : 0.4, "stroke-linejoin": "round" });
      const wide = svgElement("polyline", { points: line.getAttribute("points"), fill: "none", stroke: "transparent", "stroke-width": 12, class: "job",
        onpointerenter: () => choose(index), onclick: () => choose(index) });
      return { line, wide, isChosen };
    });
    rows.sort((a, b) => a.isChosen - b.isChosen).forEach(({ line, wide }) => svg.append(line, wide));
    axes.forEach((one, place) => drawAxis(svg, one, left + place * gap, { top, bottom, isLast: place === axes.length - 1 }));
    drawing.replaceChildren(svg);
    const job = data.jobs[chosen];
    readout.textContent = job ? `job ${job.number}: ${data.axes.map((about, place) => `${about.name} ${text(job.values[place])}`).join(", ")}` : "";
  }

  function choose(index) {
    if (index !== chosen) { chosen = index; draw(); }
  }

  function drawAxis(svg, one, x, { top, bottom, isLast }) {
    svg.append(svgElement("line", { x1: x, x2: x, y1: top, y2: bottom, class: "axis" }),
      svgElement("text", { x, y: 16, "text-anchor": "middle", style: { "font-weight": "600" } }, shorten(one.name, 18)));
    const anchor = isLast ? "end" : "start", shift = isLast ? -7 : 7;
    for (const [value, name] of one.ticks) {
      svg.append(svgElement("text", { x: x + shift, y: one.at(value, bottom, top) + 4, "text-anchor": anchor, "paint-order": "stroke", stroke: "var(--page)", "stroke-width": 3 }, shorten(name, 16)));
    }
  }

  redrawn(holder, draw);
};

function text(value) {
  if (value === null) return "none";
  return typeof value === "number" ? String(Number(value.toPrecision(4))) : value;
}

function makeAxis(about, jobs) {
  const place = about.place;
  const values = jobs.map((job) => job.values[place]).filter((value) => value !== null);
  const isNumber = values.length > 0 && values.every((value) => typeof value === "number");
  if (!isNumber) {
    const names = [...new Set(values.map(String))];
    const at = (value, from, to) => (value === null ? null : from + ((names.indexOf(String(value)) + 0.5) / names.length) * (to - from));
    return { name: about.name, at, ticks: names.map((name) => [name, name]) };
  }
  const low = Math.min(...values), high = Math.max(...values);
  const isLog = !about.is_metric && low > 0 && high / low >= 30;
  const range = axis({ min: low, max: high, log: isLog }, [low, high]);
  const at = (value, from, to) => (value === null ? null : scaled(range, value, from, to));
  const isChoice = !about.is_metric && new Set(values).size <= 6;
  const between = isChoice ? [...new Set(values)] : range.ticks;
  const ticks = [low, high, ...between].reduce((kept, value) => {
    const isFree = kept.every((other) => Math.abs(at(value, 0, 1) - at(other, 0, 1)) > 0.06); // no overlapping labels
    return isFree ? [...kept, value] : kept;
  }, []);
  return { name: about.name, at, ticks: ticks.map((value) => [value, text(value)]) };
}
