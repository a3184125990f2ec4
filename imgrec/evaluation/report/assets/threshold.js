// What a threshold does, from counts per step of a grid: exact at every step.
drawers.accept = (holder, data) => {
  const { thresholds, names, support, counts } = data;
  const total = support.reduce((sum, number) => sum + number, 0);
  const at = (step) => { // images of that confidence or more
    let accepted = 0, right = 0;
    const of = names.map(() => [0, 0]);
    for (const [index, place, number, good] of counts) {
      if (place < step) continue;
      accepted += number; right += good;
      of[index][0] += number; of[index][1] += good;
    }
    return { accepted, right, of };
  };
  const output = figures(["accepted", "right of these", "wrong of these", "left to a person"]);
  const table = makeTable("Classes at the threshold", [["class", "text"], ["accepted as it", "number"], ["precision", "number"], ["found of all", "number"]]);
  const rows = names.map((name) => {
    const cells = [0, 1, 2].map(() => element("td", { class: "number" }));
    table.body.append(element("tr", {}, element("th", { scope: "row" }, name), ...cells));
    return cells;
  });
  const curve = element("div");
  const slide = slider("Threshold", thresholds, (step) => {
    const { accepted, right, of } = at(step);
    output.set(`${asPercent(accepted / total)}`, accepted ? asPercent(right / accepted, 2) : "undefined",
      asCount(accepted - right), asCount(total - accepted));
    of.forEach(([number, good], index) => {
      put(rows[index][0], asCount(number), number);
      put(rows[index][1], number ? asPercent(good / number) : "undefined", number ? good / number : null);
      put(rows[index][2], support[index] ? asPercent(good / support[index]) : "undefined", support[index] ? good / support[index] : null);
    });
    mark(step);
  });
  holder.append(slide.label, output.list, curve, table.holder);
  const mark = drawRisk(curve, thresholds.map((_, step) => at(step)), total);
  finish(table.holder, slide);
};

drawers.operate = (holder, data) => {
  const { thresholds, names, support, num_samples: total } = data;
  const isOne = names.length === 1;
  let chosen = 0;
  const by = names.map(() => []);
  for (const [index, step, number, own] of data.counts) by[index].push([step, number, own]);
  const at = (index, step) => {
    let called = 0, found = 0;
    for (const [place, number, own] of by[index]) if (place >= step) { called += number; found += own; }
    const actual = support[index], others = total - actual;
    const share = (part, whole) => (whole ? part / whole : NaN);
    return { called, sensitivity: share(found, actual), specificity: share(others - (called - found), others),
      precision: share(found, called), npv: share(others - (called - found), total - called) };
  };
  const titles = ["found (sensitivity)", "left out (specificity)", "right when named (PPV)", "right when not (NPV)", "named"];
  const output = figures(titles);
  const slide = slider("Threshold", thresholds, update);
  function update(step) {
    const now = at(chosen, step);
    output.set(...[now.sensitivity, now.specificity, now.precision, now.npv].map((value) => asPercent(value)), asCount(now.called));
    table.update(step);
  }
  const table = operateTable(names, at);
  if (isOne) holder.append(element("p", { class: "words" }, `An answer counts as ${names[0]} when its probability reaches the threshold.`));
  else {
    const { label } = choice("Label", names.map((name, index) => [index, name]), (value) => { chosen = Number(value); slide.fire(); });
    holder.append(element("div", { class: "controls" }, label));
  }
  holder.append(slide.label, output.list, isOne ? "" : table.holder);
  finish(isOne ? null : table.holder, slide, 0.5);
};

function operateTable(names, at) {
  const table = makeTable("Labels at the threshold", [["label", "text"], ["named", "number"], ["precision", "number"], ["found", "number"]]);
  const rows = names.map((name) => {
    const cells = [0, 1, 2].map(() => element("td", { class: "number" }));
    table.body.append(element("tr", {}, element("th", { scope: "row" }, name), ...cells));
    return cells;
  });
  table.update = (step) => rows.forEach((cells, index) => {
    const now = at(index, step);
    put(cells[0], asCount(now.called), now.called);
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

// Share of right answers over the share of accepted ones, with a mark at the threshold.
function drawRisk(holder, steps, total) {
  const points = steps.filter(({ accepted }) => accepted > 0);
  const x = axis({ min: 0, max: 1, percent: true }, []);
  const y = axis({ max: 1, percent: true }, points.map(({ accepted, right }) => right / accepted));
  let now = 0, mark = null, at = null;
  function draw() {
    const width = Math.max(240, Math.min(620, holder.clientWidth)), height = 220;
    const box = { left: 48, right: width - 8, top: 8, bottom: height - 40 };
    at = (px, py) => [scaled(x, px, box.left, box.right), scaled(y, py, box.bottom, box.top)];
    const image = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "share of right answers over share of accepted answers", style: { "max-width": "620px" } });
    drawAxes(image, { x, y, box, width, height, data: { x: { label: "accepted" } } });
    const series = { x: points.map(({ accepted }) => accepted / total), y: points.map(({ accepted, right }) => right / accepted) };
    drawSeries(image, series, 0, at);
    mark = shape("circle", { r: 5.5, fill: "var(--c2)", stroke: "var(--page)", "stroke-width": 2 });
    image.append(mark);
    holder.replaceChildren(element("p", { class: "readout" }, "right answers, of those accepted"), image);
    move(now);
  }
  function move(step) {
    now = step;
    const { accepted, right } = steps[step];
    if (!accepted) { mark.setAttribute("visibility", "hidden"); return; }
    const [cx, cy] = at(accepted / total, right / accepted);
    mark.setAttribute("cx", cx); mark.setAttribute("cy", cy); mark.setAttribute("visibility", "visible");
  }
  redrawn(holder, draw);
  return move;
}
