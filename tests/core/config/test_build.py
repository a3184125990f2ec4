"""From a part of the configuration to an object, and the messages on the way."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from imgrec.core.config import build as config_module
from imgrec.core.config.build import (
    build,
    build_all,
    build_from_checkpoint,
    check,
    check_complete,
    check_sweep_of_several_processes,
    config_dir,
    explain_access,
    to_plain,
)
from imgrec.errors import CheckpointError, ConfigError, DataError, WeightsError

HERE = __name__


@dataclasses.dataclass(frozen=True)
class Size:
    height: int
    width: int = 8


@dataclasses.dataclass
class Net:
    depth: int
    size: Any = None
    names: Any = None


def net(**keys: Any) -> DictConfig:
    return OmegaConf.create({"model": {"_target_": f"{HERE}.Net", **keys}}).model


def refuse(error: str) -> None:
    raise {"data": DataError("no folder"), "value": ValueError("too deep"), "fault": ZeroDivisionError("oops")}[error]


class MisconfigurationException(Exception):  # noqa: N818 - its name is what counts
    """As Lightning's, which is no ValueError."""


def exclude() -> None:
    raise MisconfigurationException("these two exclude each other")


def test_nothing_is_built_from_nothing():
    assert build(None) is None
    assert build(OmegaConf.create({})) is None


def test_keys_become_arguments():
    assert build(net(depth=3)) == Net(3)


def test_nested_objects_are_built_and_lists_are_plain():
    made = build(net(depth=3, size={"_target_": f"{HERE}.Size", "height": 4}, names=["a", "b"]))
    assert made == Net(3, Size(4), ["a", "b"])
    assert type(made.names) is list


def test_given_arguments_arrive_as_they_are():
    size = Size(1)
    assert build(net(depth=3), size=size).size is size


def test_given_arguments_win_and_what_they_replace_is_not_looked_at():
    assert build(net(depth="${not.there}", size={"_target_": "no.such.thing"}), depth=5, size=None) == Net(5)


def test_a_partial_waits_for_the_rest():
    waiting = build(net(_partial_=True, size=2), names=["x"])
    assert isinstance(waiting, functools.partial)
    assert waiting(depth=1) == Net(1, 2, ["x"])


def test_interpolations_into_other_groups_are_followed():
    config = OmegaConf.create({"data": {"num": 7}, "model": {"_target_": f"{HERE}.Net", "depth": "${data.num}"}})
    assert build(config.model) == Net(7)


def test_an_unknown_key_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=r"model\.dept is not a parameter .*Did you mean 'depth'"):
        build(net(dept=3))


def test_an_unknown_key_of_a_partial_is_found_before_it_is_called():
    with pytest.raises(ConfigError, match=r"model\.dept is not a parameter"):
        build(net(_partial_=True, dept=3))


def test_a_nested_unknown_key_is_named_by_its_path():
    with pytest.raises(ConfigError, match=r"model\.size\.heigth is not a parameter .*Did you mean 'height'"):
        build(net(depth=1, size={"_target_": f"{HERE}.Size", "heigth": 4}))


def test_an_unknown_class_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match=rf"model\._target_={HERE}.Nte: .*Did you mean 'Net'"):
        build(OmegaConf.create({"model": {"_target_": f"{HERE}.Nte"}}).model)


def test_a_part_that_names_no_class():
    with pytest.raises(ConfigError, match=r"model names no class.*model=NAME"):
        build(OmegaConf.create({"model": {"depth": 3}}).model)


def test_a_value_that_must_be_given():
    with pytest.raises(ConfigError, match=r"model\.depth must be given. Add model\.depth="):
        build(net(depth="???"))


def test_a_value_that_must_be_given_may_come_from_the_caller():
    assert build(net(depth="???"), depth=4) == Net(4)


def test_an_interpolation_to_nowhere_is_named():
    with pytest.raises(ConfigError, match=r"model\.depth refers to 'data.num', which does not exist"):
        build(net(depth="${data.num}"))


def test_an_error_of_ours_passes_unchanged():
    node = OmegaConf.create({"data": {"_target_": f"{HERE}.refuse", "error": "data"}}).data
    with pytest.raises(DataError, match=r"^no folder$"):
        build(node)


def test_an_error_of_ours_passes_unchanged_from_a_nested_object():
    with pytest.raises(DataError, match=r"^no folder$"):
        build(net(depth=1, size={"_target_": f"{HERE}.refuse", "error": "data"}))


def test_a_refused_value_is_a_config_error_that_keeps_its_cause():
    node = OmegaConf.create({"loss": {"_target_": f"{HERE}.refuse", "error": "value"}}).loss
    with pytest.raises(ConfigError, match=r"loss: .*refuse does not accept its values: too deep") as caught:
        build(node)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_refused_value_of_a_nested_object_is_named_by_its_path():
    with pytest.raises(ConfigError, match=r"model\.size: .*too deep"):
        build(net(depth=1, size={"_target_": f"{HERE}.refuse", "error": "value"}))


def test_a_refused_value_behind_an_interpolation_is_named_as_the_user_types_it():
    config = OmegaConf.create({
        "loss": {"_target_": f"{HERE}.refuse", "error": "value"},
        "classifier": {"_target_": f"{HERE}.Net", "depth": 1, "size": "${loss}"},
    })  # fmt: skip
    with pytest.raises(ConfigError, match=r"^loss: .*too deep"):
        build(config.classifier)


def test_lightnings_own_exception_is_a_refusal_too():
    with pytest.raises(ConfigError, match="exclude each other"):
        build(OmegaConf.create({"trainer": {"_target_": f"{HERE}.exclude"}}).trainer)


def test_a_fault_is_no_config_error():
    with pytest.raises(ZeroDivisionError):
        build(OmegaConf.create({"loss": {"_target_": f"{HERE}.refuse", "error": "fault"}}).loss)
    with pytest.raises(ZeroDivisionError):
        build(net(depth=1, size={"_target_": f"{HERE}.refuse", "error": "fault"}))


def test_what_hydra_blocks_is_a_config_error():
    with pytest.raises(ConfigError, match=r"os\.system"):
        build(OmegaConf.create({"model": {"_target_": "os.system", "command": "true"}}).model)


def test_check_builds_nothing():
    node = OmegaConf.create({"loss": {"_target_": f"{HERE}.refuse", "error": "fault"}}).loss
    check(node)


def test_a_group_of_several_leaves_out_what_is_null():
    group = OmegaConf.create({"a": {"_target_": f"{HERE}.Size", "height": 1}, "b": None})
    assert build_all(group) == [Size(1)]
    assert build_all(None) == []


def test_all_missing_values_are_named_at_once():
    config = OmegaConf.create({"data": {"root": "???"}, "model": {"name": "???"}, "list": [{"x": "???"}]})
    with pytest.raises(ConfigError, match=r"data\.root and list\.0\.x and model\.name must be given. Add data\.root="):
        check_complete(config)


def test_an_interpolation_to_what_comes_later_is_complete():
    check_complete(OmegaConf.create({"data": None, "model": {"num_classes": "${data.num_classes}"}}))


def test_plain_is_resolved_and_has_no_type_of_its_own():
    plain = to_plain(OmegaConf.create({"a": {"b": [1, "${c}"]}, "c": 2.5, "d": None}))
    assert plain == {"a": {"b": [1, 2.5]}, "c": 2.5, "d": None}
    assert type(plain["a"]) is dict
    assert type(plain["a"]["b"]) is list


def test_plain_of_an_interpolation_to_nowhere():
    with pytest.raises(ConfigError, match=r"a refers to 'b', which does not exist. Set b="):
        to_plain(OmegaConf.create({"a": "${b}"}))


def test_access_to_an_unknown_key_is_named():
    config = OmegaConf.create({"a": 1})
    OmegaConf.set_struct(config, True)
    with pytest.raises(Exception, match="not in struct") as caught:
        _ = config.mixing
    assert str(explain_access(caught.value)).startswith("mixing: Key 'mixing' is not in struct")


def test_the_configuration_of_a_checkout_is_beside_the_package():
    assert config_dir() == Path(config_module.__file__).parents[3] / "conf"


def test_the_configuration_of_a_wheel_is_inside_the_package(tmp_path, monkeypatch):
    for folder in ("imgrec/conf", "conf"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "train.yaml").touch()
    monkeypatch.setattr(config_module, "__file__", str(tmp_path / "imgrec" / "core" / "config" / "build.py"))
    assert config_dir() == tmp_path / "imgrec" / "conf"


def test_an_installation_without_configuration_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(config_module, "__file__", str(tmp_path / "imgrec" / "core" / "config" / "build.py"))
    with pytest.raises(ConfigError, match=r"train\.yaml is missing"):
        config_dir()


def test_several_processes_outside_a_sweep_are_fine():
    check_sweep_of_several_processes(4)


LINEAR = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}


def test_a_part_from_a_checkpoint_takes_the_users_changes():
    assert build_from_checkpoint(LINEAR, OmegaConf.create({"out_features": 5}), key="model").out_features == 5
    assert build_from_checkpoint(LINEAR, None, key="model").out_features == 3


def test_a_change_of_a_key_that_the_checkpoint_does_not_have():
    with pytest.raises(
        ConfigError, match=r"model\.out_feature is no key of this checkpoint's model. Did you mean 'out_"
    ):
        build_from_checkpoint(LINEAR, OmegaConf.create({"out_feature": 5}), key="model")


def test_a_part_that_the_user_chose_is_the_users_own():
    assert build_from_checkpoint(LINEAR, net(depth=3), key="model") == Net(3)


def test_a_part_of_a_checkpoint_goes_by_the_allow_list():
    with pytest.raises(CheckpointError, match="may not name this"):
        build_from_checkpoint({"_target_": f"{HERE}.Net", "depth": 1}, None, key="model")


def test_weights_error_of_a_checkpoints_network_passes(monkeypatch):
    import imgrec.models

    def fail(**keys: object) -> None:
        raise WeightsError("no file")

    fail.__module__ = "imgrec.models.backbone"
    monkeypatch.setattr(imgrec.models, "make_backbone", fail, raising=False)
    with pytest.raises(WeightsError, match="no file"):
        build_from_checkpoint({"_target_": "imgrec.models.make_backbone"}, None, key="model")
