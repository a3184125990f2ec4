"""What a wrong command line is told. On a small configuration of its own; the last tests take the real one."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from imgrec.cli.failure import DEBUG_VARIABLE
from imgrec.cli.hydra.entry import run

FILES = {
    "train.yaml": """
        defaults:
          - _self_
          - model: small
          - optimizer: sgd
          - mixing: none
          - override hydra/hydra_logging: none
        seed: 1
        run_dir: out
        hydra: {run: {dir: "${run_dir}"}}
    """,
    "model/small.yaml": "{_target_: my.Net, depth: 3}",
    "model/large.yaml": "{_target_: my.Net, depth: 9, width: 4}",
    "model/broken.yaml": "a: [1",
    "model/chained.yaml": "defaults: [absent]",
    "optimizer/sgd.yaml": "{_target_: my.SGD, lr: 0.1, weight_decay: 0.0}",
    "optimizer/adam.yaml": "{_target_: my.Adam, lr: 0.1, betas: [0.9, 0.99]}",
    "logger/tensorboard.yaml": "{version: 1}",
    "mixing/none.yaml": "{}",
    "mixing/mixup.yaml": "{alpha: 0.2}",
}

Tell = Callable[..., str]


@pytest.fixture
def tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Return a function from the arguments of a command line to the error message."""
    for name, text in FILES.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)

    def message_of(*arguments: str, conf: Path | None = None) -> str:
        flags = ["--config-path", str(conf or tmp_path / "conf")]
        monkeypatch.setattr(sys, "argv", ["train.py", *flags, *arguments])
        with pytest.raises(SystemExit) as stop:
            run(_not_reached, config_name="train")
        assert stop.value.code == 2
        printed = capsys.readouterr().err
        assert printed.startswith("imgrec: error: ")
        return printed.removeprefix("imgrec: error: ").rstrip("\n")

    return message_of


def _not_reached(config: object) -> None:
    raise AssertionError("the configuration should have been refused")


def test_a_misspelt_key_names_the_nearest_and_the_way_in(tell: Tell) -> None:
    assert tell("optimizer.lrr=1") == (
        "There is no key 'optimizer.lrr'. Did you mean 'optimizer.lr'? optimizer has: lr, weight_decay. "
        "+optimizer.lrr=1 passes it to my.SGD all the same."
    )


def test_a_misspelt_group_names_the_nearest(tell: Tell) -> None:
    assert tell("optimzer=sgd") == "There is no key 'optimzer'. Did you mean 'optimizer'?"


def test_a_key_without_its_group_is_found_in_it(tell: Tell) -> None:
    assert tell("weight_decay=0.1") == "There is no key 'weight_decay'. Did you mean 'optimizer.weight_decay'?"


def test_a_key_of_another_group_is_found_there(tell: Tell) -> None:
    assert "Did you mean 'optimizer.lr'?" in tell("model.lr=1")


def test_a_key_of_a_chosen_preset_is_valid_and_of_another_is_not(tell: Tell) -> None:
    assert tell("model.widht=3", "model=large").startswith("There is no key 'model.widht'. Did you mean 'model.width'?")
    assert tell("model.width=3").startswith("There is no key 'model.width'.")


def test_an_added_key_is_known_to_the_overrides_after_it(tell: Tell) -> None:
    assert tell("+model.extra=1", "model.extra=2", "model.depht=1").startswith("There is no key 'model.depht'.")


def test_a_key_below_a_number(tell: Tell) -> None:
    assert tell("optimizer.lr.x=1").startswith("There is no key 'optimizer.lr.x'. Did you mean 'optimizer.lr'")


def test_a_misspelt_key_of_hydra(tell: Tell) -> None:
    assert tell("hydra.run.dr=x") == "There is no key 'hydra.run.dr'. Did you mean 'hydra.run.dir'?"


def test_an_unknown_preset_names_the_nearest_and_all(tell: Tell) -> None:
    assert tell("model=smal") == (
        "There is no model 'smal'. Did you mean 'small'? model is one of: broken, chained, large, small."
    )


def test_an_unknown_preset_in_a_sweep_is_refused_before_the_first_job(tell: Tell) -> None:
    assert tell("-m", "model=small,lrage").startswith("There is no model 'lrage'. Did you mean 'large'?")


def test_an_unknown_key_in_a_sweep(tell: Tell) -> None:
    assert tell("-m", "optimizer.lrr=1,2").startswith("There is no key 'optimizer.lrr'.")


def test_a_number_for_a_preset(tell: Tell) -> None:
    assert tell("model=18").startswith("There is no model '18'.")


def test_null_for_a_preset(tell: Tell) -> None:
    assert tell("optimizer=null") == ("optimizer=null: a preset is chosen by its name. optimizer is one of: adam, sgd.")


def test_null_for_a_preset_that_a_run_does_without(tell: Tell) -> None:
    message = "logger=null: a preset is chosen by its name. ~logger removes it. logger is one of: tensorboard."
    assert tell("logger=null") == message


def test_a_preset_without_its_group(tell: Tell) -> None:
    assert tell("large") == "'large' is not key=value. Did you mean model=large?"


def test_an_argument_that_is_nothing(tell: Tell) -> None:
    assert tell("verbose") == "'verbose' is not key=value. Options are given as key=value."


def test_several_values_outside_a_sweep(tell: Tell) -> None:
    assert tell("seed=1,2") == (
        "'seed=1,2' gives several values. Add -m (in Python: imgrec.sweep), or write a list: seed=[1,2]"
    )


def test_special_characters_are_to_be_quoted(tell: Tell) -> None:
    message = tell("run_dir=a(b")
    assert message.startswith("'run_dir=a(b' cannot be read (")
    assert message.endswith("quote it: \"run_dir='a(b'\"")


def test_adding_a_key_that_is_there(tell: Tell) -> None:
    assert tell("+seed=3") == "seed exists already; + is for new keys. Write seed=3"


def test_taking_out_a_key_that_is_not_there(tell: Tell) -> None:
    assert tell("~sed") == "~sed: there is no 'sed' to remove. Did you mean 'seed'?"


def test_a_value_of_the_wrong_type(tell: Tell) -> None:
    assert "Value 'maybe' is not a valid bool" in tell("hydra.job.chdir=maybe")


def test_an_interpolation_to_nowhere(tell: Tell) -> None:
    message = "run_dir refers to 'nowhere', which does not exist. Set nowhere=..., or run_dir=..."
    assert tell("run_dir=${nowhere}") == message


def test_a_preset_that_cannot_be_read_is_named(tell: Tell) -> None:
    message = tell("model=broken")
    assert "cannot be read" in message
    assert "broken.yaml" in message
    assert "\n" not in message


def test_a_preset_that_builds_on_one_that_is_absent(tell: Tell) -> None:
    assert "Could not load 'model/absent'" in tell("model=chained")


def test_a_folder_of_presets_that_is_absent(tell: Tell) -> None:
    assert "/absent' not found" in tell("--config-dir", "absent")


def test_presets_of_the_users_own_folder_are_known(tell: Tell, tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "tiny.yaml").write_text("{_target_: my.Net, size: 1}")
    flags = ("--config-dir", str(tmp_path / "mine"))
    assert "Did you mean 'tiny'?" in tell(*flags, "model=tinny")
    assert "Did you mean 'model.size'?" in tell(*flags, "model=tiny", "model.sise=2")


def test_a_missing_main_file(tell: Tell) -> None:
    assert "Cannot find primary config 'nope'" in tell("--config-name", "nope")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lrr=1", "Did you mean 'optimizer.lr'?"),
        ("optimzer=sgd", "Did you mean 'optimizer'?"),
        ("model=resnet5", "Did you mean 'resnet50'"),
        ("gpus=1", "Did you mean 'trainer.gpus'?"),
        ("trainer.limit_train_batches=2", "+trainer.limit_train_batches=2 passes it to"),
    ],
)
def test_the_real_configuration_explains_itself(tell: Tell, override: str, message: str) -> None:
    from imgrec.core.config.build import config_dir

    assert message in tell(override, conf=config_dir())
