// Confusion matrix on a canvas: 100 classes are 10,000 cells. Arrow keys move, Enter shows the images of a cell.
charts.matrix = (holder, data) => {
  const size = data.names.length;
  const counts = data.names.map(() => new Array(size).fill(0));
  for (const [row, column, number] of data.cells) counts[row][column] = number;
  const support = counts.map((row) => row.reduce((sum, number) => sum + number, 0));
  const errorRates = counts.map((row, index) => (support[index] ? 1 - row[index] / support[index] : -1));
  const orders = {
    data: () => 0,
    name: (a, b) => data.names[a].localeCompare(data.names[b], undefined, { numeric: true }),
    support: (a, b) => support[b] - support[a],
    error: (a, b) => errorRates[b] - errorRates[a],
  };
  let order = data.names.map((_, index) => index);
  let at = { row: 0, column: 0 };
  let isFocused = false;

  const canvas = element("canvas", { tabindex: "0", role: "application", "aria-roledescription": "confusion matrix" });
  const scroll = element("div", { class: "scroll" }, canvas);
  const readout = element("p", { class: "readout", "aria-live": "polite" });
  const cell = element("div", { class: "cell", hidden: true, tabindex: "-1" });
  const sorting = dropdown("Order of classes", [["data", "as in the data"], ["name", "name"], ["support", "number of images"], ["error", "error rate"]], (value) => {
    order = data.names.map((_, index) => index).sort(orders[value]);
    draw();
  });
  holder.classList.add("matrix");
  holder.append(element("div", { class: "controls" }, sorting.label), scroll, readout, pairs(), cell);

  let side = 0, margin = 0;

  function draw() {
    const room = Math.min(holder.clientWidth - 6, 760);
    const isNamed = size <= 40;
    margin = 18 + (isNamed ? Math.min(112, room * 0.3, 16 + 7 * Math.max(...data.names.map((name) => name.length))) : 0);
    side = Math.max(size > 40 ? 6 : 14, Math.min(46, Math.floor((room - margin) / size)));
    const width = margin + side * size + 1, ratio = devicePixelRatio || 1;
    canvas.width = width * ratio; canvas.height = width * ratio;
    canvas.style.width = canvas.style.height = `${width}px`;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, width);
    paintNames(pen, isNamed);
    order.forEach((row, y) => order.forEach((column, x) => paintCell(pen, row, column, margin + x * side, margin + y * side)));
    if (isFocused) {
      pen.strokeStyle = themeColour("--ink"); pen.lineWidth = 2;
      pen.strokeRect(margin + at.column * side, margin + at.row * side, side, side);
    }
    canvas.setAttribute("aria-label", `Confusion matrix, ${size} classes. ${describeCell(at)}`);
  }

  function paintCell(pen, row, column, x, y) {
    const number = counts[row][column];
    const share = support[row] ? number / support[row] : 0;
    pen.fillStyle = themeColours.wash;
    pen.fillRect(x, y, side - 1, side - 1);
    if (!number) return;
    pen.globalAlpha = Math.min(1, 0.12 + 0.88 * Math.sqrt(share)); // square root: a confusion of 1 % stays visible
    pen.fillStyle = row === column ? themeColours.correct : themeColours.incorrect;
    pen.fillRect(x, y, side - 1, side - 1);
    pen.globalAlpha = 1;
    if (side < 22) return;
    pen.fillStyle = share > 0.3 ? themeColours.page : themeColours.ink;
    pen.font = `${Math.min(13, side / (String(number).length * 0.62 + 0.9))}px system-ui, sans-serif`;
    pen.textAlign = "center"; pen.textBaseline = "middle";
    pen.fillText(String(number), x + side / 2 - 0.5, y + side / 2 + 0.5);
  }

  function paintNames(pen, isNamed) {
    pen.fillStyle = themeColour("--soft");
    pen.font = "12px system-ui, sans-serif"; pen.textBaseline = "middle";
    pen.textAlign = "center";
    pen.fillText("prediction \u2192", margin + (side * size) / 2, 8);
    pen.save(); pen.translate(8, margin + (side * size) / 2); pen.rotate(-Math.PI / 2);
    pen.fillText("\u2190 label", 0, 0);
    pen.restore();
    if (!isNamed) return;
    const length = Math.floor((margin - 18) / 6.8);
    order.forEach((index, place) => {
      const middle = margin + place * side + side / 2, name = shorten(data.names[index], length);
      pen.textAlign = "right";
      pen.fillText(name, margin - 7, middle);
      pen.save(); pen.translate(middle, margin - 7); pen.rotate(-Math.PI / 2); pen.textAlign = "left";
      pen.fillText(name, 0, 0);
      pen.restore();
    });
  }

  let themeColours = {};
  function readTheme() {
    themeColours = { wash: themeColour("--wash"), correct: themeColour("--c1"), incorrect: themeColour("--c2"), page: themeColour("--page"), ink: themeColour("--ink") };
  }

  function describeCell({ row, column }) {
    const label = order[row], prediction = order[column], number = counts[label][prediction];
    const share = support[label] ? `, ${asPercent(number / support[label])} of the class` : "";
    return `${cellTitle(label, prediction)}: ${asCount(number)}${share}`;
  }

  function place(event) {
    const bounds = canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - bounds.left - margin) / side);
    const row = Math.floor((event.clientY - bounds.top - margin) / side);
    return row >= 0 && column >= 0 && row < size && column < size ? { row, column } : null;
  }

  function cellTitle(label, prediction) {
    return label === prediction ? `${data.names[label]}, correct` : `${data.names[label]} predicted as ${data.names[prediction]}`;
  }

  function open(label, prediction) {
    const entries = data.images[`${label},${prediction}`] || [];
    const number = counts[label][prediction];
    const rest = number > entries.length ? `, ${entries.length} shown` : "";
    cell.replaceChildren(element("h3", {}, `${cellTitle(label, prediction)}: ${asCount(number)} ${number === 1 ? "image" : "images"}${rest}`),
      gallery(entries, data.thumbnails));
    cell.hidden = false;
    cell.scrollIntoView({ block: "nearest" });
  }

  function pairs() {
    const found = data.cells.filter(([row, column]) => row !== column).sort((a, b) => b[2] - a[2]).slice(0, 12);
    if (!found.length) return element("p", { class: "readout" }, "No incorrect predictions.");
    const list = element("ol", { class: "pairs" });
    for (const [row, column, number] of found) {
      list.append(element("li", {}, element("button", { type: "button", onclick: () => open(row, column) },
        element("span", {}, cellTitle(row, column)),
        element("b", {}, `${asCount(number)} of ${asCount(support[row])}`))));
    }
    return element("div", {}, element("p", { class: "sub" }, "Most frequent confusions"), list);
  }

  canvas.addEventListener("pointermove", (event) => { const here = place(event); if (here) readout.textContent = describeCell(here); });
  canvas.addEventListener("click", (event) => {
    const here = place(event);
    if (here) { at = here; open(order[here.row], order[here.column]); draw(); }
  });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === "Enter" || event.key === " ") open(order[at.row], order[at.column]);
    else if (moves[event.key]) {
      const clamp = (value) => Math.max(0, Math.min(size - 1, value));
      at = { row: clamp(at.row + moves[event.key][0]), column: clamp(at.column + moves[event.key][1]) };
      draw();
      readout.textContent = describeCell(at);
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("focus", () => { isFocused = canvas.matches(":focus-visible"); draw(); });
  canvas.addEventListener("blur", () => { isFocused = false; draw(); });
  document.addEventListener("theme", () => { readTheme(); draw(); });
  readTheme();
  redrawn(holder, draw);
};
