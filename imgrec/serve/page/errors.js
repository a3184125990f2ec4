// One sentence for each error: what is wrong and what to do.

const SENTENCES = {
  // ours
  unreachable: "The server does not respond. It may have been stopped, or the network is down.",
  unreadable: "The browser could not read this file. Was it moved, or is it a folder?",
  // one image
  not_an_image: "This is not an image file.",
  unsupported: "This kind of image file cannot be read here. Save it as JPEG or PNG.",
  truncated: "The file ends too early. It may not have been copied whole.",
  damaged: "The file is damaged. Open it and save it again, or use another copy.",
  undecodable: "The file could not be opened safely, so it was not read. It is probably damaged.",
  float_range: "The pixels are numbers of unknown range. Save the image as PNG.",
  too_large: "The image has too many pixels. Make it smaller.",
  too_small: "The image has too few pixels.",
  wrong_size: "The image does not have the size that this model takes.",
  not_finite: "The model gave no finite output for this image.",
  no_image: "The file is empty.",
  // the request
  body_too_large: "The file is larger than this server takes.",
  too_many_images: "More images at once than this server takes.",
  slow_body: "The image came in too slowly. Is the connection weak?",
  rate_limited: "Too many requests with this key.",
  budget_used_up: "The daily number of images of this key is used up.",
  busy: "The server is busy.",
  not_ready: "The server is starting or stopping.",
  // who asks
  unauthorized: "This key is not valid, or no longer.",
  too_many_wrong_keys: "Too many wrong keys came from this address.",
  forbidden: "This key may not do that.",
  unknown_model: "This model is not served any more. Reload the page.",
  wrong_host: "The server is not served under this name. Use the address that it printed.",
  internal: "Something went wrong in the server.",
};
const TRANSIENT = ["unreachable", "rate_limited", "busy", "not_ready", "audit_failed", "slow_body", "internal"];

/** Return the sentence for an error of `api.js`, or for the error of one prediction. */
export function sentenceFor(error) {
  const sentence = SENTENCES[error.code] ?? error.detail ?? error.message;
  if (error.code === "internal" && error.id) return `${sentence} Its number in the server's log: ${error.id}.`;
  return error.code === "budget_used_up" && error.retryAfter ? `${sentence} It starts again in ${duration(error.retryAfter)}.` : sentence;
}

/** Return whether the same request may succeed later. */
export function isTransient(error) {
  return TRANSIENT.includes(error.code);
}

/** Return a duration as text. */
export function duration(seconds) {
  if (seconds < 100) return `${seconds}\u00a0s`;
  return seconds < 6000 ? `${Math.round(seconds / 60)}\u00a0minutes` : `${Math.round(seconds / 3600)}\u00a0hours`;
}
