// How images come in: dropped anywhere on the page, pasted, or chosen.
import { byId } from "/page/dom.js";

const MOST = 100; // at once; more is a task for `imgrec predict`

/** Call `take(files)` for whatever comes in while `isOpen()`. */
export function startIntake({ isOpen, take }) {
  const offer = (files) => {
    if (!isOpen() || files.length === 0) return;
    complain(files.length > MOST ? `Only the first ${MOST} of ${files.length} images were taken. For more there is the command imgrec predict.` : "");
    take(files.slice(0, MOST));
  };
  startChoosing(offer);
  startPasting(offer, isOpen);
  startDropping(offer, isOpen);
}

/** Say what is wrong with what came in; "" takes it back. */
export function complain(text) {
  byId("intake-error").textContent = text;
}

function startChoosing(offer) {
  const input = byId("files");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    offer(files);
  });
}

function startPasting(offer, isOpen) {
  document.addEventListener("paste", (event) => {
    if (!isOpen()) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length > 0) offer(files);
    else complain("There is no image in the clipboard.");
  });
}

function startDropping(offer, isOpen) {
  const zone = byId("drop");
  const mark = (isOver) => zone.classList.toggle("over", isOver && isOpen());
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // or the browser would open the file instead of this page
    mark(true);
  });
  document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) mark(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (!isOpen()) return;
    const files = filesOf(event.dataTransfer);
    if (files.length > 0) offer(files);
    else complain("There are no files in what was dropped. Save the image first; drop the images of a folder, not the folder.");
  });
}

function filesOf(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file" && !item.webkitGetAsEntry?.()?.isDirectory);
  return items.map((item) => item.getAsFile()).filter((file) => file !== null);
}
