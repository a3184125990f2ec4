// Small copies of images, made by the browser: upright as their EXIF says, transparency on white as the server sees it.

const SIDE_PX = 640;
let queue = Promise.resolve();

/** Return an object URL of a small copy, or null where the browser cannot read the file. One image at a time. */
export function makePreview(file) {
  const made = queue.then(() => draw(file)).catch(() => null);
  queue = made;
  return made;
}

async function draw(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, SIDE_PX / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
  return URL.createObjectURL(blob);
}
