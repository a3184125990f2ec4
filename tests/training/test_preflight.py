"""What is found wrong before any data is read or any epoch is trained."""

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback

from command import composed
from imgrec.core.config.build import build_all
from imgrec.data.samples import Splits
from imgrec.errors import ConfigError, DataError
from imgrec.training import preflight
from imgrec.training.callbacks import Checkpoints, RunLog
from imgrec.training.trainer import make_trainer
from small_run import Noise, small_classifier


def config(*words: str, verb: str = "train") -> Any:
    return composed(verb, Path("out"), *words)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("seed=-1", "seed=-1, but it must be a whole number, from 0 to 4294967295"),
        ("seed=abc", "seed=abc, but it must be a whole number"),
        ("seed=4294967296", "seed=4294967296"),
        ("data.seed=null", "data.seed=null, but it must be a whole number"),
        ("mode=maxx", "mode=maxx: use one of max, min. Did you mean 'max'?"),
        ("resume_allow_changed=[batchsize]", "resume_allow_changed=batchsize: use one of .*Did you mean 'batch_size'"),
        ("resume_allow_changed=seed", r"write a list, resume_allow_changed=\[seed\]"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0 trains nothing. Set 1 or more"),
        ("trainer.max_epochs=-2", "trainer.max_epochs=-2, but it must be a whole number, 1 or more"),
        ("trainer.max_epochs=abc", "trainer.max_epochs=abc, but"),
        ("trainer.log_every_n_steps=0", "trainer.log_every_n_steps=0, but"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0, but"),
        ("trainer.devices=0", "trainer.devices=0, but"),
    ],
)
def test_a_wrong_value_is_named(word, message):
    with pytest.raises(ConfigError, match=message):
        preflight.check_keys(config(word))


@pytest.mark.parametrize(
    "word", ["seed=0", "trainer.max_epochs=-1", "trainer.max_epochs=null", "resume_allow_changed=[seed,settings]"]
)
def test_a_right_value_passes(word):
    preflight.check_keys(config(word))


def test_the_configuration_of_evaluate_passes():
    preflight.check_keys(config(verb="evaluate"))
    preflight.check_keys(config("data.batch_size=7", verb="evaluate"))


def test_a_run_needs_the_callbacks_that_leave_its_result():
    with pytest.raises(ConfigError, match=r"lack RunLog and Checkpoints.*callbacks=\[default,ema\]"):
        preflight.check_callbacks(build_all(config("callbacks=ema").callbacks))
    with pytest.raises(ConfigError, match="lack Checkpoints, without"):
        preflight.check_callbacks(build_all(config("~callbacks.checkpoints").callbacks))
    preflight.check_callbacks([RunLog("x"), Checkpoints("x")])


@pytest.mark.parametrize(
    "options", [{"fast_dev_run": True}, {"overfit_batches": 1}, {"limit_test_batches": 2}, {"limit_test_batches": 0.5}]
)
def test_what_would_score_a_part_of_the_images_is_refused(options):
    trainer = make_trainer(gpus=0, logger=False, **options)
    with pytest.raises(ConfigError, match=f"trainer.{next(iter(options))}"):
        preflight.check_trainer(trainer)


def test_limits_on_training_and_validation_are_the_users():
    preflight.check_trainer(make_trainer(gpus=0, logger=False, limit_train_batches=2, limit_val_batches=2))


class Given(Noise):
    def __init__(self, splits: Splits) -> None:
        super().__init__()
        self._splits = splits


def test_data_without_validation_are_refused_with_the_way_out():
    full = Noise().splits
    with pytest.raises(DataError, match=r"no val split: no images to choose the best epoch by.*data\.val_fraction"):
        preflight.check_splits(Given(Splits(full.class_names, train=full.train)))
    empty = full.train.subset([]) if full.train else None
    with pytest.raises(DataError, match="no val split"):
        preflight.check_splits(Given(Splits(full.class_names, train=full.train, val=empty)))
    with pytest.raises(DataError, match="no train split: no images to train on"):
        preflight.check_splits(Given(Splits(full.class_names, test=full.test)))
    preflight.check_splits(Given(full))


def check_monitors(*words: str, more: Any = ()) -> None:
    made = config(*words)
    callbacks = [*build_all(made.callbacks), *more]
    preflight.check_monitors(made, callbacks, small_classifier().val_scores.scores)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["monitor=val/acuracy"], "^monitor=val/acuracy is not a score of this run. Did you mean 'val/accuracy'"),
        (
            ["callbacks.checkpoints.monitor=f1"],
            r"^callbacks\.checkpoints\.monitor=f1 .*There are: train/loss, train/ac",
        ),
        (["callbacks=[default,early_stopping]", "callbacks.early_stopping.monitor=x"], "early_stopping.monitor=x"),
        (["scheduler=plateau", "scheduler.monitor=val/los"], "^scheduler.monitor=val/los .*Did you mean 'val/loss'"),
        (["monitor=val/f1_per_class"], "^monitor=val/f1_per_class is not a score"),
    ],
)
def test_a_misspelt_score_is_found_before_the_first_epoch(words, message):
    with pytest.raises(ConfigError, match=message):
        check_monitors(*words)


def test_scores_of_the_run_may_be_watched():
    for name in ("val/accuracy", "val/loss", "val/f1", "train/loss"):
        check_monitors(f"monitor={name}", "scheduler=plateau")


def test_with_a_callback_of_the_users_own_any_score_may_be_watched():
    class Own(Callback): ...

    check_monitors("monitor=val/own", more=[Own()])
