"""Checks before training: unreadable images are excluded, duplicates across splits are reported."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imgrec.core.text import listed
from imgrec.data.images.collections import FileImages
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import SPLITS, Images, ImagesView, Samples
from imgrec.errors import DataError, ImageError

__all__ = ["MAX_CHECKED", "check_data", "facts_store"]

log = logging.getLogger("imgrec")

MAX_CHECKED = 10_000  # files that data.check=auto reads: half a minute the first time, cached afterwards
MAX_LISTED = 3  # pairs that a message names

Place = tuple[str, int]  # split, and index in it


def facts_store() -> Path:
    """Return the file in which facts about images are cached: in $IMGREC_CACHE, or the user's cache folder."""
    cache = os.environ.get("IMGREC_CACHE")
    if cache:
        return Path(cache) / "facts.sqlite"
    home = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(home) / "imgrec" / "facts.sqlite"


def check_data(data: ImageDataModule) -> None:
    """Exclude images that cannot be read, and look for the same image in two splits.

    `data.check` is true, false or auto: up to `MAX_CHECKED` files, and any number of images in memory or prepared
    images, which are only compared. `data.leaks` is error, warn or ignore.

    Raises:
        DataError: More than `data.max_bad` images to exclude, or an image in two splits with `data.leaks=error`.
    """
    if data.check is False:
        return
    splits = {name: data.split(name) for name in SPLITS if data.has_split(name)}
    if all(_in_memory(samples.images) for samples in splits.values()):
        _judge_leaks(data, _duplicates_in_memory(splits))
    elif all(hasattr(_base(samples.images), "digests") for samples in splits.values()):
        _check_prepared(data, splits)
    elif all(_are_files(samples.images) for samples in splits.values()):
        num_files = sum(len(samples) for samples in splits.values())
        if data.check is True or num_files <= MAX_CHECKED:
            _check_files(data, splits)
        else:
            log.info(
                "%d files: too many to check before training. Run imgrec audit, or set data.check=true.", num_files
            )


def _check_files(data: ImageDataModule, splits: Mapping[str, Samples]) -> None:
    from imgrec.auditing.duplicates.near import near_pairs
    from imgrec.auditing.scan.scan import scan

    facts = scan(splits, class_names=data.splits.class_names, workers=None, store=facts_store())
    places = [(name, place) for name, samples in splits.items() for place in range(len(samples))]
    bad: dict[str, dict[int, ImageError]] = {}
    for row in np.flatnonzero(~facts.is_usable):
        name, place = places[row]
        bad.setdefault(name, {})[place] = ImageError(facts.name[row], facts.code[row], facts.detail[row])
    _judge_leaks(data, _duplicates((place, facts.pixel_hash[row]) for row, place in _usable(places, facts.is_usable)))
    near = [(places[pair.first], places[pair.second]) for pair in near_pairs(facts) if pair.kind != "exact"]
    _warn_of_near(data, [pair for pair in near if pair[0][0] != pair[1][0]])
    data.exclude(bad)


def _check_prepared(data: ImageDataModule, splits: Mapping[str, Samples]) -> None:
    """Check prepared images by the digests and errors that were stored with them."""
    bad: dict[str, dict[int, ImageError]] = {}
    contents: list[tuple[Place, object]] = []
    for name, samples in splits.items():
        base: Any = _base(samples.images)
        for place, index in enumerate(_base_indices(samples.images)):
            if index in base.bad:
                bad.setdefault(name, {})[place] = ImageError(*base.bad[index])
            else:
                contents.append(((name, place), base.digests[index]))
    _judge_leaks(data, _duplicates(contents))
    data.exclude(bad)


def _usable(
    places: list[Place], is_usable: "np.ndarray[tuple[int], np.dtype[np.bool_]]"
) -> Iterator[tuple[int, Place]]:
    return ((row, place) for row, place in enumerate(places) if is_usable[row])


def _duplicates_in_memory(splits: Mapping[str, Samples]) -> list[tuple[Place, Place]]:
    keys = ((name, place) for name, samples in splits.items() for place in range(len(samples)))
    return _duplicates((key, _content(splits[key[0]].images[key[1]])) for key in keys)


def _content(image: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> tuple[tuple[int, ...], bytes]:
    import hashlib

    return image.shape, hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _duplicates(contents: Iterable[tuple[Place, object]]) -> list[tuple[Place, Place]]:
    """Return pairs of places in different splits with the same image; each image is paired with the first one."""
    first: dict[tuple[object, str], Place] = {}
    duplicates = []
    for place, content in contents:
        first.setdefault((content, place[0]), place)
        duplicates += [
            (other, place)
            for split in SPLITS
            if split != place[0] and (other := first.get((content, split))) is not None
        ]
    return duplicates


def _judge_leaks(data: ImageDataModule, duplicates: list[tuple[Place, Place]]) -> None:
    if not duplicates or data.leaks == "ignore":
        return
    message = (
        f"{_count(duplicates)} identical across two splits, so metrics will be too high: {_listed(data, duplicates)}."
    )
    if data.leaks == "error":
        raise DataError(
            f"{message} `imgrec split` keeps duplicates in one split (then data.splits=FILE); `imgrec audit` shows "
            "them and proposes which to remove. data.leaks=warn trains anyway."
        )
    log.warning(message)


def _warn_of_near(data: ImageDataModule, pairs: list[tuple[Place, Place]]) -> None:
    if pairs and data.leaks != "ignore":
        log.warning(
            "%s nearly identical across two splits: %s. `imgrec audit` shows them; data.leaks=ignore hides this.",
            _count(pairs),
            _listed(data, pairs),
        )


def _count(pairs: list[tuple[Place, Place]]) -> str:
    return "1 pair of images is" if len(pairs) == 1 else f"{len(pairs)} pairs of images are"


def _listed(data: ImageDataModule, pairs: list[tuple[Place, Place]]) -> str:
    texts = [" = ".join(f"{data.split(name).names[place]} ({name})" for name, place in pair) for pair in pairs]
    return listed(texts, limit=MAX_LISTED, separator="; ")


def _base(images: Images) -> Images:
    while isinstance(images, ImagesView):
        images = images.images
    return images


def _base_indices(images: Images) -> list[int]:
    """Return the index of each image of a view in the collection under it."""
    if not isinstance(images, ImagesView):
        return list(range(len(images)))
    below = _base_indices(images.images)
    return [below[int(index)] for index in images.indices]


def _in_memory(images: Images) -> bool:
    return bool(getattr(_base(images), "in_memory", False))


def _are_files(images: Images) -> bool:
    return isinstance(_base(images), FileImages)
