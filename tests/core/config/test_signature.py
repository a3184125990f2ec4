"""What a class or function takes, and the messages when a configuration gives it something else."""

import functools

import pytest

from imgrec.core.config.signature import check_arguments, explain_call, locate, parameters_of
from imgrec.data.loading.datamodule import ImageDataModule
from imgrec.errors import ConfigError


class Base:
    def __init__(self, *, seed: int = 1, width: int) -> None: ...


class Child(Base):
    def __init__(self, root: str, **others: int) -> None:
        super().__init__(**others)


class Ours(Child):
    """As a class of imgrec: what it does not name goes to the class that it derives from."""

    __module__ = "imgrec.data.sources"

    def __init__(self, depth: int = 2, **others: int) -> None:
        super().__init__("", **others)


def forward(name: str, **options: int) -> Base:
    return Base(**options)


def test_a_class_is_found_by_its_dotted_name():
    assert locate("imgrec.data.loading.datamodule.ImageDataModule", key="data._target_") is ImageDataModule


def test_a_module_is_imported_on_the_way():
    assert locate("xml.dom.minidom.parse", key="x").__name__ == "parse"


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match=r"data\._target_=fractions.Fractoin: .*Did you mean 'Fraction'"):
        locate("fractions.Fractoin", key="data._target_")


def test_a_missing_package_is_named():
    with pytest.raises(ConfigError, match=r"no 'no_such_package' to import"):
        locate("no_such_package.Net", key="model._target_")


def test_a_package_that_a_module_needs_is_named_as_missing(tmp_path, monkeypatch):
    (tmp_path / "needs_more.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="needs the package 'no_such_dependency', which is not installed"):
        locate("needs_more.Net", key="model._target_")


def test_parameters_of_a_plain_class():
    parameters = parameters_of(Base)
    assert parameters is not None
    assert (parameters.names, parameters.required, parameters.takes_others) == (("seed", "width"), ("width",), False)


def test_a_class_of_imgrec_takes_what_its_base_takes():
    parameters = parameters_of(Ours)
    assert parameters is not None
    assert set(parameters.names) == {"depth", "root", "seed", "width"}
    assert not parameters.takes_others


def test_other_classes_may_take_anything_through_double_star():
    parameters = parameters_of(Child)
    assert parameters is not None
    assert parameters.takes_others


def test_what_python_cannot_tell_is_not_guessed():
    class Opaque:
        __signature__ = "none that Python understands"

        def __call__(self) -> None: ...

    assert parameters_of(Opaque()) is None
    check_arguments(Opaque(), configured=["anything"], given=[], key="model", partial=False)


def test_an_unknown_key_names_the_nearest_and_all():
    with pytest.raises(
        ConfigError, match=r"model\.widht is not a parameter of .*Base\. Did you mean 'width'.*seed, width"
    ):
        check_arguments(Base, configured=["widht"], given=[], key="model", partial=True)


def test_a_name_that_imgrec_adds_is_told_apart_from_the_users():
    with pytest.raises(ConfigError, match="model: imgrec passes 'num_classes', which is not a parameter"):
        check_arguments(Base, configured=["width"], given=["num_classes"], key="model", partial=False)


def test_a_required_parameter_is_missed():
    with pytest.raises(ConfigError, match=r"model: .*Base needs 'width'. Add \+model\.width="):
        check_arguments(Base, configured=["seed"], given=[], key="model", partial=False)


def test_a_partial_call_may_lack_required_parameters():
    check_arguments(Base, configured=["seed"], given=[], key="model", partial=True)


def test_an_unknown_keyword_deep_inside_is_traced_to_the_one_that_refused_it():
    with pytest.raises(TypeError) as caught:
        forward("x", widht=2)
    explained = explain_call(caught.value, target=forward, key="trainer")
    assert "trainer.widht is not a parameter of" in str(explained)
    assert "Did you mean 'width'?" in str(explained)


def test_refused_values_are_reported_with_the_reason():
    explained = explain_call(ValueError("Invalid rate: -1"), target=functools.partial, key="optimizer")
    assert str(explained) == "optimizer: functools.partial does not accept its values: Invalid rate: -1"
