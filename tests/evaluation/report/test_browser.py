"""The pages in a real browser: no errors, no requests, working controls, with hostile names, on any screen."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgrec.evaluation.report.report import write_report
from imgrec.evaluation.report.sections.payload import THRESHOLDS
from imgrec.evaluation.report.sweep import write_sweep_report
from report_data import EVIL, EVIL_NAMES, make_predictions, write_folder

pytestmark = pytest.mark.slow
NAMES = (*EVIL_NAMES, *(f"class {index}" for index in range(12)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as browsers:
        found = browsers.chromium.launch(executable_path=chromium, args=options)
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    predictions = make_predictions(640, NAMES, sure=3.0)
    return write_report(write_folder(tmp_path_factory.mktemp("run") / "evaluation", predictions))


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    jobs = [
        {
            "number": number, "folder": str(number), "exit_code": 0, "seconds": 9.5, "mode": "max",
            "overrides": {"optimizer.lr": str(0.1 / 10**number), "model": EVIL},
            "status": "ok" if number < 3 else "failed",
            "score": 0.9 - number / 10 if number < 3 else None,
            "metrics": {"accuracy": 0.9 - number / 10, "f1_macro": 0.8} if number < 3 else {},
            "error": f"because {EVIL}",
        }
        for number in range(4)
    ]  # fmt: skip
    content = {"format": 1, "monitor": "val/accuracy", "varied": ["optimizer.lr", "model"], "jobs": jobs}
    (folder / "sweep.json").write_text(json.dumps(content))
    return write_sweep_report(folder)


class Opened:
    """A page, and its console messages, errors, dialogs and requests."""

    def __init__(self, browser: Any, path: Path, *, width: int = 1280, scheme: str = "light") -> None:
        self.events: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page.route("**/*", self._refuse)
        self.page.on("console", lambda message: self.events.append(message.text))
        self.page.on("pageerror", lambda error: self.events.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.events.append(dialog.message), dialog.dismiss()))
        self.page.goto(path.as_uri())

    def _refuse(self, route: Any) -> None:
        url = route.request.url
        if url.startswith(("file:", "data:")):
            route.continue_()
        else:
            self.events.append(url)
            route.abort()

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *error: object) -> None:
        self.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("kind", ["report", "sweep"])
def test_a_page_opens_without_messages_requests_or_horizontal_scrolling(kind, width, scheme, browser, report, sweep):
    with Opened(browser, {"report": report, "sweep": sweep}[kind], width=width, scheme=scheme) as opened:
        page = opened.page
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert page.locator(".drawing").count() == page.locator(".drawing > *").locator("..").count()
        assert page.locator("h1").count() == 1
        assert opened.events == []


def test_a_click_on_a_cell_shows_its_images(browser, report):
    with Opened(browser, report) as opened:
        canvas = opened.page.locator(".matrix canvas")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        canvas.click(position={"x": box["width"] - 5, "y": box["height"] - 5})
        title = opened.page.locator(".cell h3").inner_text()
        assert title.startswith(f"{NAMES[-1]}, correct")
        assert opened.page.locator(".cell li").count() > 3
        assert opened.page.locator(".cell img").count() > 3
        assert opened.events == []


def test_the_matrix_is_walked_with_the_keyboard(browser, report):
    with Opened(browser, report) as opened:
        canvas = opened.page.locator(".matrix canvas")
        canvas.focus()
        canvas.press("ArrowDown")
        canvas.press("ArrowRight")
        assert opened.page.locator(".matrix .readout").first.inner_text().startswith(f"{NAMES[1]}, correct")
        canvas.press("Enter")
        assert opened.page.locator(".cell h3").inner_text().startswith(f"{NAMES[1]}, correct")


def test_the_order_of_the_matrix_can_be_chosen(browser, report):
    with Opened(browser, report) as opened:
        opened.page.locator(".matrix select").select_option("name")
        canvas = opened.page.locator(".matrix canvas")
        canvas.focus()
        canvas.press("ArrowRight")
        canvas.press("ArrowLeft")
        first = opened.page.evaluate(
            "names => [...names].sort((a, b) => a.localeCompare(b, undefined, {numeric: true}))[0]", list(NAMES)
        )
        shown = opened.page.locator(".matrix .readout").first.inner_text()
        assert shown.startswith(first.replace("\u2028", "\\u2028"))


def test_a_frequent_confusion_shows_its_images(browser, report):
    with Opened(browser, report) as opened:
        opened.page.locator(".pairs button").first.click()
        assert "predicted as" in opened.page.locator(".cell h3").inner_text()
        assert (
            opened.page.locator(".cell img").first.evaluate("image => image.decode().then(() => image.naturalWidth)")
            == 12
        )


def test_the_slider_shows_the_values_of_the_predictions(browser, report):
    predictions = make_predictions(640, NAMES, sure=3.0)
    step = int((THRESHOLDS == 0.9).nonzero()[0][0])
    is_accepted = predictions.probabilities.max(axis=1) >= 0.9
    is_incorrect = is_accepted & (predictions.predicted != predictions.labels)
    with Opened(browser, report) as opened:
        opened.page.locator("#threshold input[type=range]").fill(str(step))
        shown = opened.page.locator("#threshold .figures dd").all_inner_texts()
        assert shown == [
            f"{100 * is_accepted.mean():.1f}\u00a0%",
            f"{100 * (1 - is_incorrect.sum() / is_accepted.sum()):.2f}\u00a0%",
            str(is_incorrect.sum()),
            str((~is_accepted).sum()),
        ]


def test_a_table_is_sorted_by_a_click_and_searched(browser, report):
    with Opened(browser, report) as opened:
        table = opened.page.locator("#per-class .table")
        button = table.locator("thead button", has_text="recall")
        button.click()
        recalls = [float(text) for text in table.locator("tbody tr td:nth-child(4)").evaluate_all(
            "cells => cells.map(cell => cell.dataset.order)")]  # fmt: skip
        assert recalls == sorted(recalls, reverse=True)
        assert table.locator("th[aria-sort=descending]").count() == 1
        button.press("Enter")
        assert table.locator("th[aria-sort=ascending]").count() == 1
        table.locator("input[type=search]").fill("class 11")
        assert table.locator("tbody tr:visible").count() == 1


def test_hostile_names_are_shown_as_they_are(browser, report):
    with Opened(browser, report) as opened:
        assert EVIL in opened.page.locator("#per-class tbody").inner_text()
        assert opened.page.evaluate("document.querySelectorAll('main script:not([type])').length") == 0
        assert opened.page.locator("img[src=x]").count() == 0
        assert opened.events == []


def test_the_theme_can_be_switched(browser, report):
    with Opened(browser, report) as opened:
        background = "getComputedStyle(document.body).backgroundColor"
        light = opened.page.evaluate(background)
        switch = opened.page.locator("[data-theme-switch]")
        switch.click()
        assert opened.page.evaluate(background) == light
        switch.click()
        assert opened.page.evaluate(background) != light


def test_it_prints_all_rows_on_white(browser, report):
    with Opened(browser, report, scheme="dark") as opened:
        opened.page.emulate_media(media="print")
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not opened.page.locator("nav").is_visible()
        content = opened.page.pdf()
        assert content.startswith(b"%PDF") and len(content) > 50_000
        assert opened.events == []


def test_a_line_of_a_sweep_shows_its_job(browser, sweep):
    with Opened(browser, sweep) as opened:
        assert "job 0" in opened.page.locator(".readout").inner_text()
        opened.page.locator("polyline.job").last.dispatch_event("click")
        opened.page.locator("polyline.job").first.dispatch_event("click")
        assert opened.page.locator(".readout").inner_text().startswith("job ")
        assert f"because {EVIL}" in opened.page.locator("#failed").inner_text()
        assert opened.events == []


@pytest.mark.parametrize("several", [True, False])
def test_labels_and_two_classes_have_an_operating_point(several, browser, tmp_path):
    predictions = make_predictions(200, ("no", "yes"), several=several)
    path = write_report(write_folder(tmp_path / "evaluation", predictions, parts=False))
    with Opened(browser, path, width=390) as opened:
        chart = opened.page.locator("[data-chart=operating]")
        chart.locator("input[type=range]").fill("0")
        assert chart.locator(".figures dd").first.inner_text() == "100.0\u00a0%"
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 390
        assert opened.events == []
