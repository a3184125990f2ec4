"""What is found wrong before any data is read or any epoch is trained."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from torch import nn
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MultilabelAccuracy

from command import composed
from imgrec.core.config.build import build_all
from imgrec.data.samples import Samples, Splits
from imgrec.errors import ConfigError, DataError
from imgrec.training import preflight
from imgrec.training.losses import BinaryCrossEntropyLoss, CrossEntropyLoss
from imgrec.training.trainer import make_trainer
from small_run import Noise, noise, small_classifier


def config(*overrides: str, verb: str = "train") -> Any:
    return composed(verb, Path("out"), *overrides)


def check_run(made: Any, *, data: Any = None, more: Any = (), **parts: Any) -> None:
    callbacks = [*build_all(made.callbacks), *more]
    preflight.check_run(made, data or Noise(), small_classifier(**parts), callbacks=callbacks)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=-1", "seed=-1, but it must be a whole number, from 0 to 4294967295"),
        ("seed=abc", "seed='abc', but it must be a whole number"),
        ("seed=4294967296", "seed=4294967296"),
        ("data.seed=null", "data.seed=null, but it must be a whole number"),
        ("mode=maxx", "mode=maxx: use one of max, min. Did you mean 'max'?"),
        ("resume_allow_changed=[batchsize]", "resume_allow_changed=batchsize: use one of .*Did you mean 'batch_size'"),
        ("resume_allow_changed=seed", r"write a list, resume_allow_changed=\[seed\]"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0 trains nothing. Set 1 or more"),
        ("trainer.max_epochs=-2", "trainer.max_epochs=-2, but it must be a whole number, 1 or more"),
        ("trainer.max_epochs=abc", "trainer.max_epochs='abc', but"),
        ("trainer.log_every_n_steps=0", "trainer.log_every_n_steps=0, but"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0, but"),
        ("trainer.devices=0", "trainer.devices=0, but"),
    ],
)
def test_an_invalid_value_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        preflight.check_config(config(override))


@pytest.mark.parametrize(
    "override", ["seed=0", "trainer.max_epochs=-1", "trainer.max_epochs=null", "resume_allow_changed=[seed,settings]"]
)
def test_a_valid_value_passes(override):
    preflight.check_config(config(override))


def test_the_configuration_of_evaluate_passes():
    preflight.check_config(config(verb="evaluate"))
    preflight.check_config(config("data.batch_size=7", verb="evaluate"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("callbacks=ema", r"lack RunLog and Checkpoints.*callbacks=\[default,ema\]"),
        ("~callbacks.checkpoints", "lack Checkpoints, without"),
    ],
)
def test_a_run_needs_the_callbacks_that_write_its_result(override, message):
    with pytest.raises(ConfigError, match=message):
        check_run(config(override))
    check_run(config())


@pytest.mark.parametrize(
    "options", [{"fast_dev_run": True}, {"overfit_batches": 1}, {"limit_test_batches": 2}, {"limit_test_batches": 0.5}]
)
def test_an_evaluation_of_a_part_of_the_images_is_refused(options):
    trainer = make_trainer(gpus=0, logger=False, **options)
    with pytest.raises(ConfigError, match=f"trainer.{next(iter(options))}"):
        preflight.check_trainer(trainer)


def test_limits_on_training_and_validation_are_the_users():
    preflight.check_trainer(make_trainer(gpus=0, logger=False, limit_train_batches=2, limit_val_batches=2))


class Given(Noise):
    def __init__(self, splits: Splits) -> None:
        super().__init__()
        self._splits = splits


def test_data_without_training_or_validation_images_are_refused():
    full = Noise().splits
    with pytest.raises(DataError, match=r"no val split: no images to choose the best epoch by.*data\.val_fraction"):
        check_run(config(), data=Given(Splits(full.class_names, train=full.train)))
    empty = full.train.subset([]) if full.train else None
    with pytest.raises(DataError, match="no val split"):
        check_run(config(), data=Given(Splits(full.class_names, train=full.train, val=empty)))
    with pytest.raises(DataError, match="no train split: no images to train on"):
        check_run(config(), data=Given(Splits(full.class_names, test=full.test)))


def multilabel() -> Given:
    """Noise with the three labels of every image as 0 and 1."""
    splits = {}
    for name in ("train", "val"):
        samples = noise(name, 6)
        splits[name] = Samples(samples.names, samples.images, torch.eye(3).byte().repeat(2, 1).numpy())
    return Given(Splits(["a", "b", "c"], task="multilabel", **splits))


class OwnLoss(nn.Module):
    """A loss of the user's own, which names its task."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self.task = task


class OwnMetric(MeanMetric):
    """A metric of the user's own, which names its task."""

    def __init__(self, task: str) -> None:
        super().__init__()
        self.task = task


def metrics(metric: Metric) -> MetricCollection:
    return MetricCollection({"accuracy": metric})


MULTICLASS = metrics(MulticlassAccuracy(3))
MULTILABEL = metrics(MultilabelAccuracy(3))


@pytest.mark.parametrize(
    ("loss", "measured"),
    [
        (BinaryCrossEntropyLoss(), MULTILABEL),
        (nn.BCEWithLogitsLoss(), MULTILABEL),  # does not name its task: trusted
        (OwnLoss("multilabel"), metrics(OwnMetric("multilabel"))),
        (OwnLoss("multilabel"), metrics(MeanMetric())),
    ],
)
def test_a_loss_and_metrics_for_several_labels_pass(loss, measured):
    check_run(config(), data=multilabel(), loss=loss, metrics=measured)


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), BinaryCrossEntropyLoss(one_hot=True), OwnLoss("single")])
def test_a_loss_and_metrics_for_one_label_pass(loss):
    check_run(config(), loss=loss, metrics=metrics(OwnMetric("single")))
    check_run(config(), loss=loss, metrics=MULTICLASS)


@pytest.mark.parametrize(
    ("loss", "measured", "message"),
    [
        (CrossEntropyLoss(), MULTICLASS, "several labels per image.*Add loss=bce metrics=multilabel"),
        (BinaryCrossEntropyLoss(one_hot=True), MULTILABEL, "Add loss=bce metrics=multilabel"),
        (OwnLoss("single"), MULTILABEL, "several labels per image, the loss is for another task"),
        (BinaryCrossEntropyLoss(), MULTICLASS, "several labels per image.*Add metrics=multilabel"),
        (BinaryCrossEntropyLoss(), metrics(OwnMetric("single")), "Add metrics=multilabel"),
    ],
)
def test_a_loss_or_metric_for_one_label_is_refused_for_several(loss, measured, message):
    with pytest.raises(ConfigError, match=message):
        check_run(config(), data=multilabel(), loss=loss, metrics=measured)


@pytest.mark.parametrize(
    ("loss", "measured", "message"),
    [
        (BinaryCrossEntropyLoss(), MULTICLASS, "one label per image.*loss=cross_entropy.*loss.one_hot=true"),
        (OwnLoss("multilabel"), MULTICLASS, "one label per image"),
        (CrossEntropyLoss(), MULTILABEL, "one label per image.*Add metrics=single"),
        (CrossEntropyLoss(), metrics(OwnMetric("multilabel")), "Add metrics=single"),
    ],
)
def test_a_loss_or_metric_for_several_labels_is_refused_for_one(loss, measured, message):
    with pytest.raises(ConfigError, match=message):
        check_run(config(), loss=loss, metrics=measured)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["monitor=val/acuracy"], "^monitor=val/acuracy is not a metric of this run. Did you mean 'val/accuracy'"),
        (
            ["callbacks.checkpoints.monitor=f1"],
            r"^callbacks\.checkpoints\.monitor=f1 .*There are: train/loss, train/ac",
        ),
        (["callbacks=[default,early_stopping]", "callbacks.early_stopping.monitor=x"], "early_stopping.monitor=x"),
        (["scheduler=plateau", "scheduler.monitor=val/los"], "^scheduler.monitor=val/los .*Did you mean 'val/loss'"),
        (["monitor=val/f1_per_class"], "^monitor=val/f1_per_class is not a metric"),
    ],
)
def test_a_misspelt_metric_is_found_before_the_first_epoch(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check_run(config(*overrides))


def test_metrics_of_the_run_may_be_watched():
    for name in ("val/accuracy", "val/loss", "val/f1", "train/loss"):
        check_run(config(f"monitor={name}", "scheduler=plateau"))


def test_with_a_callback_of_the_users_own_any_metric_may_be_watched():
    class Own(Callback): ...

    check_run(config("monitor=val/own"), more=[Own()])
