// The page: which view is shown, who is signed in, which model is used.
import * as album from "/page/album.js";
import { dropKey, getModels, hasKey, setKey } from "/page/api.js";
import { closeCamera, startCamera } from "/page/camera.js";
import { byId, element, sayAloud, visible } from "/page/dom.js";
import { duration, sentenceFor } from "/page/errors.js";
import { complain, startIntake } from "/page/intake.js";
import { startTheme } from "/page/theme.js";
import { listed } from "/page/text.js";

const VIEWS = ["trouble", "sign-in", "work"];
const FEW_CLASSES = 8;
let models = [];

function show(view) {
  for (const one of VIEWS) byId(one).hidden = one !== view;
  byId("sign-out").hidden = view !== "work" || !hasKey();
}

/** Load the models that the key may use, and show the view that follows. */
async function enter({ isFirst }) {
  try {
    models = await getModels();
  } catch (error) {
    leave(error, { isFirst });
    return;
  }
  if (models.length === 0) {
    byId("trouble-text").textContent = "This key may use none of the models that are served here.";
    dropKey();
    show("trouble");
    return;
  }
  fillModels();
  show("work");
  if (!isFirst) byId("work-title").focus();
}

function leave(error, { isFirst }) {
  const isAboutKey = ["unauthorized", "forbidden", "too_many_wrong_keys"].includes(error.code);
  if (!isAboutKey) {
    byId("trouble-text").textContent = sentenceFor(error);
    show("trouble");
    return;
  }
  const hadKey = hasKey();
  dropKey();
  show("sign-in");
  byId("key-error").textContent = hadKey ? faultOfKey(error) : "";
  if (hadKey || !isFirst) byId("key").focus();
}

function faultOfKey(error) {
  if (error.code === "forbidden") return "This key may not classify images. It needs the scope predict.";
  if (error.code === "too_many_wrong_keys") return `${sentenceFor(error)} Try again in ${duration(error.retryAfter ?? 60)}.`;
  return "This key is not valid: it is mistyped, has run out or was revoked.";
}

function signOut(error = null) {
  closeCamera();
  album.clear();
  complain("");
  if (error === null) dropKey();
  show("sign-in");
  byId("key-error").textContent = error === null ? "" : faultOfKey(error);
  dropKey();
  byId("key").focus();
  sayAloud("Signed out.");
}

function startSigningIn() {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("key");
    const value = field.value.trim();
    if (!/^[\x21-\x7e]+$/.test(value)) { // nothing else can be sent in a header
      byId("key-error").textContent = value === "" ? "Enter the key." : "This is not a key: a key holds letters, digits and underscores.";
      field.focus();
      return;
    }
    field.value = "";
    byId("key-error").textContent = "";
    setKey(value, { isKept: byId("keep").checked });
    void enter({ isFirst: false });
  });
  byId("sign-out").addEventListener("click", () => signOut());
  byId("trouble-again").addEventListener("click", () => void enter({ isFirst: false }));
}

function fillModels() {
  const pick = byId("model");
  pick.replaceChildren(...models.map(({ name }) => element("option", { value: name }, visible(name))));
  byId("model-pick").hidden = models.length < 2;
  describeModel();
}

function chosenModel() {
  return models.find(({ name }) => name === byId("model").value) ?? models[0];
}

/** Describe the classes of the model, and what it does with other images. */
function describeModel() {
  const model = chosenModel();
  const names = model.class_names.map(visible);
  const isFew = names.length <= FEW_CLASSES;
  const what = isFew ? listed(names) : `${names.length} classes`;
  const knows = model.task === "multilabel" ? `The model detects ${isFew ? what : `${names.length} labels`}.` : `The model distinguishes ${what}.`;
  const rest = model.reject_rule === null ? "An image of anything else is assigned to one of these classes too." : "Where its confidence is too low, it rejects the image. An image of anything else may still be assigned to one of these classes.";
  byId("about-model").textContent = model.task === "multilabel" ? knows : `${knows} ${rest}`;
  byId("classes").hidden = isFew;
  byId("classes").querySelector("summary").textContent = "List of classes";
  byId("classes").querySelector("ul").replaceChildren(...names.map((name) => element("li", {}, name)));
  byId("limits").textContent = `Up to ${Math.floor(model.max_bytes / 1e6)} MB each.`;
}

function take(files) {
  void album.add(files, chosenModel(), { severalModels: models.length > 1 });
}

startTheme();
startSigningIn();
album.startAlbum(signOut);
byId("model").addEventListener("change", describeModel);
startIntake({ isOpen: () => !byId("work").hidden, take });
startCamera((file) => take([file]));
void enter({ isFirst: true });
