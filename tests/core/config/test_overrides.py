"""The words after `python train.py`, sorted."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st

from imgrec.core.config.overrides import quote, read_command_line
from imgrec.errors import ConfigError


def test_flags_may_stand_anywhere():
    line = read_command_line(["a=1", "-m", "b=2", "--config-dir", "my conf", "~c", "+d=3"])
    assert line.flags == ("-m", "--config-dir", "my conf")
    assert line.overrides == ("a=1", "b=2", "~c", "+d=3")
    assert line.config_dir == "my conf"


def test_a_value_that_looks_like_an_override_belongs_to_its_flag():
    assert read_command_line(["--config-dir", "runs/lr=0.1", "seed=2"]).config_dir == "runs/lr=0.1"
    assert read_command_line(["--config-dir=runs/lr=0.1", "seed=2"]).config_dir == "runs/lr=0.1"


def test_a_flag_with_an_optional_value():
    assert read_command_line(["--info", "plugins", "a=1"]).flags == ("--info", "plugins")
    assert read_command_line(["--info", "a=1"]).overrides == ("a=1",)


def test_our_own_flags_are_kept_from_hydra():
    line = read_command_line(["--debug", "a=1", "--version"])
    assert line.ours == {"--debug", "--version"}
    assert line.flags == ()


def test_a_job_of_a_sweep_gets_the_flags_that_say_where_the_configuration_lies():
    line = read_command_line(["-m", "-cd", "x", "-cn", "y", "--config-path", "/z", "a=1"])
    assert line.config_flags == ["--config-dir", "x", "--config-name", "y", "--config-path", "/z"]


@pytest.mark.parametrize("flag", ["--hepl", "--hepl=1"])
def test_an_unknown_flag_names_the_nearest(flag):
    with pytest.raises(ConfigError, match=r"There is no flag --hepl\. Did you mean '--help'"):
        read_command_line([flag])


def test_a_flag_that_opens_a_pickle_does_not_exist():
    with pytest.raises(ConfigError, match="There is no flag --experimental-rerun"):
        read_command_line(["--experimental-rerun", "config.pickle"])


def test_a_flag_without_its_value():
    with pytest.raises(ConfigError, match=r"--config-name.*expected one argument"):
        read_command_line(["a=1", "--config-name"])


def test_a_flag_with_a_wrong_value():
    with pytest.raises(ConfigError, match="invalid choice: 'jbo'"):
        read_command_line(["--cfg", "jbo"])


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
@example("a b")
@example("it's")
@example("back\\slash")
@example("end\\")
@example("\\'")
@example("[x]{y}(z)=,$#")
def test_a_quoted_value_is_read_back_as_it_was(text):
    (override,) = OverridesParser.create().parse_overrides([f"key={quote(text)}"])
    assert override.value() == text


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (["model = resnet18"], "model=resnet18"),
        (["model =resnet18"], "model=resnet18"),
        (["model", "=", "resnet18"], "key=value"),
    ],
)
def test_spaces_around_the_equals_sign_are_named(arguments, example):
    with pytest.raises(ConfigError, match=f"remove the spaces around =, {example}"):
        read_command_line(arguments)


def test_spaces_inside_a_value_are_its_own():
    assert read_command_line(["data.root=my photos", "note=a = b"]).overrides == ("data.root=my photos", "note=a = b")


def test_a_key_with_two_values_is_noted(caplog):
    read_command_line(["loss=focal", "optimizer.lr=1", "loss=focal", "optimizer.lr=2", "+a=1", "+a=2"])
    assert [record.getMessage() for record in caplog.records] == [
        "optimizer.lr is given twice: 1 and 2. The last one applies."
    ]
