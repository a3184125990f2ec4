// All images of this session: the ones shown in full, and the earlier ones as thumbnails. In memory alone.
import { explain } from "/page/api.js";
import { countDown, requestPredictions } from "/page/requests.js";
import { makeCard, imageOf } from "/page/card.js";
import { byId, element, sayAloud, visible } from "/page/dom.js";
import { duration, sentenceFor, isTransient } from "/page/errors.js";
import { makePreview } from "/page/previews.js";
import { describe, guaranteeOf } from "/page/text.js";

const KEPT = 200; // the oldest go first: each holds its file
const HEAT_ATTEMPTS = 10;

let entries = []; // newest first
let shown = [];
let nextId = 1;
let onSignedOut = () => {};

export function startAlbum(signedOut) {
  onSignedOut = signedOut;
  byId("forget").addEventListener("click", () => {
    release(entries.filter((entry) => !shown.includes(entry)));
    entries = entries.filter((entry) => shown.includes(entry));
    drawHistory();
    byId("work-title").focus();
    sayAloud("Earlier images are forgotten.");
  });
}

/** Show files in full, and request their predictions. */
export async function add(files, model, { severalModels }) {
  shown = files.map((file) => ({ id: nextId++, file, name: file.name || "image", model, severalModels, state: "asking", preview: undefined }));
  entries = [...shown, ...entries];
  release(entries.splice(KEPT));
  drawAll();
  byId("predictions").scrollIntoView({ block: "nearest", behavior: "smooth" });
  for (const entry of shown) void preview(entry);
  await ask(shown);
}

/** Forget everything. */
export function clear() {
  release(entries);
  entries = [];
  shown = [];
  drawAll();
}

async function ask(asked) {
  await requestPredictions(asked, { changed: show, signedOut: onSignedOut });
  const spoken = asked.filter((entry) => entries.includes(entry)).slice(0, 5).map((entry) => `${visible(entry.name)}: ${spokenOf(entry)}`);
  if (asked.length > 5) spoken.push(`and ${asked.length - 5} more`);
  sayAloud(spoken.join(" "));
}

function show(entry) {
  redraw(entry);
  const isNewWait = entry.state === "waiting" && entry.seconds === entry.error.retryAfter;
  if (isNewWait) sayAloud(`${sentenceFor(entry.error)} Trying again in ${duration(entry.seconds)}.`);
}

async function preview(entry) {
  entry.preview = await makePreview(entry.file);
  if (entries.includes(entry)) redraw(entry);
  else release([entry]);
}

async function showHeat(entry) {
  if (entry.isExplaining) return;
  if (entry.heat) {
    showOrHide(entry, !entry.isHeatShown);
    return;
  }
  Object.assign(entry, { isExplaining: true, heatError: null });
  redraw(entry);
  sayAloud("Computing the saliency map.");
  try {
    entry.heat = await explained(entry);
    entry.isExplaining = false;
    showOrHide(entry, true);
  } catch (error) {
    Object.assign(entry, { isExplaining: false, heatError: error });
    redraw(entry);
    if (error.code === "unauthorized") onSignedOut(error);
  }
}

function showOrHide(entry, isShown) {
  entry.isHeatShown = isShown;
  redraw(entry);
  cardOf(entry)?.querySelector("figure:last-child").scrollIntoView({ block: "nearest" });
  sayAloud(isShown ? "The saliency map is shown." : "The saliency map is hidden.");
}

/** Return the saliency map; the server computes one at a time and says when to try again. */
async function explained(entry) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await explain(entry.file, entry.model.name);
    } catch (error) {
      if (!isTransient(error) || error.retryAfter === null || error.retryAfter > 60 || attempt === HEAT_ATTEMPTS) throw error;
      await countDown(error.retryAfter, () => {});
    }
  }
}

const actions = {
  explain: (entry) => void showHeat(entry),
  again: (entry) => {
    entry.state = "asking";
    redraw(entry);
    void ask([entry]);
  },
  toggleRest: (entry) => {
    entry.isWhole = !entry.isWhole;
    redraw(entry);
  },
};

function redraw(entry) {
  const old = cardOf(entry);
  if (old === null) {
    drawHistory();
    return;
  }
  const focused = old.contains(document.activeElement) ? document.activeElement.className || "h3" : null;
  const card = makeCard(entry, actions);
  old.replaceWith(card);
  if (focused !== null) (card.querySelector(`button.${focused}`) ?? card.querySelector("h3")).focus(); // redrawing must not lose it
}

function cardOf(entry) {
  return byId("cards").querySelector(`[data-entry="${entry.id}"]`);
}

function drawAll() {
  byId("predictions").hidden = shown.length === 0;
  byId("guarantee").textContent = shown.length === 0 ? "" : guaranteeOf(shown[0].model);
  byId("cards").replaceChildren(...shown.map((entry) => makeCard(entry, actions)));
  drawHistory();
}

function drawHistory() {
  const earlier = entries.filter((entry) => !shown.includes(entry));
  byId("history").hidden = earlier.length === 0;
  byId("thumbnails").replaceChildren(...earlier.map(thumbnail));
}

function thumbnail(entry) {
  const [what, how] = summary(entry);
  return element("li", {}, element("button", { type: "button", onclick: () => open(entry) },
    imageOf(entry, ""), element("span", { class: "what" }, what), element("span", { class: "how" }, how)));
}

function open(entry) {
  shown = [entry];
  drawAll();
  byId("cards").querySelector("h3").focus();
}

function summary(entry) {
  if (entry.state === "predicted") {
    const text = describe(entry.prediction, entry.model);
    return [text.headline, text.isRejected ? visible(entry.name) : text.confidence || visible(entry.name)];
  }
  return entry.state === "failed" ? ["No prediction", visible(entry.name)] : ["Classifying \u2026", visible(entry.name)];
}

function spokenOf(entry) {
  if (entry.state !== "predicted") return entry.error ? sentenceFor(entry.error) : "";
  const { headline, confidence, could } = describe(entry.prediction, entry.model);
  return [`${headline}.`, confidence, could].filter(Boolean).join(" ");
}

function release(gone) {
  for (const entry of gone) if (entry.preview) URL.revokeObjectURL(entry.preview);
}
