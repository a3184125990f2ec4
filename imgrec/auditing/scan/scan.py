"""Scan a data set: decode every image once, in worker processes, and keep its facts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from imgrec.auditing.scan.check import check
from imgrec.auditing.scan.facts import FactsTable, ImageFacts, facts_table
from imgrec.auditing.scan.store import FactsStore, FileKey, file_key
from imgrec.core.system.worker_pool import Lost, default_workers, run_in_workers
from imgrec.data.images.collections import FileImages
from imgrec.data.samples import Images, ImagesView, Samples, UInt8Array
from imgrec.errors import ImageError

__all__ = ["TIMEOUT_S", "Progress", "file_path", "scan"]

TIMEOUT_S = 30.0  # for one image; 89 megapixels take about 2 s
Progress = Callable[[int, int], None]


def scan(
    splits: Mapping[str, Samples],
    *,
    class_names: Sequence[str],
    workers: int | None = None,
    store: Path | None = None,
    progress: Progress | None = None,
    timeout_s: float = TIMEOUT_S,
    notes: list[str] | None = None,
) -> FactsTable:
    """Return the facts of every image of `splits`, in their order.

    Args:
        splits: Split name to its images.
        class_names: Label i means `class_names[i]`.
        workers: Processes that decode; None: one per CPU core. The result does not depend on it.
        store: SQLite file in which facts are cached by path, size and modification time; created if absent. An
            interrupted scan resumes from it. If it cannot be written, the scan runs without it and adds a note.
        progress: Called after each image with the number of images done and the number of all.
        timeout_s: Limit for one image; beyond it, its row gets the code `timeout`.
        notes: Gets a sentence if the cache cannot be used.
    """
    rows = _Rows(splits, FactsStore(store), progress)
    try:
        for row, result in run_in_workers(check, rows, workers=workers or default_workers(), timeout_s=timeout_s):
            facts = ImageFacts(code=result.code, detail=result.detail) if isinstance(result, Lost) else result
            rows.done(row, facts)
    finally:  # also when it is interrupted
        rows.store.close()
    if rows.store.trouble and notes is not None:
        notes.append(rows.store.trouble)
    return facts_table(splits, rows.facts, class_names=class_names)


def file_path(images: Images, index: int) -> Path | None:
    """Return the file of image `index`, None if the collection is not made of files."""
    while isinstance(images, ImagesView):
        index, images = int(images.indices[index]), images.images
    return images.paths[index] if isinstance(images, FileImages) else None


class _Rows:
    """The images of all splits; iteration yields those that are not cached."""

    def __init__(self, splits: Mapping[str, Samples], store: FactsStore, progress: Progress | None) -> None:
        self.splits = splits
        self.store = store
        self.progress = progress
        self.num_done = 0
        self._facts: dict[int, ImageFacts] = {}
        self._keys: dict[int, FileKey] = {}

    @property
    def facts(self) -> list[ImageFacts]:
        """All facts in the order of the splits."""
        return [self._facts[row] for row in range(len(self._facts))]

    def __iter__(self) -> Iterator[tuple[int, str | UInt8Array]]:
        row = 0
        for samples in self.splits.values():
            for index in range(len(samples)):
                image = self._look_up(row, samples.images, index)
                if image is not None:
                    yield row, image
                row += 1

    def done(self, row: int, facts: ImageFacts) -> None:
        """Store the facts of a row."""
        self._facts[row] = facts
        key = self._keys.pop(row, None)
        if key is not None:
            self.store.put(key, facts)
        self._count()

    def _look_up(self, row: int, images: Images, index: int) -> str | UInt8Array | None:
        """Return what has to be decoded, None if the facts of the row are cached."""
        path = file_path(images, index)
        if path is None:
            return self._decoded(row, images, index)
        key = file_key(path)
        known = None if key is None else self.store.get(key)
        if known is not None:
            self._facts[row] = known
            self._count()
            return None
        if key is not None:
            self._keys[row] = key
        return str(path)

    def _decoded(self, row: int, images: Images, index: int) -> UInt8Array | None:
        try:
            return images[index]
        except ImageError as error:
            self.done(row, ImageFacts(code=error.code, detail=error.detail))
            return None

    def _count(self) -> None:
        self.num_done += 1
        if self.progress is not None:
            self.progress(self.num_done, sum(len(samples) for samples in self.splits.values()))
