// Tables sort by any column; long ones show their first rows and a button for the rest.
function startTable(holder) {
  const table = holder.querySelector("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const input = holder.querySelector("input[type=search]");
  let limit = Number(holder.dataset.shown) || Infinity;
  const more = element("button", { type: "button", class: "reveal", onclick: () => { limit = Infinity; show(); } });
  if (limit !== Infinity) holder.append(more);

  function key(row, column) {
    const cell = row.cells[column];
    const order = cell.dataset.order;
    if (order === undefined) return cell.matches(".number, .bar, .heat") ? null : cell.textContent.trim().toLowerCase() || null;
    return order !== "" && Number.isFinite(Number(order)) ? Number(order) : order;
  }

  function sort(column) {
    const head = heads[column];
    const isText = !head.matches(".number, .bar, .heat");
    const before = head.getAttribute("aria-sort");
    const isUp = before ? before === "descending" : isText;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // undefined values last in both directions
      const sign = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
      return isUp ? sign : -sign;
    });
    body.append(...rows.map(([, row]) => row));
    show();
  }

  function show() {
    const wanted = input ? input.value.trim().toLowerCase() : "";
    let found = 0;
    for (const row of body.rows) {
      const texts = [...row.cells].filter((cell) => cell.matches(".text")).map((cell) => cell.textContent.toLowerCase());
      const isFound = !wanted || texts.some((one) => one.includes(wanted));
      row.hidden = !isFound || (!wanted && found >= limit);
      if (isFound) found += 1;
    }
    more.hidden = Boolean(wanted) || limit >= body.rows.length;
    more.textContent = `Show all ${asCount(body.rows.length)}`;
  }

  heads.forEach((head, column) => {
    const text = head.textContent.trim();
    if (!text) return;
    head.replaceChildren(element("button", { type: "button", onclick: () => sort(column) }, text));
  });
  if (input) input.addEventListener("input", show);
  addEventListener("beforeprint", () => { for (const row of body.rows) row.hidden = false; });
  addEventListener("afterprint", show);
  show();
}

// A table with a row of empty number cells for each name. Titles: [[text, kind]]. Rows: arrays of cells.
function makeTable(name, titles, names) {
  const rows = names.map(() => titles.slice(1).map(([, kind]) => element("td", { class: kind })));
  const body = names.map((text, index) => element("tr", {}, element("th", { scope: "row" }, text), ...rows[index]));
  const head = element("tr", {}, ...titles.map(([text, kind]) => element("th", { scope: "col", class: kind }, text)));
  const holder = element("div", { class: "table" },
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
      element("table", {}, element("caption", { class: "aloud" }, name), element("thead", {}, head), element("tbody", {}, ...body))));
  return { holder, rows };
}
