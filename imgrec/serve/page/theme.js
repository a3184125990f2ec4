// The theme: as the system, light or dark. The choice is not stored, as nothing is.
import { byId } from "/page/dom.js";

const NAMES = { "": "system", light: "light", dark: "dark" };

export function startTheme() {
  const button = byId("theme");
  const order = Object.keys(NAMES);
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "";
    const next = order[(order.indexOf(now) + 1) % order.length];
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    button.textContent = `Theme: ${NAMES[next]}`;
  });
}
