"""The checks of a job, in two places: the configuration before the data is read, the run before the first epoch."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import Callback, Trainer
from torchmetrics import Metric, MetricCollection

from imgrec.core.config.checks import check_choice, check_count
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.data.samples import Task
from imgrec.errors import ConfigError, DataError, did_you_mean
from imgrec.training.callbacks.checkpoints import Checkpoints
from imgrec.training.callbacks.run_log import RunLog
from imgrec.training.classifier import Classifier
from imgrec.training.resume import CHECKED

__all__ = ["check_config", "check_run", "check_trainer"]

_SEEDS = 2**32  # as many as NumPy takes


def check_config(config: DictConfig) -> None:
    """Check the keys that no object of imgrec checks, before the data is read.

    Raises:
        ConfigError: A value out of range or not among the choices.
    """
    check_count("seed", config.seed, at_least=0, at_most=_SEEDS - 1)
    if config.get("data") and "seed" in config.data:
        check_count("data.seed", config.data.seed, at_least=0, at_most=_SEEDS - 1)
    check_choice("mode", config.get("mode", "max"), ["max", "min"])
    allowed = config.get("resume_allow_changed")
    names = allowed if OmegaConf.is_list(allowed) else [allowed]
    for name in [] if allowed is None else names:
        check_choice("resume_allow_changed", name, list(CHECKED))
    if isinstance(allowed, str):
        raise ConfigError(f"resume_allow_changed={allowed}: write a list, resume_allow_changed=[{allowed}].")
    _check_lengths(config.trainer)
    _check_run_folder(config)


def _check_lengths(trainer: DictConfig) -> None:
    if trainer.get("max_epochs") == 0:
        raise ConfigError(
            "trainer.max_epochs=0 trains nothing. Set 1 or more; evaluate.py evaluates a model without training."
        )
    if trainer.get("max_epochs") not in (None, -1):  # -1: until a number of steps, a time, or early stopping
        check_count("trainer.max_epochs", trainer.max_epochs, at_least=1)
    for key in ("log_every_n_steps", "accumulate_grad_batches", "devices"):
        if trainer.get(key) is not None:
            check_count(f"trainer.{key}", trainer[key], at_least=1)


def _check_run_folder(config: DictConfig) -> None:
    """Refuse a run folder among the images: its folders would become classes of the next run."""
    data, run = config.get("data") or {}, Path(config.run_dir).resolve()
    for key in ("root", "train", "val", "test"):
        place = data.get(key)
        if isinstance(place, str) and Path(place).is_dir() and run.is_relative_to(Path(place).resolve()):
            raise ConfigError(f"run_dir={config.run_dir} lies inside data.{key}={place}. Choose a folder outside it.")


def check_run(
    config: DictConfig, data: ImageDataModule, classifier: Classifier, *, callbacks: Sequence[Callback]
) -> None:
    """Check what depends on configuration, data and classifier together.

    Raises:
        ConfigError: A callback that writes the result is missing, the loss or a metric is for another task, or a
            monitored metric does not exist.
        DataError: No training or no validation images.
    """
    _check_callbacks(callbacks)
    _check_splits(data)
    _check_task(data.splits.task, classifier)
    _check_monitors(config, callbacks, classifier.val_metrics.metrics)


def _check_task(task: Task, classifier: Classifier) -> None:
    """Check that loss and metrics are made for the task of the data; those without a `task` attribute pass.

    Raises:
        ConfigError: The loss or a metric is for the other task.
    """
    found = "several labels" if task == "multilabel" else "one label"
    if getattr(classifier.loss, "task", task) != task:
        remedy = (
            "Add loss=bce metrics=multilabel."
            if task == "multilabel"
            else "Set loss=cross_entropy, or with loss=bce also loss.one_hot=true: each class against the rest."
        )
        raise ConfigError(f"The data has {found} per image, the loss is for another task. {remedy}")
    tasks = {task_of_metric(metric) for metric in classifier.val_metrics.metrics.values()}
    if tasks - {task, None}:
        raise ConfigError(f"The data has {found} per image, a metric is for another task. Add metrics={task}.")


def task_of_metric(metric: Metric) -> Task | None:
    """Return the `task` of a metric; without one, what `num_labels` or `num_classes` of torchmetrics imply."""
    task: Task | None = getattr(metric, "task", None)
    if task is None and hasattr(metric, "num_labels"):
        return "multilabel"
    return "single" if task is None and hasattr(metric, "num_classes") else task


def _check_callbacks(callbacks: Sequence[Callback]) -> None:
    missing = [kind.__name__ for kind in (RunLog, Checkpoints) if not any(isinstance(c, kind) for c in callbacks)]
    if missing:
        raise ConfigError(
            f"The callbacks lack {' and '.join(missing)}, without which a run leaves no result. "
            "Keep the default ones: callbacks=[default,ema]."
        )


def check_trainer(trainer: Trainer) -> None:
    """Refuse options that would evaluate part of the images, or replace imgrec's order of samples.

    Raises:
        ConfigError: One of them is set.
    """
    instead = "For a quick try: trainer.max_epochs=1 +trainer.limit_train_batches=2."
    if trainer.fast_dev_run:  # type: ignore[attr-defined]
        raise ConfigError(f"trainer.fast_dev_run evaluates one batch and keeps no checkpoint. {instead}")
    if trainer.overfit_batches:  # type: ignore[attr-defined]
        raise ConfigError(f"trainer.overfit_batches replaces the order of the samples. Train on a small set. {instead}")
    limit = trainer.limit_test_batches
    if isinstance(limit, int) or limit < 1:
        raise ConfigError(
            f"trainer.limit_test_batches={limit} evaluates part of the images. Remove it, or evaluate on a smaller set."
        )


def _check_splits(data: ImageDataModule) -> None:
    for name, purpose in (("train", "to train on"), ("val", "to choose the best epoch by")):
        samples = getattr(data.splits, name)
        if samples is None or not len(samples):
            share = " (data.val_fraction above 0 takes them from the training data)" if name == "val" else ""
            raise DataError(f"The data has no {name} split: no images {purpose}. Give some{share}.")


def _check_monitors(config: DictConfig, callbacks: Sequence[Callback], metrics: MetricCollection) -> None:
    """Check that every metric that a callback or the schedule monitors exists in this run.

    The user's own callbacks may log more metrics, so with one of those nothing is refused.
    """
    if any(not type(callback).__module__.startswith(("imgrec.", "pytorch_lightning.")) for callback in callbacks):
        return
    one_each = [name for name, metric in metrics.items() if getattr(metric, "average", "") not in (None, "none")]
    known = [f"{split}/{name}" for split in ("train", "val") for name in ("loss", *one_each)]
    parts = {"scheduler": config.get("scheduler")}
    parts |= {f"callbacks.{name}": part for name, part in config.callbacks.items()}
    for key, name in ((f"{part}.monitor", node.get("monitor")) for part, node in parts.items() if node):
        if name is not None and name not in known:
            key = "monitor" if name == config.get("monitor") else key
            raise ConfigError(
                f"{key}={name} is not a metric of this run.{did_you_mean(str(name), known)} "
                f"There are: {', '.join(known)}."
            )
