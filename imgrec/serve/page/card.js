// One image and its prediction: requested, predicted, or failed.
import { element, visible } from "/page/dom.js";
import { duration, sentenceFor, isTransient } from "/page/errors.js";
import { classesOf, describe, isRejectedBy, percent } from "/page/text.js";

const SHOWN = 5;

/** Return the list item of an entry. actions: {explain, again}, called with the entry. */
export function makeCard(entry, actions) {
  const text = { asking: asking, waiting: asking, failed: failed, predicted: predicted }[entry.state](entry, actions);
  const isRejected = entry.state === "predicted" && isRejectedBy(entry.model.reject_rule, entry.prediction);
  const kind = ["card", entry.state === "waiting" ? "asking" : entry.state, isRejected ? "rejected" : ""].join(" ").trim();
  const from = element("p", { class: "from" }, entry.severalModels ? `${visible(entry.name)} \u00b7 ${visible(entry.model.name)}` : visible(entry.name));
  return element("li", { class: kind, "data-entry": entry.id }, shots(entry), element("div", {}, from, ...text));
}

/** Return the image, or a place for it. */
export function imageOf(entry, alt) {
  if (entry.preview) return element("img", { class: "image", src: entry.preview, alt });
  return element("span", { class: "image none" }, entry.preview === null ? "no preview" : "");
}

function shots(entry) {
  if (entry.state === "failed" && !entry.preview) return element("div", { class: "shots", "aria-hidden": "true" }, element("span", { class: "image none" }, "!"));
  const figures = [element("figure", {}, imageOf(entry, visible(entry.name)))];
  if (entry.heat && entry.isHeatShown) {
    const label = visible(entry.heat.explained_class);
    const image = element("img", { class: "image", alt: `Saliency map for ${label}`, src: `data:image/png;base64,${entry.heat.saliency_map}` });
    const caption = `The image as the model receives it. The warmer a region, the more it raises the probability of ${label}.`;
    figures.push(element("figure", {}, image, element("figcaption", {}, caption)));
  }
  return element("div", { class: "shots" }, ...figures);
}

function asking(entry) {
  if (entry.state === "asking") return [heading("Classifying \u2026")];
  return [heading("Waiting"), element("p", { class: "trouble" }, `${sentenceFor(entry.error)} Trying again in ${duration(entry.seconds)}.`)];
}

function failed(entry, actions) {
  const again = isTransient(entry.error) ? doing(element("button", { type: "button", onclick: () => actions.again(entry) }, "Try again")) : null;
  return [heading("No prediction", "fault"), element("p", { class: "confidence" }, sentenceFor(entry.error)), again].filter(Boolean);
}

function predicted(entry, actions) {
  const text = describe(entry.prediction, entry.model);
  const parts = [heading(text.headline)];
  if (text.confidence) parts.push(element("p", { class: "confidence" }, text.confidence));
  if (text.could) parts.push(element("p", { class: "could" }, text.could));
  const bars = barsOf(entry);
  if (bars) parts.push(bars);
  const label = heatLabel(entry);
  parts.push(doing(
    element("button", { type: "button", class: "heat", "aria-pressed": String(Boolean(entry.isHeatShown)), "aria-disabled": entry.isExplaining ? "true" : null, onclick: () => actions.explain(entry) }, label),
    restButton(entry, actions)));
  if (entry.heatError) parts.push(element("p", { class: "trouble", role: "alert" }, heatTrouble(entry)));
  return parts;
}

function heatLabel(entry) {
  if (entry.isExplaining) return "Computing the saliency map \u2026";
  return "Saliency map";
}

function heatTrouble({ heatError }) {
  if (heatError.code === "forbidden") return "This key may not request saliency maps. It needs the scope explain.";
  return sentenceFor(heatError);
}

function heading(text, kind = null) {
  return element("h3", { tabindex: "-1", class: kind }, text);
}

function doing(...buttons) {
  return element("p", { class: "doing" }, ...buttons);
}

/** Return the bars; without probabilities, the names in order; null without names. */
function barsOf(entry) {
  const all = classesOf(entry.prediction);
  if (all.length === 0) return null;
  if (all[0].share === null) return element("ol", { class: "ranked", "aria-label": "Most probable first" }, ...all.map(({ name }) => element("li", {}, name)));
  const shown = entry.isWhole ? all : all.slice(0, SHOWN);
  const chosen = [entry.prediction.prediction].flat();
  return element("ol", { class: "bars", "aria-label": "Probabilities" }, ...shown.map((one) => barOf(one, chosen.includes(one.id), entry)));
}

function barOf({ name, share }, isChosen, entry) {
  const isPresent = isChosen && entry.model.task === "multilabel";
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.setProperty("--part", share);
  const text = isPresent ? `${percent(share)}, present` : percent(share);
  return element("li", { class: isChosen ? "chosen" : null }, element("span", { class: "name" }, name), element("span", { class: "share" }, text), bar);
}

function restButton(entry, actions) {
  const rest = classesOf(entry.prediction).length - SHOWN;
  if (rest <= 0 || classesOf(entry.prediction)[0].share === null) return null;
  return element("button", { type: "button", class: "rest", "aria-expanded": String(Boolean(entry.isWhole)), onclick: () => actions.toggleRest(entry) }, entry.isWhole ? "Fewer classes" : `${rest} more classes`);
}
