// Elements are made from text, never from HTML: the name of a class or of a file stays a name.

export function byId(id) {
  return document.getElementById(id);
}

/** Return a new element. Attributes that start with "on" are listeners; null, undefined and false are skipped. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Return the text with characters made visible that could turn the line around or hide in it. */
export function visible(text) {
  const hidden = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
  return text.replace(hidden, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Have a screen reader say something when it is done with what it is saying. */
export function sayAloud(text) {
  const region = byId("aloud");
  region.textContent = "";
  setTimeout(() => { region.textContent = text; }, 50); // the same text twice would otherwise not be said again
}
