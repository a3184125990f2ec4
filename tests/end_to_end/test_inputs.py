"""From a configuration or a checkpoint to what a job works with: data, network, record."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from command import SHORT, composed
from imgrec.core.checkpoint.checkpoint import load_checkpoint, save_checkpoint
from imgrec.core.files.json_file import read_json
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Samples, Splits
from imgrec.errors import CheckpointError, ConfigError, DataError, ImageError
from imgrec.evaluate_job import from_checkpoint, run_evaluation
from imgrec.evaluation.restore import load_classifier, load_exactly
from imgrec.models import make_small_cnn
from imgrec.train_job import run_training
from imgrec.training.setup import check_network, make_record, read_data
from small_run import Noise

CLASSES = ("ant", "bee", "cat")


@pytest.fixture(scope="module")
def sample_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders in train, val and test; 6, 3 and 3 images of noise each."""
    root = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(1)
    for split, count in (("train", 6), ("val", 3), ("test", 3)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def checkpoint(sample_images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    overrides = (
        "data=folder",
        f"data.root='{sample_images}'",
        "preprocess=small",
        "augment=none",
        "data.num_workers=0",
    )
    run_training(composed("train", folder, *SHORT, *overrides))
    return folder / "best.ckpt"


def rebuilt(path: Path, *overrides: str) -> tuple[Any, Any]:
    config = composed("evaluate", Path("out"), f"checkpoint='{path}'", *overrides)
    _, data, network = from_checkpoint(load_checkpoint(path), config)
    return data, network


def test_facts_of_the_data_are_in_the_returned_configuration_and_the_given_one_is_unchanged(sample_images):
    given = composed("train", Path("out"), "data=folder", f"data.root='{sample_images}'")
    before = OmegaConf.to_yaml(given)
    config, data = read_data(given)
    assert OmegaConf.to_yaml(given) == before
    assert (config.data.num_classes, config.data.num_samples, list(config.data.class_counts)) == (3, 18, [6, 6, 6])
    assert config.model.num_classes == 3
    assert data.splits.class_names == list(CLASSES)


class BrokenAtOne:
    """Black images; number 1 is broken."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        if index == 1:
            raise ImageError("1.png", "truncated", "the file ends before the image does")
        return np.zeros((8, 8, 3), dtype=np.uint8)


class OneBroken(Noise):
    def read(self, class_names: Any) -> Splits:
        def samples(name: str) -> Samples:
            return Samples([f"{name}/{i}" for i in range(3)], BrokenAtOne(), np.arange(3))

        return Splits(["a", "b", "c"], **{name: samples(name) for name in ("train", "val", "test")})


def test_excluded_images_count_under_the_evaluated_split():
    counted = []
    for split in ("train", "val", "test"):
        data = OneBroken(num_workers=0)
        data.trainer = SimpleNamespace(training=False, global_rank=0, world_size=1)
        data.quarantine.add = lambda name, errors: counted.append((name, [error.path for error in errors]))
        for batch in data.eval_dataloader(split, strict=False):
            data.on_split(split).on_before_batch_transfer(batch, 0)
    assert counted == [(split, ["1.png"]) for split in ("train", "val", "test")]


def test_what_the_source_noticed_is_said(sample_images, caplog):
    config = composed(
        "train", Path("out"), "data=folder", f"data.root='{sample_images}'", "data.exclude=['train/cat/0.png']"
    )
    with caplog.at_level(logging.WARNING, logger="imgrec"):
        read_data(config)
    assert "0.png" in caplog.text


def test_a_network_that_halves_a_small_image_to_nothing_is_refused():
    with pytest.raises(ConfigError, match="2"):
        check_network(make_small_cnn(num_classes=3), Preprocess(size=2, mode="squash"))
    check_network(make_small_cnn(num_classes=3), Preprocess(size=32, mode="squash"))


def test_a_frozen_network_of_random_values_is_warned_of(caplog):
    check_network(make_small_cnn(num_classes=3, freeze="backbone"), Preprocess(size=32))
    assert "the head learns from random features" in caplog.text


def test_the_record_has_what_a_resumed_run_is_checked_by(sample_images):
    config = composed(
        "train", Path("out"), "data=folder", f"data.root='{sample_images}'", "data.batch_size=7", "seed=4"
    )
    config, data = read_data(config)
    record = make_record(config, data, world_size=2)
    assert record["data_fingerprint"] == data.fingerprint()
    assert (record["seed"], record["batch_size"], record["world_size"], record["task"]) == (4, 7, 2, "single")
    assert record["config"]["loss"]["class_counts"] == [6, 6, 6]


def test_a_checkpoint_brings_its_network_its_data_and_its_preprocessing(checkpoint, sample_images):
    data, network = rebuilt(checkpoint)
    saved = load_checkpoint(checkpoint)["state_dict"]
    assert all(torch.equal(value, saved[f"net.{name}"]) for name, value in network.state_dict().items())
    assert data.preprocess == Preprocess(size=32, mode="squash")
    assert data.augment is None
    assert data.split("test").names[0] == str(sample_images / "test" / "ant" / "0.png")


def test_a_checkpoint_alone_gives_network_and_preprocessing_though_its_data_are_gone(checkpoint, tmp_path):
    payload = load_checkpoint(checkpoint)
    payload["imgrec"]["config"]["data"]["root"] = str(tmp_path / "gone")
    save_checkpoint(payload, tmp_path / "alone.ckpt")
    network, preprocess, info = load_classifier(tmp_path / "alone.ckpt")
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(network(images), rebuilt(checkpoint)[1].eval()(images))
    assert not network.training
    assert preprocess == Preprocess(size=32, mode="squash")
    assert (info.class_names, info.task) == (list(CLASSES), "single")


def test_a_checkpoint_whose_preprocessing_is_something_else_is_refused(checkpoint, tmp_path):
    payload = load_checkpoint(checkpoint)
    payload["imgrec"]["config"]["preprocess"] = {"_target_": "torch.nn.Identity"}
    save_checkpoint(payload, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.ckpt: its preprocess is of type Identity, not a Preprocess"):
        load_classifier(tmp_path / "other.ckpt")


def test_an_absent_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.ckpt does not exist"):
        load_classifier(tmp_path / "none.ckpt")


def test_a_key_of_the_checkpoints_data_can_be_changed(checkpoint):
    data, _ = rebuilt(checkpoint, "data.batch_size=5", "preprocess.size=16")
    assert data.batch_size == 5
    assert data.preprocess.size == 16


def test_a_key_that_the_checkpoint_does_not_have_is_refused(checkpoint):
    with pytest.raises(
        ConfigError, match=r"data\.bacth_size is no key of this checkpoint's data\. Did you mean 'batch_si"
    ):
        rebuilt(checkpoint, "data.bacth_size=5")


def test_other_data_get_the_labels_of_the_checkpoint_by_name(checkpoint, sample_images):
    """Without ants, bee would be 0 and cat 1 if the classes were counted again."""
    overrides = ("data.exclude=['*/ant/*']", "data.allow_empty_class=true")
    data, _ = rebuilt(checkpoint, "data=folder", f"data.test='{sample_images / 'test'}'", *overrides)
    assert data.splits.class_names == list(CLASSES)
    assert data.split("test").labels.tolist() == [1, 1, 1, 2, 2, 2]


def test_a_label_that_the_checkpoint_does_not_know_is_named(checkpoint, sample_images, tmp_path):
    for name in ("ant", "dog"):
        (tmp_path / name).mkdir()
        image = (sample_images / "test" / "ant" / "0.png").read_bytes()
        (tmp_path / name / "0.png").write_bytes(image)
    with pytest.raises(DataError, match=r"labels that the model does not know: dog\. Known: ant, bee, cat"):
        rebuilt(checkpoint, "data=folder", f"data.test='{tmp_path}'")


def test_the_training_folder_as_test_data_needs_the_advised_override(sample_images, tmp_path):
    folder = sample_images / "train"
    overrides = ("data=folder", "preprocess=small", "augment=none", "data.num_workers=0", f"data.root='{folder}'")
    run_training(composed("train", tmp_path, *SHORT, *overrides, "data.val_fraction=0.34", "data.test_fraction=0"))
    with pytest.raises(DataError, match=r"is both data\.root and data\.test\. .*add data\.root=null"):
        _ = rebuilt(tmp_path / "best.ckpt", f"data.test='{folder}'")[0].splits
    data, _ = rebuilt(tmp_path / "best.ckpt", f"data.test='{folder}'", "data.root=null")
    assert len(data.splits.test) == 18


def test_the_folder_of_a_run_can_be_evaluated(checkpoint, tmp_path):
    assert "accuracy" in run_evaluation(composed("evaluate", tmp_path, f"checkpoint='{checkpoint.parent}'"))


def test_a_checkpoint_whose_tensors_are_of_another_network_is_refused(checkpoint, tmp_path):
    payload = load_checkpoint(checkpoint)
    payload["imgrec"]["config"]["model"]["hidden"] = 64
    save_checkpoint(payload, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other\.ckpt does not fit the model that it describes: 3 tensors"):
        rebuilt(tmp_path / "other.ckpt")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "Nothing to evaluate. Give checkpoint=PATH, or model=NAME"),
        (["model=small_cnn"], "Which data"),
        (["model=small_cnn", "data=digits"], "A model without weights is untrained. Add model.weights=FILE"),
    ],
)
def test_what_is_missing_for_an_evaluation_is_asked_for(overrides, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run_evaluation(composed("evaluate", tmp_path, *overrides))


def test_weights_for_other_classes_are_refused(checkpoint, tmp_path):
    overrides = ("model=small_cnn", f"model.weights='{checkpoint}'", "data=digits")
    with pytest.raises(ConfigError, match=r"The data has 10 classes, and .*best\.ckpt has no head for so many"):
        run_evaluation(composed("evaluate", tmp_path, *overrides))


def test_weights_take_their_classes_from_the_data_and_the_log_lists_them(checkpoint, sample_images, caplog, tmp_path):
    overrides = ("model=small_cnn", f"model.weights='{checkpoint}'", "data=folder")
    with caplog.at_level(logging.INFO, logger="imgrec"):
        run_evaluation(composed("evaluate", tmp_path, *overrides, f"data.test='{sample_images / 'test'}'"))
    assert "Classes are taken from the data, in its order: ant, bee, cat." in caplog.text
    assert "size=224" in caplog.text
    provenance = read_json(tmp_path / "provenance.json")
    assert provenance["data"]["class_names"] == list(CLASSES)
    assert provenance["config"]["data"]["augment"] is None


def test_tensors_are_copied_into_the_modules_own():
    module, other = nn.Linear(2, 3), nn.Linear(2, 3)
    load_exactly(module, other.state_dict(), name="x.ckpt")
    assert torch.equal(module.weight, other.weight)
    assert module.weight is not other.weight


@pytest.mark.parametrize("other", [nn.Linear(2, 4), nn.Linear(2, 3, bias=False), nn.Sequential(nn.Linear(2, 3))])
def test_tensors_that_do_not_fit_are_named_and_nothing_is_copied(other):
    module = nn.Linear(2, 3)
    before = module.weight.detach().clone()
    with pytest.raises(CheckpointError, match=r"x\.ckpt does not fit .*(weight|bias)"):
        load_exactly(module, other.state_dict(), name="x.ckpt")
    assert torch.equal(module.weight, before)
