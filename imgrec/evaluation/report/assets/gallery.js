// Images with their names: entries [name, confidence, place in thumbnails or -1].
function gallery(entries, thumbnails) {
  const list = element("ul", { class: "images" });
  for (const [name, confidence, place] of entries) {
    const image = place >= 0
      ? element("img", { src: thumbnails[place], alt: name })
      : element("div", { class: "none", role: "img", "aria-label": "no image" });
    list.append(element("li", {}, image, element("p", { class: "title" }, asPercent(confidence)), element("p", {}, name)));
  }
  sharpen(list);
  return list;
}

// An image of few pixels is shown as pixels, not as a blur.
function sharpen(list) {
  for (const image of list.querySelectorAll("img")) {
    const mark = () => image.classList.toggle("pixels", image.naturalWidth > 0 && image.naturalWidth <= 64);
    if (image.complete) mark();
    else image.addEventListener("load", mark, { once: true });
  }
}
