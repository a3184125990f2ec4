"""Decisions fitted at the end of training, stored in the checkpoint, applied by evaluate, or fitted again."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from command import SHORT, command, composed
from imgrec.core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from imgrec.errors import CheckpointError, ConfigError
from imgrec.evaluate_job import run_evaluation
from imgrec.evaluation import read_parquet
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.fit_on_split import read_decisions, store_decisions
from imgrec.train_job import run_training

# Rules that are available from 180 images of digits after two training steps.
RULES = ("decisions.risks=[0.9]", "decisions.coverages=[0.8]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two steps on the digits."""
    folder = tmp_path_factory.mktemp("digits") / "run"
    run_training(composed("train", folder, *SHORT, *RULES))
    return folder


def contents(folder: Path, name: str = "decisions") -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def scored(folder: Path, *overrides: str) -> dict[str, Any]:
    """Evaluate into `folder` and return decisions.json."""
    run_evaluation(composed("evaluate", folder, "trainer.gpus=0", *overrides))
    return contents(folder)


def stripped(run: Path, folder: Path) -> Path:
    """Return a copy of the best checkpoint as an earlier imgrec wrote it: without decisions."""
    checkpoint = load_checkpoint(run / "best.ckpt")
    del checkpoint["imgrec"]["decisions"]
    save_checkpoint(checkpoint, folder / "old.ckpt")
    return folder / "old.ckpt"


def test_the_best_checkpoint_carries_what_was_fitted_on_validation(run: Path) -> None:
    checkpoint = load_checkpoint(run / "best.ckpt")
    decisions = read_decisions(checkpoint, name="best.ckpt")
    assert decisions == Decisions.from_dict(checkpoint["imgrec"]["decisions"])
    assert decisions.fitted_on is not None
    assert (decisions.fitted_on.split, decisions.fitted_on.num_samples) == ("val", 180)
    assert list(decisions.conformal) == ["lac_80", "aps_80"]
    assert decisions.temperature != 1
    assert "decisions" not in load_checkpoint(run / "last.ckpt")["imgrec"]


def test_the_table_and_its_probabilities_are_at_that_temperature(run: Path) -> None:
    decisions = read_decisions(load_checkpoint(run / "best.ckpt"), name="best.ckpt")
    table = read_parquet(run / "evaluation" / "predictions.parquet")
    assert table.temperature == decisions.temperature == contents(run / "evaluation")["temperature"]
    np.testing.assert_array_equal(table.probabilities, decisions.probabilities(table.logits))


def test_evaluating_applies_what_the_checkpoint_carries(run: Path, tmp_path: Path) -> None:
    assert scored(tmp_path, f"checkpoint='{run}/best.ckpt'") == contents(run / "evaluation")
    assert contents(tmp_path, "metrics") == contents(run / "evaluation", "metrics")


def test_fitting_again_on_validation_gives_the_same(run: Path, tmp_path: Path) -> None:
    overrides = (f"checkpoint='{run}/best.ckpt'", "decisions=default", *RULES)
    assert scored(tmp_path, *overrides) == contents(run / "evaluation")


def test_a_finished_run_that_is_scored_again_leaves_the_checkpoint_as_it_is(run: Path) -> None:
    before = (run / "best.ckpt").stat()
    run_training(composed("train", run, *SHORT, *RULES))
    after = (run / "best.ckpt").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_other_rules_for_a_finished_run_change_its_record_and_nothing_else(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    save_checkpoint(load_checkpoint(run / "best.ckpt"), path)
    before = load_checkpoint(path)
    store_decisions(Decisions("single", tuple(before["imgrec"]["class_names"]), temperature=3.0), before, path=path)
    after = load_checkpoint(path)
    assert read_decisions(after, name="x").temperature == 3
    assert after["state_dict"].keys() == before["state_dict"].keys()
    assert all((after["state_dict"][name] == value).all() for name, value in before["state_dict"].items())
    for record in (before["imgrec"], after["imgrec"]):
        del record["decisions"]
    assert after["imgrec"] == before["imgrec"]


def test_a_kill_while_the_checkpoint_is_written_leaves_the_old_one(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "best.ckpt"
    save_checkpoint(load_checkpoint(run / "best.ckpt"), path)
    before = path.read_bytes()

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imgrec.core.files.atomic_write._put_in_place", killed)
    with pytest.raises(KeyboardInterrupt):
        store_decisions(Decisions("single", ("a", "b")), load_checkpoint(path), path=path)
    assert path.read_bytes() == before


def test_a_checkpoint_without_decisions_is_scored_at_temperature_1_with_a_warning(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="imgrec"):
        found = scored(tmp_path, f"checkpoint='{stripped(run, tmp_path)}'")
    assert "old.ckpt has no temperature and no decision rules: decisions=default fits them" in caplog.text
    assert (found["temperature"], found["fitted_on"], found["reject"]) == (1, None, [])
    assert "has no temperature" in found["notes"][0]
    assert contents(tmp_path, "metrics")["accuracy"] == contents(run / "evaluation", "metrics")["accuracy"]


def test_damaged_decisions_in_a_checkpoint_are_named(run: Path) -> None:
    checkpoint = load_checkpoint(run / "best.ckpt")
    checkpoint["imgrec"]["decisions"]["temperature"] = -1
    with pytest.raises(CheckpointError, match=r"best.ckpt: decisions.temperature is damaged: -1"):
        read_decisions(checkpoint, name="best.ckpt")


def test_decisions_for_other_classes_are_refused(run: Path) -> None:
    checkpoint = load_checkpoint(run / "best.ckpt")
    checkpoint["imgrec"]["decisions"] = Decisions("single", ("a", "b")).to_dict()
    with pytest.raises(CheckpointError, match="its decisions are for other classes than it has"):
        read_decisions(checkpoint, name="best.ckpt")


def test_a_part_of_the_scored_split_can_be_held_out_to_fit_on(run: Path, tmp_path: Path) -> None:
    overrides = (f"checkpoint='{stripped(run, tmp_path)}'", "decisions=holdout", "decisions.holdout=0.4", *RULES)
    found = scored(tmp_path / "one", *overrides)
    assert (found["fitted_on"]["split"], found["scored_on"]["split"]) == ("holdout", "test")
    assert found["fitted_on"]["num_samples"] + found["scored_on"]["num_samples"] == 359
    assert found["fitted_on"]["num_samples"] == pytest.approx(0.4 * 359, abs=1)
    assert found["is_optimistic"] is False
    kept = read_parquet(tmp_path / "one" / "predictions.parquet")
    whole = read_parquet(run / "evaluation" / "predictions.parquet")
    assert set(kept.names) < set(whole.names)
    counts = np.bincount(kept.labels, minlength=10) / np.bincount(whole.labels, minlength=10)
    assert counts == pytest.approx(np.full(10, 0.6), abs=0.03)


@pytest.mark.slow
def test_the_same_seed_holds_out_the_same_images(run: Path, tmp_path: Path) -> None:
    overrides = (f"checkpoint='{run}/best.ckpt'", "decisions=holdout", *RULES)
    assert scored(tmp_path / "one", *overrides) == scored(tmp_path / "two", *overrides)


@pytest.mark.slow
def test_validation_can_be_split_too(run: Path, tmp_path: Path) -> None:
    found = scored(tmp_path, f"checkpoint='{run}/best.ckpt'", "split=val", "decisions=holdout", *RULES)
    assert found["fitted_on"] == {"split": "holdout", "num_samples": 90}
    assert found["scored_on"] == {"split": "val", "num_samples": 90}
    assert found["is_optimistic"] is False


def test_scoring_validation_by_rules_of_validation_is_called_optimistic(run: Path, tmp_path: Path) -> None:
    assert scored(tmp_path, f"checkpoint='{run}/best.ckpt'", "split=val")["is_optimistic"] is True


@pytest.mark.slow
def test_without_a_test_split_validation_is_predicted_once(tmp_path: Path, monkeypatch: Any) -> None:
    import imgrec.evaluation.fit_on_split as deciding

    calls = []

    def counted(*arguments: Any, split: str, **others: Any) -> Any:
        calls.append(split)
        return predict(*arguments, split=split, **others)

    predict = deciding.predict
    monkeypatch.setattr(deciding, "predict", counted)
    run_training(composed("train", tmp_path, *SHORT, *RULES, "data.test_fraction=0"))
    assert calls == ["val"]
    assert contents(tmp_path / "evaluation")["is_optimistic"] is True


@pytest.mark.slow
def test_weights_alone_are_fitted_on_a_part_or_not_at_all(run: Path, tmp_path: Path) -> None:
    overrides = ("model=small_cnn", f"model.weights='{run}/best.ckpt'", "data=digits")
    assert "Weights carry no temperature" in scored(tmp_path / "one", *overrides)["notes"][0]
    assert scored(tmp_path / "two", *overrides, "decisions=holdout", *RULES)["temperature"] != 1


def test_no_decisions_can_be_wished_for(tmp_path: Path) -> None:
    run_training(composed("train", tmp_path, *SHORT, "decisions=none"))
    found = contents(tmp_path / "evaluation")
    assert (found["temperature"], found["fitted_on"]) == (1, None)
    assert read_decisions(load_checkpoint(tmp_path / "best.ckpt"), name="x").temperature == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("decisions=holdout",), r"decisions.holdout=0.5: training fits on validation. Leave it null."),
        (("decisions.risks=[2]",), r"decisions.risks=2, but it must be above 0 and below 1"),
        (("decisions.costs={x: {ant: {9: 2}}}",), r"decisions.costs.x: 'ant' is not a class of the data"),
        (("decisions.risks=0.05",), r"decisions.risks=0.05, but it must be a list"),
        (("decisions.risk=[0.05]",), r"decisions.risk"),
    ],
)
def test_what_training_cannot_decide_is_found_before_it_trains(
    overrides: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("train", *SHORT, *overrides, "run_dir=run")
    assert done.code == 2
    assert message.replace("\\", "") in done.err
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_validation_that_is_not_there_cannot_be_fitted_on(run: Path, tmp_path: Path) -> None:
    overrides = (f"checkpoint='{run}/best.ckpt'", "data.val_fraction=0", "decisions=default")
    with pytest.raises(ConfigError, match="no val split to fit decisions on"):
        run_evaluation(composed("evaluate", tmp_path, *overrides))


def test_rules_without_a_choice_of_what_to_fit_them_on_are_refused(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Else they would be ignored: the checkpoint has its own."""
    monkeypatch.chdir(tmp_path)
    done = command("evaluate", f"checkpoint='{run}/best.ckpt'", "decisions.risks=[0.02]")
    assert done.code == 2
    assert "decisions" in done.err


def test_rules_are_added_on_the_command_line(tmp_path: Path) -> None:
    overrides = (
        "decisions.costs={sixes: {6: {8: 20}}}",
        "+decisions.operating_points.seven={specificity: 0.9, classes: [7]}",
        "decisions.conformal=[lac]",
    )
    run_training(composed("train", tmp_path, *SHORT, *RULES, *overrides))
    decisions = read_decisions(load_checkpoint(tmp_path / "best.ckpt"), name="x")
    assert decisions.costs["sixes"].costs[6][8] == 20
    assert [i for i, one in enumerate(decisions.operating_points["seven"].thresholds) if one is not None] == [7]
    assert list(decisions.conformal) == ["lac_80"]


@pytest.mark.slow
def test_asking_for_no_decisions_ignores_those_of_the_checkpoint(run: Path, tmp_path: Path) -> None:
    found = scored(tmp_path, f"checkpoint='{run}/best.ckpt'", "decisions=none")
    assert (found["temperature"], found["reject"]) == (1, [])
    assert "because of decisions=none" in found["notes"][0]
