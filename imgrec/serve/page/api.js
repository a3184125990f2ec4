// The server: three requests, and one kind of error. The key travels in a header, never in an address.

const STORED_AS = "imgrec-key";
let key = readStored();

/** An error of the server or of the connection to it. code: as in the server's errors, or one of ours. */
export class ApiError extends Error {
  constructor(code, { message = "", id = "", retryAfter = null } = {}) {
    super(message || code);
    this.code = code;
    this.detail = message;
    this.id = id;
    this.retryAfter = retryAfter; // seconds, null = not told
  }
}

export function hasKey() {
  return key !== null;
}

/** Hold a key; isKept: in the storage of this tab too, for a reload. */
export function setKey(value, { isKept }) {
  key = value;
  try {
    if (isKept) sessionStorage.setItem(STORED_AS, value);
    else sessionStorage.removeItem(STORED_AS);
  } catch { /* a browser may forbid storage; then the key lives in memory alone */ }
}

export function dropKey() {
  setKey(null, { isKept: false });
}

/** Return the models that the key may use. Throws ApiError. */
export async function getModels() {
  return (await ask("/v1/models", { method: "GET" })).models;
}

/** Return one prediction or {error: {code, message}} for each file, in order. Throws ApiError. */
export async function predict(files, model) {
  const form = new FormData();
  for (const file of files) form.append("images", file, "image"); // its own name is none of the server's business
  return (await ask(`/v1/predict?model=${encodeURIComponent(model)}`, { method: "POST", body: form })).predictions;
}

/** Return {explained_class, saliency_map: PNG in base64} for a file. Throws ApiError. */
export async function explain(file, model) {
  const headers = { "content-type": "application/octet-stream" };
  return ask(`/v1/explain?model=${encodeURIComponent(model)}`, { method: "POST", body: file, headers });
}

async function ask(address, options) {
  const headers = { ...options.headers };
  if (key !== null) headers.authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(address, { ...options, headers, cache: "no-store", credentials: "omit", redirect: "error" });
  } catch {
    throw new ApiError("unreachable");
  }
  const content = await response.json().catch(() => null);
  if (response.ok && content !== null) return content;
  const { code = "unreachable", message, id } = content?.error ?? {};
  const seconds = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  throw new ApiError(code, { message, id, retryAfter: Number.isNaN(seconds) ? null : seconds });
}

function readStored() {
  try {
    return sessionStorage.getItem(STORED_AS);
  } catch {
    return null;
  }
}
