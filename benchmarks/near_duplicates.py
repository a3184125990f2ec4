"""Claim: of copies that were resized, compressed, mirrored, cropped by 5 % or brightened, at least 95 % are found.

For each kind of change: 300 images (photographs, flowers and brain scans), no two of them similar, and 30 changed
copies among them; at most one false pair per 100 images. Repeated with other images copied. Similarity is judged
without imgrec's hashes: the correlation of each pair as 64 x 64 gray images, and of crops of one with the other. "Crop
of 5 %" is measured in each possible sense: 5 % of width and height at a random place; of one side; of all four sides,
which leaves 90 % of width and height.

    python benchmarks/near_duplicates.py            # writes benchmarks/results/near_duplicates.json
    python benchmarks/near_duplicates.py --rounds 1 --output /tmp/near_duplicates.json      # a short trial
"""

import argparse
import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from machine import describe
from PIL import Image, ImageEnhance

from imgrec.auditing.duplicates.near import near_pairs
from imgrec.auditing.scan.check import check_pixels
from imgrec.auditing.scan.facts import FactsTable, ImageFacts, facts_table
from imgrec.data.images.collections import ArrayImages
from imgrec.data.images.image import read_image
from imgrec.data.samples import Samples

NUM_CLEAN, NUM_PLANTED = 300, 30
SIMILAR = 0.9  # correlation from which two images are similar
SOURCES = {"hymenoptera": 130, "flowers8": 110, "brain_mri": 100}

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


def resized(image: Image.Image, random: np.random.Generator) -> Image.Image:
    scale = random.uniform(0.25, 0.9)
    size = round(image.width * scale), round(image.height * scale)
    return image.resize(size, random.choice([Image.Resampling.BICUBIC, Image.Resampling.LANCZOS]))


def compressed(image: Image.Image, _: np.random.Generator) -> Image.Image:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=50)
    return Image.open(stream).convert("RGB")


def mirrored(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _cropped(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def cropped_anywhere(image: Image.Image, random: np.random.Generator) -> Image.Image:
    left, top = random.uniform(0, 0.05, 2)
    return _cropped(image, left, top, left + 0.95, top + 0.95)


def cropped_one_side(image: Image.Image, random: np.random.Generator) -> Image.Image:
    box = [0.0, 0.0, 1.0, 1.0]
    side = int(random.integers(4))
    box[side] = abs(box[side] - 0.05)
    return _cropped(image, *box)


def cropped_all_sides(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return _cropped(image, 0.05, 0.05, 0.95, 0.95)


def brightened(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(float(random.choice([0.6, 0.75, 1.25, 1.4])))


def everything(image: Image.Image, random: np.random.Generator) -> Image.Image:
    for change in (cropped_anywhere, mirrored, resized, brightened, compressed):
        image = change(image, random)
    return image


CHANGES: dict[str, Change] = {
    change.__name__: change
    for change in (
        resized,
        compressed,
        mirrored,
        cropped_anywhere,
        cropped_one_side,
        cropped_all_sides,
        brightened,
        everything,
    )
}


def clean_images(data: Path) -> list[Image.Image]:
    """Return NUM_CLEAN images of which no two are similar."""
    random = np.random.default_rng(0)
    images = []
    for name, count in SOURCES.items():
        paths = sorted(path for path in (data / name).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        images += [Image.fromarray(read_image(paths[i])) for i in random.permutation(len(paths))[:count]]
    correlation = similarity(images)
    kept: list[int] = []
    for row in range(len(images)):
        if all(correlation[row, other] < SIMILAR for other in kept):
            kept.append(row)
    assert len(kept) >= NUM_CLEAN, len(kept)
    return [images[row] for row in random.permutation(kept)[:NUM_CLEAN]]


def similarity(images: list[Image.Image]) -> np.ndarray:
    """Return (N, N): the highest correlation of one image, or a crop of it, with the other."""
    boxes = [(x, y, x + share, y + share) for share in (1.0, 0.95, 0.9) for x in (0, 1 - share) for y in (0, 1 - share)]
    boxes += [(0.025, 0.025, 0.975, 0.975), (0.05, 0.05, 0.95, 0.95)]
    views = []
    for box in boxes:
        small = np.stack(
            [np.asarray(_cropped(one, *box).convert("L").resize((64, 64)), np.float32).ravel() for one in images]
        )
        small -= small.mean(axis=1, keepdims=True)
        views.append(small / np.linalg.norm(small, axis=1, keepdims=True))
    highest: np.ndarray = np.maximum.reduce([view @ views[0].T for view in views])
    both: np.ndarray = np.maximum(highest, highest.T)
    return both


def table(facts: list[ImageFacts]) -> FactsTable:
    samples = Samples(
        names=[str(row) for row in range(len(facts))],
        images=ArrayImages(np.zeros((len(facts), 1, 1), np.uint8)),
        labels=np.zeros(len(facts), np.int64),
    )
    return facts_table({"train": samples}, facts, class_names=["any"])


def measure(change: Change, images: list[Image.Image], clean: list[ImageFacts], rounds: int) -> dict[str, object]:
    found = false = 0
    similarities = []
    for seed in range(rounds):
        random = np.random.default_rng(seed)
        originals = random.permutation(NUM_CLEAN)[:NUM_PLANTED]
        copies = [check_pixels(np.asarray(change(images[row], random))) for row in originals]
        planted = {(int(row), NUM_CLEAN + place) for place, row in enumerate(originals)}
        pairs = near_pairs(table([*clean, *copies]))
        found += sum((pair.first, pair.second) in planted for pair in pairs)
        false += sum((pair.first, pair.second) not in planted for pair in pairs)
        similarities += [pair.similarity for pair in pairs if (pair.first, pair.second) in planted]
    return {
        "recall": found / (rounds * NUM_PLANTED),
        "false_pairs_per_100_images": 100 * false / (rounds * (NUM_CLEAN + NUM_PLANTED)),
        "lowest_similarity_found": round(min(similarities), 3),
    }


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=here.parents[1] / "shared" / "data", help="folder of the data sets"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=here / "results" / "near_duplicates.json")
    options = parser.parse_args()
    images = clean_images(options.data)
    clean = [check_pixels(np.asarray(image)) for image in images]
    result: dict[str, object] = {
        "machine": describe(),
        "images": NUM_CLEAN,
        "planted": NUM_PLANTED,
        "rounds": options.rounds,
    }
    kinds = {}
    for name, change in CHANGES.items():
        kinds[name] = measure(change, images, clean, options.rounds)
        print(name, kinds[name], flush=True)
    options.output.write_text(json.dumps({**result, "kinds": kinds}, indent=2) + "\n")


if __name__ == "__main__":
    main()
