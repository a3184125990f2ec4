"""The loaders that input_speed.py compares: each reads the same images by the same recipe.

A contender yields batches (N, 3, 224, 224), either float32 and normalised with the ImageNet mean and standard
deviation, or uint8. Where a loader can normalise, it does. imgrec's batches are normalised by the first layer of the
model, as a whole batch in the consuming process, and so are those of OpenCV in uint8.

Started by input_speed.py, one process per contender. It writes a description of its batches, then makes one pass for
every line that it reads, "normalise" or "as it is", and writes images and seconds as JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import input_baselines as baselines
import torch
from input_recipe import RATIO, RESIZE, SCALE, SIZE, WORKERS, AbsentError, Case, Contender, Pass
from torch import Tensor

from imgrec.models.network import Normalize


def _augment() -> Any:
    import albumentations as A  # noqa: N812 - its own documentation's name

    from imgrec.data import Augment

    crop = A.RandomResizedCrop((SIZE, SIZE), scale=SCALE, ratio=RATIO, area_for_downscale="image")
    return Augment([crop, A.HorizontalFlip(p=0.5)], after="decode", size=SIZE)


def _from(data: Any, case: Case) -> Pass:
    from imgrec.errors import ImgrecError

    data.setup()
    loader = data.train_dataloader() if case.is_train else data.eval_dataloader("train")

    def one_pass() -> Iterator[Tensor]:
        for batch in loader:
            if isinstance(batch, ImgrecError):
                raise batch
            yield batch["images"]

    return one_pass


def _options(case: Case, *, workers: str = "threads", **preprocess: Any) -> dict[str, Any]:
    from imgrec.data import Preprocess

    return {
        "preprocess": Preprocess(SIZE, resize=RESIZE, **preprocess), "augment": _augment() if case.is_train else None,
        "batch_size": case.batch_size, "num_workers": WORKERS, "workers": workers,
    }  # fmt: skip


def imgrec_files(case: Case, **preprocess: Any) -> Pass:
    """Read from files."""
    from imgrec.data.sources import FolderData

    return _from(FolderData(train=str(case.images), val_fraction=0, **_options(case, **preprocess)), case)


def imgrec_processes(case: Case) -> Pass:
    """With `data.workers=processes`, as the other PyTorch loaders."""
    return imgrec_files(case, workers="processes")


def imgrec_prepared_processes(case: Case) -> Pass:
    return imgrec_prepared(case, workers="processes")


def imgrec_reduced(case: Case) -> Pass:
    """For evaluation: `preprocess.decode=reduced`, whose pixels differ slightly from full decoding."""
    if case.is_train:
        raise AbsentError("differs in evaluation only")
    return imgrec_files(case, decode="reduced")


def imgrec_prepared(case: Case, *, workers: str = "threads") -> Pass:
    from imgrec.data.prepared.build import Source, prepare
    from imgrec.data.prepared.shrink import Shrink
    from imgrec.data.sources.folder import read_folder
    from imgrec.data.sources.prepared import PreparedData

    folder = case.work / "prepared"
    if not folder.exists():
        splits = read_folder(train=str(case.images), val_fraction=0)
        assert splits.train is not None
        source = Source(str(case.images), {"train": splits.train}, splits.class_names)
        prepare(source, folder, shrink=Shrink(RESIZE), workers=WORKERS)
    return _from(PreparedData(root=str(folder), val_fraction=0, **_options(case, workers=workers)), case)


CONTENDERS: dict[str, Contender] = {
    "torchvision": baselines.torchvision_pil,
    "torchvision v2": baselines.torchvision_v2,
    "timm": baselines.timm,
    "timm, no prefetcher": baselines.timm_float,
    "webdataset": baselines.webdataset,
    "litdata": baselines.litdata,
    "opencv + albumentations": baselines.opencv_float,
    "opencv + albumentations, uint8": baselines.opencv_uint8,
    "ffcv jpeg": baselines.ffcv_jpeg,
    "ffcv jpeg, uint8": baselines.ffcv_jpeg_uint8,
    "ffcv raw": baselines.ffcv_raw,
    "ffcv raw, uint8": baselines.ffcv_raw_uint8,
    "imgrec": imgrec_files,
    "imgrec, processes": imgrec_processes,
    "imgrec, reduced": imgrec_reduced,
    "imgrec prepared": imgrec_prepared,
    "imgrec prepared, processes": imgrec_prepared_processes,
}


# One process per contender


def _cpu_seconds() -> float:
    """Return user and system time of all processes of this session: this one, its workers, and ended ones."""
    session, ticks = os.getsid(0), 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            fields = path.read_text().rpartition(")")[2].split()  # from the third on: proc(5)
            if int(fields[3]) == session:
                ticks += sum(int(value) for value in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


@torch.inference_mode()
def measure(one_pass: Pass, *, normalize: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """Make one pass; return images, seconds from the request for the first batch to the last batch, CPU seconds."""
    cpu, started, images = _cpu_seconds(), time.perf_counter(), 0
    for batch in one_pass():
        images += len(normalize(batch))
    return {"images": images, "wall_s": time.perf_counter() - started, "cpu_s": _cpu_seconds() - cpu}


def first_pass(one_pass: Pass) -> dict[str, Any]:
    """Make a first pass, which starts workers and fills caches; return its statistics, which must agree for all."""
    shape, dtype, count, total, squares = None, None, 0, 0.0, 0.0
    for batch in one_pass():
        shape, dtype = list(batch.shape[1:]), str(batch.dtype)
        values = batch[:4].double()
        count, total, squares = count + values.numel(), total + values.sum(), squares + (values**2).sum()
    mean = float(total / count)
    return {
        "shape": shape,
        "dtype": dtype,
        "mean": round(mean, 3),
        "std": round(float(squares / count - mean**2) ** 0.5, 3),
    }


def main() -> None:
    name, images, work, recipe, batch_size = sys.argv[1:]
    output = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # so that output of the loaders does not mix with the results
    torch.set_num_threads(1)
    case = Case(Path(images), Path(work), recipe, int(batch_size))  # type: ignore[arg-type, unused-ignore]
    try:
        one_pass = CONTENDERS[name](case)
        found = first_pass(one_pass)
    except (ImportError, AbsentError) as error:
        print(json.dumps({"absent": f"{type(error).__name__}: {error}"}), file=output)
        return
    print(json.dumps(found), file=output)
    for line in sys.stdin:
        normalize = Normalize() if line.strip() == "normalise" else _as_it_is
        print(json.dumps(measure(one_pass, normalize=normalize)), file=output)


def _as_it_is(images: Tensor) -> Tensor:
    return images


if __name__ == "__main__":
    main()
