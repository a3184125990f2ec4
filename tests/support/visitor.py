"""A person at the page: a tab of a browser, what is done in it, and what it did that it must not."""

import re
from pathlib import Path
from typing import Any

from serving import Server

LOADING = "Failed to load resource"  # a browser writes this for every refusal of the server
OFFER = """([type, name, kind, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], name, {type: kind}));
  const options = {bubbles: true, cancelable: true};
  const event = type === "paste" ? new ClipboardEvent(type, {...options, clipboardData: data})
    : new DragEvent(type, {...options, dataTransfer: data});
  document.getElementById("drop").dispatchEvent(event);
}"""


class Visit:
    """A tab, and all that it said or asked for where it must not."""

    def __init__(self, browser: Any, server: Server, key: str | None = None, **options: Any) -> None:
        self.said: list[str] = []
        self.addresses: list[str] = []
        self._server = server
        size = {"width": options.pop("width", 1280), "height": 900}
        self._context = browser.new_context(viewport=size, **options)
        self.page = self._context.new_page()
        self.page.set_default_timeout(15_000)
        self.page.route("**/*", self._check)
        self.page.on("console", lambda line: line.text.startswith(LOADING) or self.said.append(line.text))
        self.page.on("response", self._check_file)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(dialog.message), dialog.dismiss()))
        self.page.goto(f"{server.url}/")
        if key is not None:
            self.sign_in(key)

    def _check(self, route: Any) -> None:
        self.addresses.append(route.request.url)
        if route.request.url.startswith((f"{self._server.url}/", "blob:", "data:")):
            route.continue_()
        else:
            self.said.append(route.request.url)
            route.abort()

    def _check_file(self, response: Any) -> None:
        if "/page/" in response.url and response.status >= 400:
            self.said.append(f"{response.status} {response.url}")

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._context.close()
        if kind is None:
            assert self.said == []

    def sign_in(self, key: str) -> None:
        self.page.locator("#key").fill(key)
        self.page.locator("#key").press("Enter")
        self.page.locator("#choose").wait_for()

    def choose(self, *files: bytes, names: tuple[str, ...] = ()) -> list[str]:
        """Give files to the page and return the text of each card, once there is nothing left to wait for."""
        chosen = [
            {"name": names[i] if names else f"{i}.png", "mimeType": "image/png", "buffer": file}
            for i, file in enumerate(files)
        ]
        self.page.locator("#files").set_input_files(chosen)
        return self.cards(len(files))

    def cards(self, count: int) -> list[str]:
        from playwright.sync_api import expect

        done = self.page.locator(".card.predicted, .card.failed")
        expect(done).to_have_count(count)
        texts: list[str] = done.all_inner_texts()
        return texts

    def offer(self, how: str, name: str, file: bytes) -> None:
        """Drop or paste a file."""
        self.page.evaluate(OFFER, [how, name, "image/png", list(file)])

    def text(self, selector: str) -> str:
        found: str = self.page.locator(selector).inner_text()
        return found

    def said_aloud(self, pattern: str) -> None:
        from playwright.sync_api import expect

        expect(self.page.locator("#aloud")).to_have_text(re.compile(pattern))

    def faults(self, axe: Path) -> list[dict[str, Any]]:
        """Return the faults that axe finds; the page's own rules would not let a page's script load it."""
        session = self.page.context.new_cdp_session(self.page)
        session.send("Runtime.evaluate", {"expression": axe.read_text(encoding="utf-8")})
        found: list[dict[str, Any]] = self.page.evaluate("axe.run().then(({violations}) => violations)")
        return found
