// The theme: system, light or dark. What is drawn on a canvas listens for "theme".
function startTheme() {
  const button = document.querySelector("[data-theme-switch]");
  const names = { "": "system", light: "light", dark: "dark" };
  const order = ["", "light", "dark"];

  function set(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = `Theme: ${names[theme]}`;
    document.dispatchEvent(new Event("theme"));
  }

  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "";
    const next = order[(order.indexOf(now) + 1) % order.length];
    try { localStorage.setItem("imgrec-theme", next); } catch { /* a browser may forbid it for files */ }
    set(next);
  });
  let kept = "";
  try { kept = localStorage.getItem("imgrec-theme") || ""; } catch { /* as above */ }
  set(order.includes(kept) ? kept : "");
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("theme")));
}

// The table of contents marks the section in view; on a narrow screen it is folded.
function startContents() {
  const details = document.querySelector(".contents details");
  if (matchMedia("(max-width: 1020px)").matches) details.open = false;
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...document.querySelectorAll("main > section")];

  function mark() {
    const at = sections.filter((section) => section.getBoundingClientRect().top < innerHeight * 0.3).pop();
    for (const [anchor, link] of links) {
      if (at && anchor === at.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  addEventListener("scroll", mark, { passive: true });
  mark();
}
