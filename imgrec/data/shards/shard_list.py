"""Lists of shards from patterns: `{000..127}` and `{a,b}`, and for local paths `*` and `?`."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from imgrec.data.shards.remote import is_remote, printable_url
from imgrec.errors import DataError, did_you_mean

__all__ = ["expand_braces", "list_shards"]

MAX_SHARDS = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def list_shards(key: str, places: str | Sequence[str]) -> list[str]:
    """Return the paths and URLs that `data.<key>` names, in its order; matches of a pattern are sorted.

    Raises:
        DataError: No shards, one twice, a local file that does not exist, or `*` in a URL.
    """
    given = [places] if isinstance(places, str) else list(places)
    found = [place for text in given for pattern in expand_braces(text) for place in _matches(key, pattern)]
    if not found:
        raise DataError(f"data.{key} names no shards. Set data.{key}='FOLDER/train-{{000000..000127}}.tar'.")
    if len(set(found)) < len(found):
        twice = next(place for place in found if found.count(place) > 1)
        raise DataError(f"data.{key} names {printable_url(twice)} twice.")
    return found


def expand_braces(text: str) -> list[str]:
    """Return `text` with `{a,b}` replaced by each choice and `{08..11}` by each number, zero-padded.

    Raises:
        DataError: More than MAX_SHARDS results, or nested braces.
    """
    if re.search(r"\{[^}]*\{", text):
        raise DataError(f"{text}: nested braces. Write a list: [...,...].")
    done, todo = [], [text]
    while todo:
        text = todo.pop()
        match = next((match for match in _BRACES.finditer(text) if _choices(match[1])), None)
        if match is None:
            done.append(text)
        else:
            todo += [text[: match.start()] + choice + text[match.end() :] for choice in reversed(_choices(match[1]))]
        if len(done) + len(todo) > MAX_SHARDS:
            raise DataError(f"{text}: more than {MAX_SHARDS:,} shards.")
    return done


def _choices(inside: str) -> list[str]:
    span = _RANGE.fullmatch(inside)
    if span is None:
        return inside.split(",") if "," in inside else []
    first, last = int(span[1]), int(span[2])
    if abs(last - first) >= MAX_SHARDS:
        raise DataError(f"{{{inside}}}: more than {MAX_SHARDS:,} shards.")
    width = len(span[1]) if span[1].startswith("0") else 0
    step = 1 if last >= first else -1
    return [f"{number:0{width}d}" for number in range(first, last + step, step)]


def _matches(key: str, place: str) -> list[str]:
    if is_remote(place):
        if place.startswith("file://"):
            return _matches(key, place.removeprefix("file://"))
        if "*" in place:
            raise DataError(
                f"data.{key}={printable_url(place)}: remote files cannot be listed. Write braces instead of *: "
                "train-{000000..000127}.tar"
            )
        return [place]
    if Path(place).is_file():
        return [place]
    if found := sorted(match for match in glob.glob(place) if Path(match).is_file()):  # noqa: PTH207
        return found
    folder = Path(place).parent
    near = did_you_mean(Path(place).name, sorted(entry.name for entry in folder.iterdir())) if folder.is_dir() else ""
    raise DataError(f"data.{key}={place}: no such file.{near}")
