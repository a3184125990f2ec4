// Threshold on the confidence: coverage and accuracy, exact at every step of the grid.
charts.selective = (holder, data) => {
  const { thresholds, names, support, counts } = data;
  const total = support.reduce((sum, number) => sum + number, 0);
  const at = (step) => { // images with at least this confidence
    let accepted = 0, correct = 0;
    const of = names.map(() => [0, 0]);
    for (const [index, place, number, numCorrect] of counts) {
      if (place < step) continue;
      accepted += number; correct += numCorrect;
      of[index][0] += number; of[index][1] += numCorrect;
    }
    return { accepted, correct, of };
  };
  const output = figures(["coverage", "accuracy of accepted", "accepted, incorrect", "rejected"]);
  const table = makeTable("Classes at the threshold", [["class", "text"], ["accepted", "number"], ["precision", "number"], ["recall", "number"]], names);
  const curve = element("div");
  const slide = slider("Threshold", thresholds, (step) => {
    const { accepted, correct, of } = at(step);
    output.set(`${asPercent(accepted / total)}`, accepted ? asPercent(correct / accepted, 2) : "undefined",
      asCount(accepted - correct), asCount(total - accepted));
    of.forEach(([number, numCorrect], index) => {
      put(table.rows[index][0], asCount(number), number);
      put(table.rows[index][1], number ? asPercent(numCorrect / number) : "undefined", number ? numCorrect / number : null);
      put(table.rows[index][2], support[index] ? asPercent(numCorrect / support[index]) : "undefined", support[index] ? numCorrect / support[index] : null);
    });
    mark(step);
  });
  holder.append(slide.label, output.list, curve, table.holder);
  const mark = drawCoverage(curve, thresholds.map((_, step) => at(step)), total);
  finish(table.holder, slide);
};

// Threshold on the probability of one class or label: operating point.
charts.operating = (holder, data) => {
  const { thresholds, names, support, num_samples: total } = data;
  const isOne = names.length === 1;
  let chosen = 0;
  const by = names.map(() => []);
  for (const [index, step, number, positive] of data.counts) by[index].push([step, number, positive]);
  const at = (index, step) => {
    let predicted = 0, truePositives = 0;
    for (const [place, number, positive] of by[index]) if (place >= step) { predicted += number; truePositives += positive; }
    const positives = support[index], negatives = total - positives, trueNegatives = negatives - (predicted - truePositives);
    const share = (part, whole) => (whole ? part / whole : NaN);
    return { predicted, sensitivity: share(truePositives, positives), specificity: share(trueNegatives, negatives),
      precision: share(truePositives, predicted), npv: share(trueNegatives, total - predicted) };
  };
  const titles = ["sensitivity (recall)", "specificity", "PPV (precision)", "NPV", "predicted positive"];
  const output = figures(titles);
  const slide = slider("Threshold", thresholds, update);
  function update(step) {
    const now = at(chosen, step);
    output.set(...[now.sensitivity, now.specificity, now.precision, now.npv].map((value) => asPercent(value)), asCount(now.predicted));
    table.update(step);
  }
  const table = operatingTable(names, at);
  if (isOne) holder.append(element("p", { class: "paragraph" }, `${names[0]} is predicted where its probability reaches the threshold.`));
  else {
    const { label } = dropdown("Label", names.map((name, index) => [index, name]), (value) => { chosen = Number(value); slide.fire(); });
    holder.append(element("div", { class: "controls" }, label));
  }
  holder.append(slide.label, output.list, isOne ? "" : table.holder);
  finish(isOne ? null : table.holder, slide, 0.5);
};

function operatingTable(names, at) {
  const table = makeTable("Labels at the threshold", [["label", "text"], ["predicted", "number"], ["precision", "number"], ["recall", "number"]], names);
  table.update = (step) => table.rows.forEach((cells, index) => {
    const now = at(index, step);
    put(cells[0], asCount(now.predicted), now.predicted);
    put(cells[1], asPercent(now.precision), Number.isNaN(now.precision) ? null : now.precision);
    put(cells[2], asPercent(now.sensitivity), Number.isNaN(now.sensitivity) ? null : now.sensitivity);
  });
  return table;
}

function finish(holder, slide, start = 0) {
  if (holder) { holder.dataset.shown = "12"; startTable(holder); }
  slide.set(start);
}

function put(cell, text, order) {
  cell.textContent = text;
  if (order === null) delete cell.dataset.order;
  else cell.dataset.order = order;
}

function figures(titles) {
  const values = titles.map(() => element("dd"));
  const list = element("dl", { class: "figures", "aria-live": "polite" },
    ...titles.map((title, index) => element("div", {}, element("dt", {}, title), values[index])));
  return { list, set: (...texts) => texts.forEach((text, index) => { values[index].textContent = text; }) };
}

function slider(title, thresholds, onchange) {
  const input = element("input", { type: "range", min: "0", max: String(thresholds.length - 1), step: "1", value: "0" });
  const output = element("output", {});
  const fire = () => {
    const value = thresholds[Number(input.value)];
    output.textContent = asPercent(value, value >= 0.99 ? 2 : 1);
    input.setAttribute("aria-valuetext", output.textContent);
    onchange(Number(input.value));
  };
  input.addEventListener("input", fire);
  const set = (value) => { input.value = String(thresholds.findIndex((one) => one >= value)); fire(); };
  return { label: element("div", { class: "slider" }, element("label", {}, title), input, output), fire, set, input };
}

// Accuracy of the accepted predictions over coverage, with a mark at the threshold.
function drawCoverage(holder, steps, total) {
  const points = steps.filter(({ accepted }) => accepted > 0);
  const x = axis({ min: 0, max: 1, percent: true }, []);
  const y = axis({ max: 1, percent: true }, points.map(({ accepted, correct }) => correct / accepted));
  let now = 0, mark = null, at = null;
  function draw() {
    const width = Math.max(240, Math.min(620, holder.clientWidth)), height = 220;
    const box = { left: 48, right: width - 8, top: 8, bottom: height - 40 };
    at = (px, py) => [scaled(x, px, box.left, box.right), scaled(y, py, box.bottom, box.top)];
    const svg = svgElement("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "accuracy of accepted predictions over coverage", style: { "max-width": "620px" } });
    drawAxes(svg, { x, y, box, width, height, data: { x: { label: "coverage" } } });
    const series = { x: points.map(({ accepted }) => accepted / total), y: points.map(({ accepted, correct }) => correct / accepted) };
    drawSeries(svg, series, 0, at);
    mark = svgElement("circle", { r: 5.5, fill: "var(--c2)", stroke: "var(--page)", "stroke-width": 2 });
    svg.append(mark);
    holder.replaceChildren(element("p", { class: "readout" }, "accuracy of accepted predictions"), svg);
    move(now);
  }
  function move(step) {
    now = step;
    const { accepted, correct } = steps[step];
    if (!accepted) { mark.setAttribute("visibility", "hidden"); return; }
    const [cx, cy] = at(accepted / total, correct / accepted);
    mark.setAttribute("cx", cx); mark.setAttribute("cy", cy); mark.setAttribute("visibility", "visible");
  }
  redrawn(holder, draw);
  return move;
}
