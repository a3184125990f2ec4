"""`import imgrec`: its names, and that jobs called from Python leave the process as they found it."""

import importlib
import logging
import pkgutil
import random
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAUROC

import imgrec
from imgrec.errors import CheckpointError, ConfigError, DataError, ImgrecError
from project import PROJECT

IMAGES = PROJECT / "tests" / "fixtures" / "before_layout" / "images"
SHORT = (
    "data=folder", "data.root=photos", "data.val_fraction=0.3", "data.test_fraction=0.3", "data.batch_size=4",
    "data.num_workers=0", "preprocess=small", "preprocess.size=16", "trainer.gpus=0", "trainer.max_epochs=1",
)  # fmt: skip
SMALL = ("model=small_cnn", "model.channels=[4,4]", "model.hidden=8")


class Flat(nn.Module):
    """A network that a user might bring: uint8 images (N, 3, 16, 16) to logits (N, C)."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(3 * 16 * 16, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.float().flatten(1) / 255)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(IMAGES, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(IMAGES, folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return imgrec.train(*SHORT, *SMALL, f"run_dir={folder / 'first'}", f"data.root={folder / 'photos'}")


def process_state() -> dict[str, Any]:
    return {
        "random": random.getstate(),
        "numpy": [part.tolist() if isinstance(part, np.ndarray) else part for part in np.random.get_state()],  # type: ignore[union-attr]
        "torch": torch.get_rng_state().tolist(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "signals": [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)],
        "logging": (logging.getLogger().level, list(logging.getLogger().handlers)),
        "excepthook": threading.excepthook,
    }


# Names


def test_the_public_names_are_these():
    assert sorted(imgrec.__all__) == [
        "Audit", "Comparison", "Evaluation", "Explanation", "Model", "Prediction", "Sweep", "TrainingRun",
        "audit", "compare", "errors", "evaluate", "load", "sweep", "train",
    ]  # fmt: skip


def test_no_module_takes_the_place_of_a_public_function():
    """Importing a submodule sets an attribute of the package: `import imgrec.train` would replace the function."""
    for module in pkgutil.walk_packages(imgrec.__path__, "imgrec."):
        if not module.name.startswith(("imgrec.serve.engine.decode_worker", "imgrec.core.system.worker_process")):
            importlib.import_module(module.name)
    for name in imgrec.__all__:
        if name != "errors":
            assert callable(getattr(imgrec, name)), name
    assert callable(imgrec.load)
    with pytest.raises(ConfigError):
        imgrec.load("nothing.onnx")


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="trian"):
        imgrec.trian  # noqa: B018


# Training


def test_a_training_returns_its_metrics_model_folder_and_report(run: imgrec.TrainingRun):
    assert 0 <= run.metrics["accuracy"] <= 1
    assert run.model.class_names == ["blue", "green", "red"]
    assert run.report.is_file()
    assert run.result["metrics"]["accuracy"] == run.metrics["accuracy"]
    assert "accuracy" in run._repr_html_()


def test_a_second_training_in_the_process_gives_the_same_and_leaves_the_process_as_it_was(
    photos: Path, run: imgrec.TrainingRun
):
    before = process_state()
    again = imgrec.train(*SHORT, *SMALL, f"data.root={photos}", "run_dir=again")
    after = process_state()
    assert {name for name in before if before[name] != after[name]} == set()
    assert again.metrics == run.metrics


def test_objects_take_the_place_of_groups(photos: Path):
    losses = []

    def my_loss(logits: Tensor, labels: Tensor) -> Tensor:
        losses.append(len(labels))
        return nn.functional.cross_entropy(logits, labels)

    run = imgrec.train(*SHORT, "run_dir=mine", model=Flat(3), loss=my_loss)
    assert losses
    with pytest.raises(CheckpointError, match=r"was an object from Python .*Flat.* model=Flat"):
        imgrec.load(run.checkpoint)
    loaded = imgrec.load(run.checkpoint, model=Flat(3))
    (image,) = list(photos.rglob("red_0.png"))
    assert loaded.predict(image) == run.model.predict(image)
    evaluation = imgrec.evaluate("checkpoint=mine/best.ckpt", "trainer.gpus=0", "run_dir=e", model=Flat(3))
    assert evaluation.metrics["accuracy"] == run.metrics["accuracy"]


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"modl": Flat(3)}, "no group 'modl'.*Did you mean 'model'"),
        ({"max_epochs": 1}, "Keys are overrides"),
        ({"model": "resnet18"}, 'type str, but it must be an nn.Module, or the override "model=resnet18"'),
        ({"model": Flat}, r"model=Flat is a class. Give an instance: model=Flat\("),
        ({"loss": nn.CrossEntropyLoss}, "loss=CrossEntropyLoss is a class"),
        ({"loss": 3}, "loss is of type int, but it must be callable"),
        ({"optimizer": torch.optim.SGD(Flat(3).parameters())}, "function of the network"),
        ({"metrics": [1]}, "must be a MetricCollection, or a dict"),
        ({"data": "photos"}, "must be an ImageDataModule"),
    ],
)
def test_an_object_that_cannot_be_used_is_refused_before_anything_runs(objects: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        imgrec.train(*SHORT, **objects)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"model": Flat(10)}, r"shape \(2, 10\) for 2 images, but the data has 3 classes \(blue, green, red\)"),
        ({"model": Flat(2)}, r"must return \(2, 3\)"),
        ({"model": nn.Flatten()}, "must return logits, a float tensor"),
        ({"model": nn.Linear(3, 3)}, "model was called with uint8 images .* and raised RuntimeError"),
        ({"loss": lambda logits: logits.mean()}, "loss was called with logits .* raised TypeError"),
        ({"loss": nn.CrossEntropyLoss(reduction="none")}, "must return a scalar tensor"),
        ({"loss": lambda *_: 1.0}, "loss returns float"),
        ({"metrics": {"accuracy": MulticlassAUROC(10)}}, r"metrics\['accuracy'\] was called"),
        ({"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=1)}, "optimizer was called with the network"),
        ({"scheduler": torch.optim.lr_scheduler.StepLR}, "scheduler was called with the optimizer, total_steps=10"),
    ],
)
def test_an_object_that_does_not_keep_its_contract_is_refused_before_training(
    photos: Path, objects: dict[str, Any], message: str
):
    with pytest.raises(ConfigError, match=message):
        imgrec.train(*SHORT, *SMALL, "run_dir=refused", **objects)


def test_an_optimizer_may_be_a_class_or_one_with_options(photos: Path):
    imgrec.train(*SHORT, *SMALL, "run_dir=a", optimizer=torch.optim.Adam)
    imgrec.train(*SHORT, *SMALL, "run_dir=b", optimizer=partial(torch.optim.SGD, lr=0.1))


def test_a_run_folder_among_the_images_is_refused(photos: Path):
    for folder in ("photos", "photos/run"):
        with pytest.raises(ConfigError, match=r"lies inside data\.root"):
            imgrec.train(*SHORT, *SMALL, f"run_dir={folder}")
    assert {path.name for path in photos.iterdir()} == {"blue", "green", "red"}


def test_jobs_work_inside_a_hydra_application_of_the_program_and_in_threads(photos: Path):
    from hydra import initialize
    from hydra.core.global_hydra import GlobalHydra

    with initialize(config_path=None, version_base="1.3"):
        own = GlobalHydra.instance().hydra
        imgrec.train(*SHORT, *SMALL, "run_dir=inside")
        assert GlobalHydra.instance().hydra is own
    with ThreadPoolExecutor(2) as pool:
        names = ["one", "two"]
        runs = list(pool.map(lambda name: imgrec.train(*SHORT, *SMALL, f"run_dir={name}"), names))
    assert [run.folder.name for run in runs] == names
    assert runs[0].metrics == runs[1].metrics


def test_a_sweep_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="No key has several values"):
        imgrec.sweep("trainer.max_epochs=1")
    with pytest.raises(ConfigError, match="jobs=0"):
        imgrec.sweep("seed=1,2", jobs=0)
    with pytest.raises(ConfigError, match="type int"):
        imgrec.sweep(3)  # type: ignore[arg-type]


def test_errors_have_the_messages_of_the_command_line_and_never_end_the_process(photos: Path):
    with pytest.raises(ConfigError, match=r"no data 'foldr'. Did you mean 'folder'"):
        imgrec.train("data=foldr")
    with pytest.raises(ConfigError, match="'nonsense' is not key=value"):
        imgrec.train("nonsense")
    with pytest.raises(DataError, match="no folder 'nowhere'"):
        imgrec.train("data=folder", "data.root=nowhere")
    with pytest.raises(ImgrecError, match=r"gone\.ckpt"):
        imgrec.evaluate("checkpoint=gone.ckpt")
    with pytest.raises(DataError):
        imgrec.audit("nowhere")
    with pytest.raises(DataError):
        imgrec.compare("a", "b")


# Evaluation, comparison, export


def test_an_evaluation_gives_its_metrics_table_matrix_and_figures(run: imgrec.TrainingRun, tmp_path: Path):
    evaluation = imgrec.evaluate(
        f"checkpoint={run.checkpoint}",
        "trainer.gpus=0",
        f"run_dir={tmp_path / 'e'}",
        metrics={"mine": MulticlassAUROC(3)},
    )
    assert evaluation.metrics["mine"] == pytest.approx(evaluation.metrics["auroc"]["macro"], abs=1e-6)
    table = evaluation.predictions.to_pandas()
    assert evaluation.confusion_matrix().sum() == len(table) == evaluation.metrics["num_samples"]
    assert evaluation.plot("confusion_matrix").axes
    with pytest.raises(ConfigError, match="confusion_matrix"):
        evaluation.plot("roc")
    page = evaluation._repr_html_()
    assert f"<td>{len(table)}</td>" in page
    assert f"<td>{evaluation.metrics['accuracy']:.4f}</td>" in page


def test_a_metric_may_not_take_the_name_of_a_built_in_one(run: imgrec.TrainingRun, tmp_path: Path):
    with pytest.raises(ConfigError, match="'accuracy' is a built-in metric"):
        imgrec.evaluate(
            f"checkpoint={run.checkpoint}", "trainer.gpus=0", f"run_dir={tmp_path / 'e'}",
            metrics={"accuracy": MulticlassAUROC(3)},
        )  # fmt: skip


@pytest.mark.parametrize("metrics", [[MulticlassAUROC(3)], "accuracy", {"a": len}, {"a": MulticlassAUROC}])
def test_metrics_are_a_dict_of_torchmetrics(run: imgrec.TrainingRun, metrics: Any):
    with pytest.raises(ConfigError, match="a dict of torchmetrics"):
        imgrec.evaluate(f"checkpoint={run.checkpoint}", metrics=metrics)


def test_a_metric_for_other_classes_is_named(run: imgrec.TrainingRun, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"metrics\['mine'\] was called with probabilities"):
        imgrec.evaluate(
            f"checkpoint={run.checkpoint}", "trainer.gpus=0", f"run_dir={tmp_path / 'e'}",
            metrics={"mine": MulticlassAUROC(7)},
        )  # fmt: skip


def test_a_network_of_ones_own_is_exported(photos: Path):
    run = imgrec.train(*SHORT, "run_dir=mine", model=Flat(3))
    for file in ("mine.onnx", "mine.pt2"):
        exported = imgrec.load(run.model.export(file, images="photos"))
        for ours, theirs in zip(run.model.predict("photos"), exported.predict("photos"), strict=True):
            assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)
    with pytest.raises(ConfigError, match=r"use \.pt2"):
        run.model.export("mine.safetensors", images="photos")


def test_a_model_is_exported_and_predicts_the_same(run: imgrec.TrainingRun, photos: Path):
    exported = imgrec.load(run.model.export("model.onnx", images="photos"))
    for ours, theirs in zip(run.model.predict("photos"), exported.predict("photos"), strict=True):
        assert ours.probabilities == pytest.approx(theirs.probabilities, abs=1e-5)


def test_in_a_script_given_with_c_a_training_runs_and_ends(photos: Path):
    code = f"import imgrec; print(imgrec.train(*{(*SHORT, *SMALL)!r}).metrics['num_samples'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 5
