"""Every preset file: it composes, its keys are parameters of what it names, and it says what it is."""

import functools
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from imgrec.core.config.build import build, build_all, check, config_dir, store_open_groups
from imgrec.models import ImageNetwork
from imgrec.studies.study import STUDIES

CONF = config_dir()
GROUPS = [folder.name for folder in sorted(CONF.iterdir()) if folder.is_dir() and folder.name != "hydra"]
PRESETS = [(file.parent.name, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]
FILES = sorted(CONF.rglob("*.yaml"))
ABSTRACT = {("data", "_loader")}  # what the other files of the group build on; not chosen by itself
# What a run finds out from the data, and what the user has to say.
FOUND = ["data.num_classes=3", "data.class_counts=[1,2,3]", "run_dir=out"]
REQUIRED = {
    ("data", "arrays"): ["data.path=x.npz"],
    ("data", "torchvision"): ["data.name=MNIST", "data.root=x"],
    ("data", "prepared"): ["data.root=x"],
    ("model", "torchvision"): ["model.name=resnet18"],
    ("ood", "folder"): ["ood.folder=x"],
}
SMALL = ("loss", "optimizer", "scheduler", "metrics", "mixing", "decisions")


def composed(*overrides: str, name: str = "train") -> DictConfig:
    store_open_groups()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name, [*overrides])


@functools.cache
def with_preset(group: str, preset: str) -> DictConfig:
    required = REQUIRED.get((group, preset), [])
    if group in STUDIES:
        return composed(f"{group}={preset}", "run_dir=out", *required, name="evaluate")
    return composed(f"{group}={preset}", *FOUND, *required)


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_every_default_exists(name):
    """An optional one would let a mistyped choice pass without a word."""
    defaults = OmegaConf.load(CONF / f"{name}.yaml").defaults
    assert not [entry for entry in defaults if str(entry).startswith("{'optional")]
    composed(name=name)


def test_every_group_has_a_default():
    def choices(name: str) -> set[str]:
        defaults = OmegaConf.load(CONF / f"{name}.yaml").defaults
        return {str(next(iter(entry))) for entry in defaults if isinstance(entry, dict | DictConfig)}

    assert set(GROUPS) - set(STUDIES) <= choices("train")
    assert set(STUDIES) <= choices("evaluate")


@pytest.mark.parametrize(("group", "preset"), [preset for preset in PRESETS if preset not in ABSTRACT])
def test_a_preset_has_keys_that_its_target_takes(group, preset):
    config = with_preset(group, preset)
    if group == "experiment":
        for part in ("data", "classifier", "trainer"):
            check(config[part])
    elif "_target_" in config[group]:
        check(config[group])
    else:
        for name in config[group]:
            if config[group][name]:
                check(config[group][name])


@pytest.mark.parametrize(
    ("group", "preset"),
    [(group, preset) for group, preset in PRESETS if group in SMALL],
)
def test_a_small_preset_builds(group, preset):
    assert build(with_preset(group, preset)[group], **_also(group, preset)) is not None


def _also(group: str, preset: str) -> dict[str, object]:
    return {"num_samples": 6} if (group, preset) == ("loss", "bce") else {}


@pytest.mark.parametrize(
    ("group", "preset"), [preset for preset in PRESETS if preset[0] in ("preprocess", "augment", "data", "logger")]
)
def test_a_preset_of_images_builds(group, preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if (group, preset) not in ABSTRACT:
        assert build(with_preset(group, preset)[group]) is not None


@pytest.mark.parametrize("preset", [preset for group, preset in PRESETS if group == "model"])
def test_a_model_builds(preset):
    # Without memory behind it: none of the numbers matter here. torchvision's RegNet works some out, so it needs some.
    with torch.device("cpu" if preset.startswith("regnet") else "meta"):
        assert isinstance(build(with_preset("model", preset).model), ImageNetwork)


def test_callbacks_can_be_combined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ",".join(preset for group, preset in PRESETS if group == "callbacks")
    config = composed(f"callbacks=[{names}]", *FOUND)
    assert len(build_all(config.callbacks)) == len(config.callbacks)


def test_the_whole_of_train_checks():
    config = composed(*FOUND)
    check(config.data)
    check(config.classifier, class_names=["a", "b", "c"], multilabel=False)
    check(config.trainer, callbacks=[], logger=False, default_root_dir="out")


def test_evaluate_takes_any_key_on_top_of_a_checkpoint():
    config = composed("data.batch_size=7", name="evaluate")
    assert config.data == {"batch_size": 7}
    assert "_target_" not in config.model


def test_evaluate_without_a_checkpoint_takes_presets():
    config = composed("model=cifar_resnet", "model.depth=20", "data=folder", "data.test=x", name="evaluate")
    assert (config.model.depth, config.data.test) == (20, "x")
    assert config.data._target_.endswith("FolderData")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))
def test_a_file_says_first_what_it_is(path: Path):
    first, *_ = path.read_text().splitlines()
    if first.startswith("# @package"):
        first = path.read_text().splitlines()[1]
    assert first.startswith("# ")
    assert len(first) > 10
