// Sends images to the server in as few requests as it allows, and again when it asks to wait.
import { ApiError, predict } from "/page/api.js";
import { isTransient } from "/page/errors.js";

const PART_BYTES = 400; // around a file in a form
const LONGEST_WAIT_S = 60; // a longer one is for the user to decide
const ATTEMPTS = 5;

/** Request predictions for entries {file, model, state, ...}; `changed(entry)` is called whenever one has something new to show. */
export async function requestPredictions(entries, { changed, signedOut }) {
  const set = (entry, values) => { Object.assign(entry, values); changed(entry); };
  const readable = [];
  for (const entry of entries) {
    const error = await faultOf(entry);
    if (error) set(entry, { state: "failed", error });
    else readable.push(entry);
  }
  for (const batch of inBatches(readable)) await requestBatch(batch, { set, signedOut });
}

async function requestBatch(batch, { set, signedOut }) {
  const { model } = batch[0];
  for (let attempt = 1; ; attempt += 1) {
    try {
      const predictions = await predict(batch.map((entry) => entry.file), model.name);
      batch.forEach((entry, index) => set(entry, outcomeOf(predictions[index])));
      return;
    } catch (error) {
      if (error.code === "unauthorized") signedOut(error);
      const mayWait = error.retryAfter !== null && error.retryAfter <= LONGEST_WAIT_S && attempt < ATTEMPTS;
      if (!isTransient(error) || !mayWait) {
        batch.forEach((entry) => set(entry, { state: "failed", error }));
        return;
      }
      await countDown(error.retryAfter, (seconds) => batch.forEach((entry) => set(entry, { state: "waiting", error, seconds })));
      batch.forEach((entry) => set(entry, { state: "asking" }));
    }
  }
}

/** Call `tick` with the seconds that are left, once a second, until none are. */
export async function countDown(seconds, tick) {
  for (let left = seconds; left > 0; left -= 1) {
    tick(left);
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
  }
}

function outcomeOf(prediction) {
  if (prediction.error) return { state: "failed", error: new ApiError(prediction.error, { message: prediction.detail }) };
  return { state: "predicted", prediction };
}

/** Return what keeps a file from being sent, or null. */
async function faultOf({ file, model }) {
  if (file.size === 0) return new ApiError("no_image");
  if (file.size + PART_BYTES > model.max_bytes) return new ApiError("body_too_large");
  try {
    await file.slice(0, 1).arrayBuffer();
    return null;
  } catch {
    return new ApiError("unreadable");
  }
}

function inBatches(entries) {
  const batches = [];
  let bytes = Infinity;
  for (const entry of entries) {
    const size = entry.file.size + PART_BYTES;
    const { max_bytes: maxBytes, max_images: maxImages } = entry.model;
    if (bytes + size > maxBytes - PART_BYTES || batches.at(-1).length >= maxImages) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1).push(entry);
    bytes += size;
  }
  return batches;
}
