// Line chart: series of x and y, with intervals where they are known.
charts.lines = (holder, data) => {
  const many = data.pick && data.series.length > 7;
  let chosen = many ? 0 : -1; // of many curves one is highlighted, the others are grey
  const drawing = element("div");
  const readout = element("p", { class: "readout", "aria-live": "off" });
  if (many) {
    const options = data.series.map((series, index) => [index, series.name]);
    const { label } = dropdown("Class", options, (value) => { chosen = Number(value); draw(); });
    holder.append(element("div", { class: "controls" }, label));
  }
  holder.append(drawing, readout);
  const values = (key) => data.series.flatMap((series) => series[key] || []).filter((value) => value !== null);
  const x = axis(data.x, values("x"));
  const y = axis(data.y, [...values("y"), ...values("low"), ...values("high")]);

  function draw() {
    const width = Math.max(240, holder.clientWidth);
    const height = Math.round(Math.min(320, Math.max(190, width * 0.62)));
    const box = { left: 48, right: width - 8, top: 8, bottom: height - 40 };
    const at = (px, py) => [scaled(x, px, box.left, box.right), scaled(y, py, box.bottom, box.top)];
    const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe(data) });
    drawAxes(svg, { x, y, box, width, height, data });
    if (data.diagonal) {
      const [x1, y1] = at(x.low, y.low), [x2, y2] = at(x.high, y.high);
      svg.append(svgElement("line", { x1, y1, x2, y2, class: "axis", "stroke-dasharray": "3 4" }));
    }
    data.series.forEach((series, index) => { if (index !== chosen) drawSeries(svg, series, many ? null : index, at); });
    if (many) drawSeries(svg, data.series[chosen], 0, at);
    listen(svg, { box, width, at });
    drawing.replaceChildren(svg, legend());
  }

  function legend() {
    const shown = many ? [[data.series[chosen], 0]] : data.series.map((series, index) => [series, index]);
    if (shown.length < 2 && !many) return "";
    const entries = shown.map(([series, index]) => element("li", { class: series.dash ? "dash" : "" },
      element("i", { style: { "--tone": colour(series.tone ?? index) } }), series.name));
    if (many) entries.push(element("li", {}, element("i", { style: { "--tone": "var(--rest)" } }), "other classes"));
    return element("ul", { class: "legend" }, ...entries);
  }

  function listen(svg, { box, width, at }) {
    const marker = svgElement("line", { y1: box.top, y2: box.bottom, class: "axis", visibility: "hidden" });
    svg.append(marker);
    svg.addEventListener("pointermove", (event) => {
      const bounds = svg.getBoundingClientRect();
      const px = ((event.clientX - bounds.left) / bounds.width) * width;
      const shown = many ? [data.series[chosen]] : data.series.slice(0, 7);
      const near = shown.map((series) => nearest(series, px, at)).filter(Boolean);
      if (!near.length) return;
      marker.setAttribute("x1", near[0].px); marker.setAttribute("x2", near[0].px);
      marker.setAttribute("visibility", "visible");
      readout.textContent = `${data.x.label} ${label(x, near[0].x)}: ` +
        near.map((one) => `${shown.length > 1 ? `${one.name} ` : ""}${label(y, one.y)}`).join(", ");
    });
    svg.addEventListener("pointerleave", () => { marker.setAttribute("visibility", "hidden"); readout.textContent = ""; });
  }

  redrawn(holder, draw);
};

function nearest(series, px, at) {
  let best = null;
  series.x.forEach((value, index) => {
    const distance = Math.abs(at(value, 0)[0] - px);
    if (series.y[index] !== null && (best === null || distance < best.distance)) {
      best = { distance, name: series.name, x: value, y: series.y[index], px: at(value, 0)[0] };
    }
  });
  return best;
}

// Draw now, and again when the width changes.
function redrawn(holder, draw) {
  let width = holder.clientWidth;
  draw();
  new ResizeObserver(() => {
    if (holder.clientWidth && holder.clientWidth !== width) { width = holder.clientWidth; draw(); }
  }).observe(holder);
}

function describe(data) {
  return `${data.y.label} over ${data.x.label}: ${data.series.slice(0, 7).map((series) => series.name).join(", ")}`;
}

function drawSeries(svg, series, index, at) {
  const stroke = index === null ? "var(--rest)" : colour(series.tone ?? index);
  const points = series.x.map((value, i) => (series.y[i] === null ? null : at(value, series.y[i]))).filter(Boolean);
  if (series.low) {
    series.x.forEach((value, i) => {
      if (series.low[i] === null || series.high[i] === null) return;
      const [x1, y1] = at(value, series.low[i]), [x2, y2] = at(value, series.high[i]);
      svg.append(svgElement("line", { x1, y1, x2, y2, stroke, "stroke-width": 1, opacity: 0.75 }));
    });
  }
  if (series.look !== "dots") {
    svg.append(svgElement("polyline", {
      points: points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" "), fill: "none", stroke,
      "stroke-width": index === null ? 1 : 2, "stroke-linejoin": "round", "stroke-dasharray": series.dash ? "5 4" : null,
    }));
  }
  if (series.look === "dots" || series.look === "marked") {
    for (const [cx, cy] of points) svg.append(svgElement("circle", { cx, cy, r: 3.2, fill: stroke }));
  }
}

function axis(about, values) {
  const isLog = about.log && values.every((value) => value > 0);
  let low = about.min ?? Math.min(...values, Infinity), high = about.max ?? Math.max(...values, -Infinity);
  if (!Number.isFinite(low) || !Number.isFinite(high)) [low, high] = [0, 1];
  if (low === high) [low, high] = about.whole ? [low - 1, high + 1] : [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1];
  const ticks = isLog ? logTicks(low, high) : niceTicks(low, high, about.whole);
  if (!isLog && about.min === undefined && !about.whole && ticks.length > 1 && low < ticks[0]) {
    ticks.unshift(Number((2 * ticks[0] - ticks[1]).toPrecision(12)));
    low = ticks[0];
  }
  return { low, high, ticks, isLog, isPercent: Boolean(about.percent), isWhole: Boolean(about.whole) };
}

function niceTicks(low, high, isWhole) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough * 0.999);
  if (isWhole) step = Math.max(1, Math.round(step));
  const ticks = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) ticks.push(Number(value.toPrecision(12)));
  return ticks.length ? ticks : [low, high];
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) ticks.push(10 ** power);
  return ticks.filter((value) => value >= low * 0.999 && value <= high * 1.001);
}

function scaled(about, value, from, to) {
  const of = about.isLog ? Math.log10 : (number) => number;
  return from + ((of(value) - of(about.low)) / (of(about.high) - of(about.low))) * (to - from);
}

function label(about, value) {
  if (about.isPercent) return `${Number((100 * value).toFixed(2))}\u00a0%`;
  if (about.isWhole) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

function drawAxes(svg, { x, y, box, width, height, data }) {
  for (const tick of y.ticks) {
    const at = scaled(y, tick, box.bottom, box.top);
    svg.append(svgElement("line", { x1: box.left, x2: box.right, y1: at, y2: at, class: "grid" }),
      svgElement("text", { x: box.left - 8, y: at + 4, "text-anchor": "end" }, label(y, tick)));
  }
  const step = Math.ceil(x.ticks.length / Math.max(2, Math.floor(width / 64)));
  x.ticks.filter((_, index) => index % step === 0).forEach((tick) => {
    const at = scaled(x, tick, box.left, box.right);
    const anchor = at > box.right - 12 ? "end" : "middle";
    svg.append(svgElement("text", { x: at, y: box.bottom + 18, "text-anchor": anchor }, label(x, tick)));
  });
  svg.append(svgElement("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }),
    svgElement("text", { x: (box.left + box.right) / 2, y: height - 4, "text-anchor": "middle" }, data.x.label));
}
