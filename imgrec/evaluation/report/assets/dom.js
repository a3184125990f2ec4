// Elements are made from text, never from HTML: a name from the data cannot become markup.
const charts = {}; // by kind: function (holder, data) that draws a chart

function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svgElement(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") Object.entries(value).forEach(([key, text]) => node.style.setProperty(key, text));
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function colour(index) {
  return `var(--c${(index % 7) + 1})`;
}

// The colour that a variable of the palette has in the current theme, for a canvas.
function themeColour(name) {
  const probe = element("i", { style: { color: `var(${name})` } });
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

function asPercent(value, digits = 1) {
  if (value === null || Number.isNaN(value)) return "undefined";
  const least = 10 ** -digits; // nothing below 1 is rounded to 100 %, nothing above 0 to 0 %
  if (value > 0 && 100 * value < least / 2) return `<\u00a0${least.toFixed(digits)}\u00a0%`;
  if (value < 1 && 100 * value >= 100 - least / 2) return `>\u00a0${(100 - least).toFixed(digits)}\u00a0%`;
  return `${(100 * value).toFixed(digits)}\u00a0%`;
}

function asCount(value) {
  return value.toLocaleString("en-US");
}

function dropdown(title, options, onchange) {
  const select = element("select", { onchange: () => onchange(select.value) });
  for (const [value, text] of options) select.append(element("option", { value }, text));
  return { label: element("label", {}, title, select), select };
}

function shorten(text, length) {
  if (text.length <= length) return text;
  return `${text.slice(0, Math.ceil(length / 2) - 1)}\u2026${text.slice(-Math.floor(length / 2))}`;
}
