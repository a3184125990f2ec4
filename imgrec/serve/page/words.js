// What an answer is in words. Names are made visible here, once, so that all who show words show the same.
import { visible } from "/page/dom.js";

const VERY_SURE = 0.97;
const QUITE_SURE = 0.85;
const FAIRLY_SURE = 0.6;
const MOST_NAMES = 8;
const BASELINE = 0.5; // a class at least half as probable as the first is a baseline
const UNDECIDED = [0.35, 0.65]; // of one label among several

/** Return {headline, sure, could, isUnknown} for a prediction; sure and could may be "". */
export function describe(prediction, model) {
  const isUnknown = prediction.is_unknown === true;
  const could = couldBe(prediction, model);
  if (model.task === "multilabel") return { ...describeLabels(prediction), could, isUnknown };
  const label = visible(prediction.label);
  const headline = isUnknown ? "Unknown" : label;
  return { headline, sure: isUnknown ? `Not sure enough to say. The nearest is ${label}.` : surenessOf(prediction), could, isUnknown };
}

/** Return how a probability is written: never as certain, never as impossible. */
export function percent(share) {
  if (share > 0.99) return "> 99\u00a0%";
  if (share < 0.01) return "< 1\u00a0%";
  return `${Math.round(100 * share)}\u00a0%`;
}

/** Return classes as [{name, share}], share null where the server does not say. */
export function classesOf(prediction) {
  return (prediction.classes ?? []).map((one) =>
    typeof one === "string" ? { label: one, name: visible(one), share: null } : { label: one.label, name: visible(one.label), share: one.probability });
}

/** Return "a, b and c". */
export function listed(names, last = "and") {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} ${last} ${names.at(-1)}`;
}

function surenessOf(prediction) {
  const classes = classesOf(prediction);
  if (classes.length === 0 || classes[0].share === null) return "";
  const first = classes[0].share;
  const baselines = classes.filter((one) => one.share >= BASELINE * first);
  if (baselines.length > 3) return `Unsure: ${baselines.length === classes.length ? "many" : baselines.length} classes are about as likely.`;
  if (baselines.length > 1) return `Torn between ${listed(baselines.map((one) => one.name))}.`;
  if (first >= VERY_SURE) return "Very sure.";
  if (first >= QUITE_SURE) return "Quite sure.";
  return first >= FAIRLY_SURE ? "Fairly sure." : "Not sure.";
}

function describeLabels(prediction) {
  const names = prediction.label.map(visible);
  const unsure = classesOf(prediction).filter((one) => one.share !== null && one.share >= UNDECIDED[0] && one.share <= UNDECIDED[1]);
  const sure = unsure.length > 0 ? `Not sure about ${listed(unsure.map((one) => one.name))}.` : "";
  return { headline: names.length > 0 ? listed(names) : "None of the labels", sure };
}

/** Return what the lists after "could be" are worth, "" where a model has none. */
export function guaranteeOf(model) {
  const rule = strictestSet(model);
  if (rule === null) return "";
  const share = `${Number((100 * rule.coverage).toPrecision(4))}\u00a0%`;
  return `For ${share} of images like those that it was fitted on, the list after \u201ccould be\u201d holds the right answer.`;
}

function strictestSet(model) {
  const rules = Object.entries(model.sets).map(([name, coverage]) => ({ name, coverage }));
  return rules.length === 0 ? null : rules.reduce((best, rule) => (rule.coverage > best.coverage ? rule : best));
}

function couldBe(prediction, model) {
  const names = prediction.sets?.[strictestSet(model)?.name]?.map(visible);
  if (names === undefined) return "";
  if (names.length === 0) return "Could be: none of the classes fits well.";
  if (names.length === 1 && !prediction.is_unknown) return `Could be: only ${names[0]}.`;
  return `Could be: ${names.length > MOST_NAMES ? `${names.slice(0, MOST_NAMES).join(", ")} or ${names.length - MOST_NAMES} more` : listed(names, "or")}.`;
}
