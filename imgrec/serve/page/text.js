// The text that describes a prediction. Control characters in class names are made visible here, in one place.
import { visible } from "/page/dom.js";

const MOST_NAMES = 8;
const CLOSE = 0.5; // a class at least half as probable as the first is a close second
const UNDECIDED = [0.35, 0.65]; // probability of a label, with several labels per image

/** Return {headline, confidence, could, isRejected} for a prediction; confidence and could may be "". */
export function describe(prediction, model) {
  const isRejected = isRejectedBy(model.reject_rule, prediction);
  const could = couldBe(prediction, model, isRejected);
  if (model.task === "multilabel") return { ...describeLabels(prediction), could, isRejected };
  const name = visible(prediction.prediction);
  if (!isRejected) return { headline: name, confidence: confidenceOf(prediction), could, isRejected };
  return { headline: "Rejected", confidence: `Confidence is too low for the rule ${visible(model.reject_rule)}. The most probable class is ${name}.`, could, isRejected };
}

/** Return whether the reject rule of a model declines to classify the image. */
export function isRejectedBy(rule, prediction) {
  return prediction.rejected?.[rule] === true;
}

/** Return how a probability is written: never as certain, never as impossible. */
export function percent(share) {
  if (share > 0.99) return "> 99\u00a0%";
  if (share < 0.01) return "< 1\u00a0%";
  return `${Math.round(100 * share)}\u00a0%`;
}

/** Return classes as [{id, name, share}], most probable first; share null where the server does not return it. */
export function classesOf(prediction) {
  return (prediction.top_classes ?? []).map((id) => ({ id, name: visible(id), share: prediction.probabilities?.[id] ?? null }));
}

/** Return "a, b and c". */
export function listed(names, last = "and") {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`;
}

function confidenceOf(prediction) {
  const classes = classesOf(prediction);
  if (classes.length === 0 || classes[0].share === null) return "";
  const first = classes[0].share;
  const confidence = `Confidence ${percent(first)}.`;
  const close = classes.filter((one) => one.share >= CLOSE * first);
  if (close.length > 3) return `${confidence} ${close.length === classes.length ? "Many" : close.length} classes are about as probable.`;
  return close.length > 1 ? `${confidence} Undecided between ${listed(close.map((one) => one.name))}.` : confidence;
}

function describeLabels(prediction) {
  const names = prediction.prediction.map(visible);
  const unsure = classesOf(prediction).filter((one) => one.share !== null && one.share >= UNDECIDED[0] && one.share <= UNDECIDED[1]);
  const confidence = unsure.length > 0 ? `Undecided about ${listed(unsure.map((one) => one.name))}.` : "";
  return { headline: names.length > 0 ? listed(names) : "None of the labels", confidence };
}

/** Return the guarantee of the prediction sets, "" where a model has none. */
export function guaranteeOf(model) {
  const rule = strictestSet(model);
  if (rule === null) return "";
  const share = `${Number((100 * rule.coverage).toPrecision(4))}\u00a0%`;
  return `The prediction set after \u201ccould be\u201d contains the true class for ${share} of images like those that it was fitted on.`;
}

function strictestSet(model) {
  const rules = Object.entries(model.prediction_sets).map(([name, coverage]) => ({ name, coverage }));
  return rules.length === 0 ? null : rules.reduce((best, rule) => (rule.coverage > best.coverage ? rule : best));
}

function couldBe(prediction, model, isRejected) {
  const names = prediction.prediction_sets?.[strictestSet(model)?.name]?.map(visible);
  if (names === undefined) return "";
  if (names.length === 0) return "Could be: none of the classes fits well.";
  if (names.length === 1 && !isRejected) return `Could be: only ${names[0]}.`;
  return `Could be: ${names.length > MOST_NAMES ? `${names.slice(0, MOST_NAMES).join(", ")} or ${names.length - MOST_NAMES} more` : listed(names, "or")}.`;
}
