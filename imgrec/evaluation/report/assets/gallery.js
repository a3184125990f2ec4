// Pictures with their names: entries [name, confidence, place in thumbnails or -1].
function gallery(entries, thumbnails) {
  const list = element("ul", { class: "pictures" });
  for (const [name, confidence, place] of entries) {
    const picture = place >= 0
      ? element("img", { src: thumbnails[place], alt: name })
      : element("div", { class: "none", role: "img", "aria-label": "no picture" });
    list.append(element("li", {}, picture, element("p", { class: "title" }, asPercent(confidence)), element("p", {}, name)));
  }
  sharpen(list);
  return list;
}

// A picture of few pixels is shown as pixels, not as a blur.
function sharpen(list) {
  for (const image of list.querySelectorAll("img")) {
    const mark = () => image.classList.toggle("pixels", image.naturalWidth > 0 && image.naturalWidth <= 64);
    if (image.complete) mark();
    else image.addEventListener("load", mark, { once: true });
  }
}
