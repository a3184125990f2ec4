// Images of a cell of the matrix. Entries: { path, confidence, thumbnail: index in thumbnails or -1 }.
function gallery(entries, thumbnails) {
  const list = element("ul", { class: "images" });
  for (const { path, confidence, thumbnail } of entries) {
    const image = thumbnail >= 0
      ? element("img", { src: thumbnails[thumbnail], alt: path })
      : element("div", { class: "none", role: "img", "aria-label": "no image" });
    list.append(element("li", {}, image, element("p", { class: "title" }, asPercent(confidence)), element("p", {}, path)));
  }
  sharpen(list);
  return list;
}

// A small image is enlarged without interpolation.
function sharpen(list) {
  for (const image of list.querySelectorAll("img")) {
    const mark = () => image.classList.toggle("pixels", image.naturalWidth > 0 && image.naturalWidth <= 64);
    if (image.complete) mark();
    else image.addEventListener("load", mark, { once: true });
  }
}
