// The camera: asked for by a button, shut when it is closed, never on by itself.
import { byId, sayAloud } from "/page/dom.js";
import { complain } from "/page/intake.js";

let stream = null;

/** Offer the camera where there is one, or say why not. take: called with one image file. */
export function startCamera(take) {
  byId("camera-open").addEventListener("click", () => void open());
  byId("camera-close").addEventListener("click", closeCamera);
  byId("camera-take").addEventListener("click", () => void shoot(take));
  byId("camera").addEventListener("keydown", (event) => { if (event.key === "Escape") closeCamera(); });
  navigator.mediaDevices?.addEventListener?.("devicechange", () => void offer());
  void offer();
}

/** Shut the camera, if it is on. */
export function closeCamera() {
  if (stream === null) return;
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  byId("camera-image").srcObject = null;
  const hadFocus = byId("camera").contains(document.activeElement);
  byId("camera").hidden = true;
  if (hadFocus) byId("camera-open").focus();
}

async function offer() {
  const reason = await reasonAgainst();
  byId("camera-open").hidden = reason !== "";
  byId("camera-absent").textContent = reason;
}

async function reasonAgainst() {
  if (!window.isSecureContext) return "The camera can only be used over https or on localhost.";
  if (!navigator.mediaDevices?.getUserMedia) return "This browser gives no access to a camera.";
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  return devices.some((device) => device.kind === "videoinput") ? "" : "No camera was found.";
}

async function open() {
  complain("");
  if (stream !== null) return;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: "environment", width: { ideal: 1280 } } });
  } catch (error) {
    complain(error.name === "NotAllowedError" ? "The camera is not allowed. The browser's settings for this page can allow it." : "The camera cannot be used. Another program may have it.");
    return;
  }
  const video = byId("camera-image");
  video.srcObject = stream;
  byId("camera").hidden = false;
  byId("camera-take").focus();
  await video.play().catch(() => {});
  sayAloud("The camera is on.");
}

async function shoot(take) {
  const video = byId("camera-image");
  if (video.videoWidth === 0) return; // no image has come yet
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  take(new File([blob], `camera, ${new Date().toLocaleTimeString()}`, { type: "image/jpeg" }));
}
