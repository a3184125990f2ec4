"""Claim: for 10,000 images of 100 classes, report.html is below 15 MB, is written in seconds and opens within 2 s.

Predictions are simulated, 75 % of them correct. The images are 128 px thumbnails of smooth noise, as many as a page may
have, which is the worst case. Headless Chromium opens the page, from the start of loading to the end of the script;
then a cell of the confusion matrix is opened and the slider moved. Needs playwright and Chromium.

    python benchmarks/report_cost.py            # writes benchmarks/results/report_cost.json
    python benchmarks/report_cost.py --images 500 --classes 10 --output /tmp/report_cost.json      # a short trial
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import describe

from imgrec.data.images.collections import ArrayImages
from imgrec.data.samples import Samples
from imgrec.evaluation.figures.thumbnails import write_thumbnails
from imgrec.evaluation.metrics.metric_files import write_evaluation
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.evaluation.report.report import write_report

REPEATS = 3
SIDE_PX = 128


def make_predictions(num_images: int, num_classes: int) -> Predictions:
    random = np.random.default_rng(1)
    labels = random.integers(0, num_classes, num_images)
    logits = random.normal(size=(num_images, num_classes)).astype(np.float32)
    logits[np.arange(num_images), labels] += 3.6
    return Predictions(
        names=[f"photos/test/class_{label:03d}/image_{row:06d}.jpg" for row, label in enumerate(labels)],
        labels=labels.astype(np.int64),
        logits=2 * logits,
        class_names=[f"class_{index:03d}" for index in range(num_classes)],
    )


def make_samples(predictions: Predictions) -> Samples:
    """Return images of smooth noise, few different ones, under all names."""
    random = np.random.default_rng(2)
    some = [
        cv2.resize(
            random.integers(0, 256, (24, 24, 3), dtype=np.uint8), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC
        )
        for _ in range(50)
    ]
    places = np.arange(len(predictions)) % len(some)
    images = ArrayImages(np.stack(some).astype(np.uint8)[places])
    return Samples(list(predictions.names), images, predictions.labels)


def timed(function: Any, *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def open_page(path: Path) -> dict[str, Any]:
    """Return the seconds to open the page and to respond to input, and the `errors` of its console."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    opened, responded, errors = [], [], []
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(REPEATS):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.on("console", lambda message: errors.append(message.text))
            page.on("pageerror", lambda error: errors.append(str(error)))
            opened.append(timed(page.goto, path.as_uri()))
            start = time.perf_counter()
            page.locator(".pairs button").first.click()
            page.locator(".cell img").first.wait_for()
            page.locator("input[type=range]").first.fill("120")
            responded.append(time.perf_counter() - start)
            page.close()
        browser.close()
    return {"open_s": statistics.median(opened), "click_and_slide_s": statistics.median(responded), "errors": errors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "report_cost.json")
    arguments = parser.parse_args()
    predictions = make_predictions(arguments.images, arguments.classes)
    samples = make_samples(predictions)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_evaluation(predictions, folder)
        thumbnails_s = timed(write_thumbnails, predictions, samples, folder)
        write_s = statistics.median(timed(write_report, folder) for _ in range(REPEATS))
        page = folder / "report.html"
        found = {
            "machine": describe(),
            "num_images": arguments.images,
            "num_classes": arguments.classes,
            "size_mb": round(page.stat().st_size / 1e6, 2),
            "thumbnails_s": round(thumbnails_s, 2),
            "write_s": round(write_s, 2),
            **{key: round(value, 2) if isinstance(value, float) else value for key, value in open_page(page).items()},
        }
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({key: value for key, value in found.items() if key != "machine"}, indent=1))


if __name__ == "__main__":
    main()
