"""What wrong input gets: a message of a line or two that says what to do, code 2, no trace, nothing lost."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

from command import SHORT, Done, command
from imgrec.core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from imgrec.core.files.run_folder import lock_run_folder
from project import PROJECT

CLASSES = ("ant", "bee", "cat")
ON_IMAGES = ("data=folder", "data.root=images", "preprocess=small", "augment=none", "data.num_workers=0")
SEVERAL = ("data=table", "data.path=several.csv", "data.label_delimiter='+'", "preprocess=small", "data.num_workers=0")


def save_image(path: Path, *, width: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(path.as_posix().encode())).integers(0, 256, (20, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


class Stranger:
    """An object that would run code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, ("touch code_was_run",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders and files to go wrong with, and two trained checkpoints: digits/best.ckpt and images.run/best.ckpt."""
    folder = tmp_path_factory.mktemp("bad")
    for split, count in (("train", 6), ("val", 3), ("test", 3)):
        for name in CLASSES:
            for index in range(count):
                save_image(folder / "images" / split / name / f"{index}.png")
    for index in range(6):
        save_image(folder / "one" / "ant" / f"{index}.png")
        save_image(folder / "dogs" / "dog" / f"{index}.png")
        for name in ("ant", "bee"):
            save_image(folder / "empty" / name / f"{index}.png")
            save_image(folder / "sizes" / name / f"{index}.png", width=24 + index)
    (folder / "empty" / "cat").mkdir()
    paths = sorted(folder.glob("images/*/*/*.png"))
    rows = [f"{path},{path.parent.name}+{CLASSES[index % 3]}" for index, path in enumerate(paths)]
    (folder / "several.csv").write_text("\n".join(["path,label", *rows]))
    with contextlib.chdir(folder):
        assert command("train", *SHORT, "run_dir=digits").code == 0
        assert command("train", *SHORT, *ON_IMAGES, "run_dir=images.run").code == 0
        payload = load_checkpoint("images.run/best.ckpt")
        untrusted = {**payload, "imgrec": {**payload["imgrec"], "config": {"model": {"_target_": "os.system"}}}}
        save_checkpoint(untrusted, "untrusted.ckpt")
        save_checkpoint({key: value for key, value in payload.items() if key != "imgrec"}, "bare.ckpt")
        torch.save({**payload, "note": Stranger()}, "stranger.ckpt")
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Be in the folder of `made`; runs go to a folder of their own."""
    monkeypatch.chdir(made)
    return tmp_path / "run"


def check(done: Done, message: str) -> None:
    lines = [line for line in done.err.splitlines() if not line.startswith("epoch ")]
    assert done.code == 2, done.err
    assert len(lines) <= 2
    assert lines[0].startswith("imgrec: error: ")
    assert "Traceback" not in done.err + done.out
    for part in message.split(" ... "):
        assert part in " ".join(lines)


TRAINING = [
    (["optimizer.lrr=1"], "There is no key 'optimizer.lrr'. Did you mean 'optimizer.lr'?"),
    (["optimizer.lr=-1"], "optimizer.lr=-1, but it must be above 0"),
    (["optimizer.lr=fast"], "optimizer.lr=fast, but it must be a number"),
    (["model=resnet5"], "There is no model 'resnet5'. Did you mean 'resnet50'"),
    (["model=torchvision", "model.name=resnet_50"], "no classifier 'resnet_50'. Did you mean 'resnet50'"),
    (["model=resnet18", "model.weights=DEFALT"], "no weights 'DEFALT'. Did you mean 'DEFAULT'"),
    (["model=resnet18", "model.weights=nowhere.pth"], "no weights file at nowhere.pth"),
    (["model=cifar_resnet", "model.weights=digits/best.ckpt"], "digits/best.ckpt is for another model"),
    (["model.weights=stranger.ckpt"], "contains Python objects"),
    (["data=folder", "data.root=imagse"], "data.root=imagse: no folder 'imagse' ... Did you mean 'images'"),
    (["data=folder", "data.root=one"], "one class only (ant)"),
    (["data=folder", "data.root=empty"], "Class folders without images: empty/cat. Fill or remove them"),
    (["data=folder", "data.root=sizes", "preprocess=none", "augment=none"], "set preprocess=crop or squash"),
    (["data=folder"], "Set data.root=FOLDER"),
    (["data=folder", "data.test=images/test"], "The data has no train split"),
    (["data.val_fraction=0"], "The data has no val split ... data.val_fraction above 0"),
    (["data=table", "data.path=several.csv", "data.label_column=lable"], "no column 'lable'. Did you mean 'label'"),
    ([*SEVERAL], "several labels per image ... Add loss=bce metrics=multilabel"),
    ([*SEVERAL, "loss=bce"], "several labels per image ... Add metrics=multilabel"),
    (["metrics=multilabel"], "one label per image ... Add metrics=single"),
    (["loss=bce"], "The data has one label per image ... Set loss=cross_entropy ... loss.one_hot=true"),
    (["data.num_classes=12"], "10 classes in the data, but data.num_classes=12. Set data.num_classes=10"),
    (["data.batch_size=0"], "data.batch_size=0, but it must be a whole number, 1 or more"),
    (["trainer.max_epochs=0"], "trainer.max_epochs=0 trains nothing"),
    (["+trainer.limit_trian_batches=2"], "trainer.limit_trian_batches is not a ... Did you mean 'limit_train_batches'"),
    (["+trainer.fast_dev_run=true"], "trainer.fast_dev_run evaluates one batch"),
    (["trainer.precision=17"], "Precision 17 is invalid"),
    (["trainer.gpus=none"], "trainer.gpus=none: use auto, 0 (CPU)"),
    (["monitor=val/acuracy"], "monitor=val/acuracy is not a metric of this run. Did you mean 'val/accuracy'"),
    (["callbacks=ema"], "callbacks lack RunLog and Checkpoints"),
    (["~scheduler"], "classifier.scheduler refers to 'scheduler', which does not exist"),
    (["resume=sometimes"], "resume=sometimes: use auto, never, or the path of a checkpoint"),
    (["resume=bare.ckpt"], "without imgrec's record"),
    (["resume=stranger.ckpt"], "holds Python objects ... does not load it"),
    (["resume=images.run/best.ckpt"], "is of another model"),
    (["resume=digits/best.ckpt", "seed=2"], "the data (files, labels or split), seed ... resume_allow_changed=["),
    (["resume=digits/best.ckpt", "data.batch_size=32"], "data.batch_size. Set them back"),
    (["resume=digits/best.ckpt", "optimizer.lr=0.5"], "optimizer.lr (0.001, now 0.5)"),
    (["resume_allow_changed=[sed]"], "resume_allow_changed=sed: use one of ... Did you mean 'seed'"),
]


@pytest.mark.parametrize(
    ("overrides", "message"), TRAINING, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_a_wrong_input_of_training_is_explained(overrides, message, here):
    check(command("train", *SHORT, f"run_dir='{here}'", *overrides), message)


EVALUATION = [
    ([], "Nothing to evaluate. Give checkpoint=PATH"),
    (["model=small_cnn", "data=digits"], "A model without weights is untrained. Add model.weights=FILE"),
    (["checkpoint=digits/bets.ckpt"], "digits/bets.ckpt does not exist. Did you mean 'best.ckpt'"),
    (["checkpoint=images"], "images is not a file ... images/best.ckpt"),
    (["checkpoint=stranger.ckpt"], "holds Python objects ... does not load it"),
    (["checkpoint=untrusted.ckpt"], "model._target_=os.system: a checkpoint may not name this"),
    (["checkpoint=bare.ckpt"], "without imgrec's record ... model.weights=PATH"),
    (["checkpoint=digits/best.ckpt", "split=tset"], "split=tset: use one of train, val, test. Did you mean 'test'"),
    (["checkpoint=digits/best.ckpt", "data=folder", "data.test=dogs"], "does not know: dog. Known: 0, 1, 2"),
    (["checkpoint=digits/best.ckpt", "data.bacth_size=1"], "data.bacth_size is no key ... Did you mean 'batch_size'"),
    (
        ["model=small_cnn", "model.weights=digits/best.ckpt", "data=folder", "data.test=images/test"],
        "no head for so m",
    ),
]


@pytest.mark.parametrize(
    ("overrides", "message"), EVALUATION, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else ""
)
def test_a_wrong_input_of_evaluation_is_explained(overrides, message, here):
    check(command("evaluate", f"run_dir='{here}'", *overrides), message)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_a_gpu_that_is_not_there(verb, here):
    message = "trainer.gpus=1, but PyTorch sees no CUDA device. Set trainer.gpus=0 to run on the CPU."
    check(command(verb, f"run_dir='{here}'", "trainer.gpus=1", "model=resnet50"), message)


def test_no_network_when_weights_must_be_downloaded(here, monkeypatch, tmp_path):
    def refuse(*arguments: Any, **options: Any) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    done = command("train", *SHORT, f"run_dir='{here}'", "model=resnet18", "model.weights=DEFAULT")
    check(done, "Could not download ... Name or service not known ... model.weights=PATH ... model.weights=null")


def test_a_run_folder_in_use(here):
    with lock_run_folder(here):
        for verb in ("train", "evaluate"):
            check(command(verb, f"run_dir='{here}'"), f"{here} is in use by process {os.getpid()} ... run_dir=PATH")


@pytest.mark.parametrize("place", ["images/train/ant/0.png", "/proc/nothing"])
def test_a_run_folder_that_cannot_be_one(place, here):
    check(command("train", *SHORT, f"run_dir={place}"), f"{place} ... Give another folder: run_dir=PATH.")


def test_a_full_disk_loses_nothing(here):
    """A limit on the size of files stands in for the disk: the next checkpoint does not fit."""
    shutil.copytree("digits", here)
    before = {path.name: path.read_bytes() for path in here.glob("*.ckpt")}
    overrides = (*SHORT[1:], "trainer.max_epochs=2", f"run_dir='{here}'")
    done = subprocess.run(
        [sys.executable, PROJECT / "train.py", *overrides],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    check(Done(done.returncode, done.stdout, done.stderr), "the file is larger than the limit ... is unchanged")
    assert {path.name: path.read_bytes() for path in here.glob("*.ckpt")} == before
    assert list(here.rglob("*.part")) == []


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_image_that_breaks_during_training_loses_nothing(num_workers, here, tmp_path, monkeypatch):
    shutil.copytree("images", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    overrides = ("+trainer.limit_train_batches=1.0", *ON_IMAGES[:-1], f"data.num_workers={num_workers}", "run_dir=run")
    assert command("train", "trainer.max_epochs=1", *overrides).code == 0
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    cut_short(tmp_path / "images" / "train" / "bee" / "3.png")
    done = command("train", "trainer.max_epochs=2", *overrides)
    check(done, "images/train/bee/3.png: the file ends before the image does ... [truncated]")
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before
    save_image(tmp_path / "images" / "train" / "bee" / "3.png")
    assert command("train", "trainer.max_epochs=2", *overrides).code == 0


def test_no_code_of_a_stranger_was_run(made, here):
    check(command("evaluate", "checkpoint=stranger.ckpt", f"run_dir='{here}'"), "Python objects")
    assert not (made / "code_was_run").exists()


def test_the_trace_is_kept_for_whoever_wants_it(here):
    command("train", f"run_dir='{here}'", "data.batch_size=0")
    assert "Traceback" in (here / "error.log").read_text()


def test_debug_shows_the_trace(here, monkeypatch):
    monkeypatch.setenv("IMGREC_DEBUG", "0")
    done = command("train", "--debug", f"run_dir='{here}'", "data.batch_size=0")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("imgrec: error: data.batch_size=0")


COMBINED = [
    ["callbacks=[default,ema,early_stopping]"],
    ["mixing=mixup_cutmix"],
    ["loss=bce", "loss.one_hot=true"],
    [*SEVERAL, "loss=bce", "metrics=multilabel", "mixing=mixup"],
]


@pytest.mark.parametrize("overrides", COMBINED, ids=" ".join)
def test_parts_that_go_together_do(overrides, here):
    done = command("train", *SHORT, f"run_dir='{here}'", *overrides)
    assert done.code == 0, done.err
    assert (here / "result.json").exists()


def test_half_precision_on_the_cpu_is_replaced_aloud(here):
    with pytest.warns(UserWarning, match="fp16 is not supported on CPU. Using `precision='bf16-mixed'` instead"):
        assert command("train", *SHORT, f"run_dir='{here}'", "trainer.precision=16-mixed", "trainer.gpus=0").code == 0
