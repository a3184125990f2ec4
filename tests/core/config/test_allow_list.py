"""What a checkpoint's configuration may build, and the many things that it may not."""

import functools
import importlib
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imgrec.core.config.allow_list import ALLOWED, OURS, build_trusted_only
from imgrec.errors import CheckpointError, ConfigError

LINEAR = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}

# Measured on Hydra 1.3.8: `instantiate` calls each of the first ten.
DANGEROUS = [
    "torch.load",
    "numpy.load",
    "torch.hub.load",
    "pytorch_lightning.LightningModule.load_from_checkpoint",
    "lightning_fabric.utilities.cloud_io._load",
    "pathlib.Path.unlink",
    "pathlib.Path.write_text",
    "builtins.open",
    "socket.socket",
    "urllib.request.urlopen",
    "os.system",
    "logging.os.system",
    "subprocess.run",
    "builtins.eval",
    "pickle.loads",
    "shutil.rmtree",
    "functools.partial",
    "hydra.utils.instantiate",
    # by way of what is on the list
    "torch.nn.modules.module.torch.load",
    "torch.nn.Module.load_state_dict",
    "torch.nn.functional.relu",
    "torch.nn.utils.clip_grad_norm_",
    "albumentations.os.system",
    "albumentations.load",
    "albumentations.from_dict",
    "torchmetrics.text.BERTScore",
    "torchmetrics.image.fid.FrechetInceptionDistance",
    "pytorch_lightning.callbacks.Callback.__init__",
    "pytorch_lightning.callbacks.model_checkpoint.os.remove",
    "imgrec.core.config.build.build",
    "imgrec.core.config.allow_list.build_trusted_only",
    "imgrec.train_job.train",
    "imgrec.cli.main",
    "imgrec.models.load_weights",
    "imgrec.models.import_module",
    "imgrec.models.backbone.make_backbone",
    "imgrec.training.losses.import_module",
    "imgrec.data.sources.import_module",
    "imgrec",
    "imgrec.models",
    "torch.nn",
    "",
    "..",
]


@pytest.mark.parametrize("target", DANGEROUS)
def test_a_dangerous_name_is_refused(target):
    with pytest.raises(CheckpointError, match="may not name this"):
        build_trusted_only({"_target_": target})


@pytest.mark.parametrize("target", ["torch.load", "numpy.load", "torch.hub.load", "builtins.open", "os.system"])
@pytest.mark.parametrize("where", ["inside", "in a list", "deep"])
def test_nothing_is_called_before_all_is_checked(target, where, monkeypatch):
    called = []
    module, _, name = target.rpartition(".")
    monkeypatch.setattr(torch.nn.Linear, "__init__", functools.partialmethod(_record, called))
    monkeypatch.setattr(importlib.import_module(module), name, functools.partial(_record, name, called))
    evil: Any = {"_target_": target, "f": "x"}
    nested = {"inside": evil, "in a list": [LINEAR, evil], "deep": {"a": [{"b": evil}]}}[where]
    with pytest.raises(CheckpointError, match="may not name this"):
        build_trusted_only({**LINEAR, "first": LINEAR, "second": nested})
    assert called == []


def _record(subject: object, called: list[object], *args: object, **keys: object) -> None:
    called.append(subject)


def test_a_name_outside_the_list_is_not_even_imported(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CheckpointError, match="may not name this"):
        build_trusted_only({"_target_": "stranger.Net"})


@pytest.mark.parametrize("target", [["torch.nn.Linear"], 3, None, {"_target_": "torch.nn.Linear"}])
def test_a_target_that_is_no_name(target):
    with pytest.raises(CheckpointError):
        build_trusted_only({"_target_": target})


@pytest.mark.parametrize("key", ["_partial_", "_args_", "_recursive_", "_mode_"])
def test_hydras_special_keys_are_refused(key):
    with pytest.raises(CheckpointError, match=f"{key} inside a checkpoint is refused"):
        build_trusted_only({**LINEAR, key: True})


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a ${b}", "${eval:1+1}"])
def test_an_interpolation_is_refused(text):
    with pytest.raises(CheckpointError, match="an interpolation inside a checkpoint is refused"):
        build_trusted_only({**LINEAR, "bias": text})


def test_an_object_in_the_configuration_is_refused():
    with pytest.raises(CheckpointError, match="a value of type Linear inside a checkpoint's configuration is refused"):
        build_trusted_only({**LINEAR, "bias": torch.nn.Linear(1, 1)})


def test_a_configuration_without_end_is_refused():
    endless: dict[str, Any] = {"_target_": "torch.nn.Linear"}
    endless["in_features"] = endless
    with pytest.raises(CheckpointError, match="nested deeper than"):
        build_trusted_only(endless)


def test_a_download_is_refused():
    with pytest.raises(CheckpointError, match="may not start a download"):
        build_trusted_only({**LINEAR, "download": True})


def test_a_part_without_a_class():
    with pytest.raises(CheckpointError, match="model: the checkpoint's configuration names no class"):
        build_trusted_only({"depth": 3}, key="model")


def test_refused_values_are_a_checkpoint_error():
    with pytest.raises(CheckpointError, match=r"model: .*Linear does not accept the checkpoint's values: .*depth"):
        build_trusted_only({**LINEAR, "depth": 3}, key="model")


def test_an_allowed_network_is_built():
    net = build_trusted_only({
        "_target_": "torch.nn.ModuleDict",
        "modules": {"head": LINEAR, "drop": {"_target_": "torch.nn.modules.dropout.Dropout", "p": 0.25}},
    })  # fmt: skip
    assert (net["head"].out_features, net["drop"].p) == (3, 0.25)


def test_metrics_are_built_as_our_presets_write_them():
    accuracy = {"_target_": "torchmetrics.classification.MulticlassAccuracy", "num_classes": 3}
    metrics = build_trusted_only(
        {"_target_": "torchmetrics.MetricCollection", "_convert_": "all", "metrics": {"accuracy": accuracy}}
    )
    assert list(metrics) == ["accuracy"]


def test_augmentations_and_callbacks_are_allowed():
    assert build_trusted_only({"_target_": "albumentations.HorizontalFlip", "p": 1.0}).p == 1.0
    assert build_trusted_only({"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "x"}).monitor == "x"


def test_a_loss_of_ours_is_allowed():
    assert build_trusted_only({"_target_": "imgrec.training.losses.FocalLoss", "gamma": 3.0}).gamma == 3.0


def test_given_arguments_replace_what_the_checkpoint_says_unseen():
    net = build_trusted_only({**LINEAR, "bias": {"_target_": "os.system", "command": "true"}}, bias=False)
    assert net.bias is None


def test_an_error_of_ours_passes():
    with pytest.raises(ConfigError, match="gamma"):
        build_trusted_only({"_target_": "imgrec.training.losses.FocalLoss", "gamma": "much"})


def test_every_listed_name_of_ours_exists():
    for package, names in OURS.items():
        module = importlib.import_module(package)
        for name in names or ():
            assert callable(getattr(module, name)), f"{package}.{name}"


@settings(max_examples=50, deadline=None)
@given(st.sampled_from([*OURS, *ALLOWED]), st.text(st.sampled_from("abcdefgos._Lin"), max_size=20))
def test_a_name_that_leads_nowhere_is_refused_like_any_other(package, rest):
    with pytest.raises(CheckpointError):
        build_trusted_only({"_target_": f"{package}.{rest}", "no_such_parameter": 1})
