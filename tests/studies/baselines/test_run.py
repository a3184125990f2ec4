"""Baselines: from the splits of a data module to a table, its files, and the model beside it."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import accuracy_score, f1_score

from imgrec.data.images.collections import ArrayImages
from imgrec.data.images.preprocess import Preprocess
from imgrec.data.samples import Samples
from imgrec.errors import DataError, ImageError
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.metrics.metric_files import write_evaluation
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.evaluation.predictions.predictions import Predictions
from imgrec.models import make_small_cnn
from imgrec.studies.baselines import fit as fitting
from imgrec.studies.baselines.extract import extract, inspect_images, shrink
from imgrec.studies.baselines.features import ColorHistogram
from imgrec.studies.baselines.frozen import extract_frozen, ms_per_image
from imgrec.studies.baselines.hog import Hog
from imgrec.studies.baselines.model_row import check_same_images, evaluation_folder, read_model_row
from imgrec.studies.baselines.output import accuracy_of, print_baselines, to_json, write_baselines
from imgrec.studies.baselines.run import BaselineTable, Plan, run_baselines
from project import PROJECT
from small_run import Noise

KEEP = Preprocess(size=None, mode="none")
COLOR = Plan(features=[("color",)], models=["linear_svm", "knn"])


class Data(Noise):
    """Noise with a hint of its class; `changes` replaces splits, None takes one away."""

    def __init__(self, task: str = "single", **changes: Samples | None) -> None:
        super().__init__(num_workers=0)
        self.changes = changes
        self.task = task

    def read(self, class_names):
        return replace(super().read(class_names), task=self.task, **self.changes)


def sample_images(
    count: int, side: int = 8, *, seed: int = 0, classes: int = 3, gray: bool = False, name: str = "x"
) -> Samples:
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % classes
    images = rng.integers(0, 150, (count, side, side, 1 if gray else 3)) + 50 * labels[:, None, None, None]
    images = np.repeat(images, 3, axis=3) if gray else images
    return Samples([f"{name}/{i}" for i in range(count)], ArrayImages(images.astype(np.uint8)), labels)


@pytest.fixture(scope="module")
def table() -> BaselineTable:
    return run_baselines(Data(), COLOR)


# Features of a split


@pytest.mark.parametrize("workers", [0, 2])
def test_features_come_in_the_order_of_the_data_whoever_makes_them(workers, monkeypatch):
    samples = sample_images(300, 12)
    look = inspect_images(samples, KEEP)
    expected = ColorHistogram()(samples.images.array)
    monkeypatch.setattr("imgrec.studies.baselines.extract._num_workers", lambda _: workers)
    seen = []
    made = extract(
        samples,
        preprocess=KEEP,
        facts=look,
        descriptors={"color": ColorHistogram()},
        progress=lambda done, total: seen.append((done, total)),
    )
    assert np.array_equal(made.features["color"], expected)
    assert seen[-1] == (300, 300)
    assert made.ms_per_image["color"] > 0


def test_large_images_are_reduced_after_preprocessing():
    samples = sample_images(4, 40)
    look = inspect_images(samples, Preprocess(size=200, mode="squash"))
    assert (look.height_width, look.working_size) == ((200, 200), (100, 100))
    made = extract(samples, preprocess=Preprocess(size=200, mode="squash"), facts=look, descriptors={"hog": Hog(25)})
    assert made.features["hog"].shape == (4, 3 * 3 * 4 * 9)


def test_a_smaller_image_has_the_means_of_the_pixels_it_covers():
    images = sample_images(2, 8).images.array
    expected = images.reshape(2, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    assert np.abs(shrink(images, (4, 4)) - expected).max() <= 0.5
    assert shrink(images, (8, 8)) is images


@pytest.mark.parametrize("workers", [0, 2])
def test_images_of_several_sizes_are_refused(workers, monkeypatch):
    small, large = sample_images(3, 8), sample_images(3, 9)
    mixed = [*small.images.array, *large.images.array]
    samples = Samples([*small.names, "y/0", "y/1", "y/2"], mixed, np.zeros(6, dtype=np.int64))
    with pytest.raises(DataError, match="preprocess=crop or squash"):
        inspect_images(samples, KEEP)
    monkeypatch.setattr("imgrec.studies.baselines.extract._num_workers", lambda _: workers)
    with pytest.raises(DataError, match=r"9x9 px and of 8x8 px after preprocessing.*preprocess=squash or crop"):
        extract(large, preprocess=KEEP, facts=inspect_images(small, KEEP), descriptors={"color": ColorHistogram()})


def test_an_image_that_cannot_be_read_is_named():
    class Broken(list):
        def __getitem__(self, index):
            raise ImageError("photos/cat.jpg", "damaged", "cannot be decoded")

    with pytest.raises(ImageError, match=r"photos/cat\.jpg"):
        inspect_images(Samples(["a"], Broken([0]), np.zeros(1, dtype=np.int64)), KEEP)


def test_frozen_features_are_what_the_last_layer_is_given():
    network = make_small_cnn(num_classes=3, channels=[4, 8], hidden=6).eval()
    samples = sample_images(70, 16)
    images = torch.from_numpy(samples.images.array.transpose(0, 3, 1, 2).copy())
    seen = []
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1]
    handle = last.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with torch.inference_mode():
        network(images)
    handle.remove()
    made = extract_frozen(network, samples, name="frozen", preprocess=KEEP)
    assert np.allclose(made.features["frozen"], seen[0].numpy(), atol=1e-5)
    assert ms_per_image(network, samples, preprocess=KEEP) > 0


# The table


def test_no_baseline_is_fitted_or_chosen_with_a_test_image(monkeypatch):
    data = Data()
    fitted: list[np.ndarray] = []
    real = fitting.Family

    def watched(family):
        def make(case, **settings):
            estimator = family.make(case, **settings)
            fit = estimator.fit
            estimator.fit = lambda features, labels: fitted.append(features) or fit(features, labels)
            return estimator

        return real(make, family.candidates, family.scores)

    monkeypatch.setattr(
        "imgrec.studies.baselines.run.MODELS", {name: watched(family) for name, family in fitting_models().items()}
    )
    monkeypatch.setattr("imgrec.studies.baselines.fit._size", lambda _: 0)  # a spied-on estimator cannot be pickled
    run_baselines(data, Plan(features=[("color",)], models=list(fitting_models())))
    own = {row.tobytes() for row in described(data, "train")}
    others = {row.tobytes() for part in ("val", "test") for row in described(data, part)}
    assert not own & others
    used = {row.tobytes() for features in fitted for row in features}
    assert len(fitted) >= 20
    assert used == own


@pytest.mark.parametrize("scored", ["test", "val"])
def test_settings_are_never_compared_on_the_scored_images(scored, monkeypatch):
    held_out = []

    def watched(family, train, *, val, seed):
        held_out.append(val)
        return fitting.choose(family, train, val=val, seed=seed)

    monkeypatch.setattr("imgrec.studies.baselines.run.choose", watched)
    data = Data()
    run_baselines(data, replace(COLOR, scored=scored))
    if scored == "val":
        assert held_out == [None] * 4
    else:
        assert all(np.array_equal(val.labels, data.split("val").labels) for val in held_out)
        assert np.allclose(held_out[0].features, described(data, "val"))


def fitting_models():
    from imgrec.studies.baselines.models import MODELS

    return {name: MODELS[name] for name in ("linear_svm", "kernel_svm", "logistic_regression", "knn")}


def described(data: Data, part: str) -> np.ndarray:
    images = np.stack([data.split(part).images[i] for i in range(len(data.split(part)))])
    scale = np.linalg.norm(
        ColorHistogram()(np.stack([data.split("train").images[i] for i in range(len(data.split("train")))])), axis=1
    ).mean()
    return ColorHistogram()(images) / np.float32(scale)


def test_the_images_are_those_of_the_data_module(table):
    test = Data().split("test")
    for baseline in table.baselines:
        assert list(baseline.predictions.names) == list(test.names)
        assert np.array_equal(baseline.predictions.labels, test.labels)
    assert table.sizes == {"train": 50, "val": 20, "test": 21}
    assert table.data_fingerprint == Data().fingerprint()


def test_the_trivial_baselines_use_no_features(table):
    trivial = {baseline.name: baseline for baseline in table.baselines if baseline.features == "none"}
    assert set(trivial) == {"majority", "stratified"}
    assert set(trivial["majority"].predictions.predicted) == {0}  # 17 of 50, the other two classes have 17 and 16
    assert [name for name in trivial if trivial[name].is_majority_class] == ["majority"]
    assert len(set(trivial["stratified"].predictions.predicted)) == 3


def test_baselines_come_best_first_and_the_same_for_the_same_seed(table):
    again = run_baselines(Data(), COLOR)
    assert [baseline.name for baseline in again.baselines] == [baseline.name for baseline in table.baselines]
    for one, other in zip(table.baselines, again.baselines, strict=True):
        assert np.array_equal(one.predictions.logits, other.predictions.logits)
    rows = [row["accuracy"] for row in to_json(table, folder=Path("x"))["baselines"]]
    assert rows == sorted(rows, reverse=True)


def test_joined_features_are_as_many_as_their_parts():
    data = Data(train=sample_images(30, 16), val=None, test=sample_images(12, 16, seed=1))
    plan = Plan(features=[("hog",), ("color",), ("hog", "color")], models=["knn"])
    baselines = {baseline.name: baseline for baseline in run_baselines(data, plan).baselines}
    widths = {name: baselines[f"{name}-knn"].num_features for name in ("hog", "color", "hog+color")}
    assert widths["hog+color"] == widths["hog"] + widths["color"]
    assert baselines["hog-knn"].chosen_on == "3-fold cross-validation of train"


def test_gray_images_get_a_histogram_of_brightness_and_a_note():
    data = Data(train=sample_images(30, gray=True), test=sample_images(9, gray=True, seed=1), val=None)
    table = run_baselines(data, COLOR)
    assert table.facts.is_gray
    assert table.baselines[0].num_features == 64
    assert "gray: the colour histogram is a histogram of brightness" in " ".join(table.notes)


def test_a_part_of_training_can_be_enough():
    table = run_baselines(Data(), replace(COLOR, max_train=9))
    assert table.sizes["train"] == 9


def test_frozen_features_go_with_logistic_regression_alone():
    network = make_small_cnn(num_classes=3, channels=[4, 8], hidden=6)
    plan = Plan(features=[("frozen",)], models=["knn"], network=network, network_name="frozen_small_cnn")
    names = {baseline.name for baseline in run_baselines(Data(), plan).baselines if baseline.features != "none"}
    assert names == {"frozen_small_cnn-logistic_regression"}


def test_without_a_test_split_validation_is_scored_and_settings_are_chosen_within_train():
    table = run_baselines(Data(test=None), replace(COLOR, scored="val"))
    assert table.sizes == {"train": 50, "val": 20}
    assert all(baseline.chosen_on != "val" for baseline in table.baselines)
    assert "no test split" in " ".join(table.notes)
    content = to_json(table, folder=Path("x"))
    assert (content["split"], content["num_val"], content["num_test"]) == ("val", 0, 20)


def test_a_class_without_training_images_is_noted_and_never_predicted():
    table = run_baselines(Data(train=sample_images(30, classes=2)), COLOR)
    assert "1 of 3 classes have no training image: c." in table.notes
    assert all(2 not in baseline.predictions.predicted for baseline in table.baselines)


def test_a_test_split_of_one_class_is_noted():
    table = run_baselines(Data(test=sample_images(9, classes=1)), COLOR)
    assert "The test split holds images of one class only: accuracy is not informative." in table.notes


def test_a_class_with_one_training_image_is_in_order():
    train = sample_images(31, classes=2)
    train.labels[-1] = 2
    assert run_baselines(Data(train=train, val=None), COLOR).baselines


def test_fewer_training_images_than_neighbours_are_in_order():
    table = run_baselines(Data(train=sample_images(3), val=None), COLOR)
    assert {baseline.name for baseline in table.baselines} >= {"color-knn", "color-linear_svm"}


def test_one_class_is_refused():
    with pytest.raises(DataError, match=r"1 class \(a\); classification needs two or more"):
        run_baselines(Data(train=sample_images(9, classes=1)), COLOR)


def test_several_labels_per_image_are_refused():
    with pytest.raises(DataError, match="several labels each; baselines are for one label per image"):
        run_baselines(Data(task="multilabel"), COLOR)


def test_an_empty_test_split_is_refused():
    with pytest.raises(DataError, match="The test split holds no images"):
        run_baselines(Data(test=sample_images(3).subset([])), COLOR)


# Files and table


def test_the_scores_are_scikit_learn_s_and_the_interval_is_wilson_s(table):
    predictions = table.baselines[0].predictions
    row = accuracy_of(predictions)
    share, z, n = row["accuracy"], 1.959963984540054, len(predictions)
    centre, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    expected = [(centre - spread) / (1 + z * z / n), (centre + spread) / (1 + z * z / n)]
    assert row["accuracy_interval"] == pytest.approx(expected, abs=1e-9)
    assert share == accuracy_score(predictions.labels, predictions.predicted)
    assert row["macro_f1"] == pytest.approx(f1_score(predictions.labels, predictions.predicted, average="macro"))


def test_the_folder_holds_strict_json_and_a_table_for_each_baseline(table, tmp_path):
    content = write_baselines(table, tmp_path / "out")
    text = (tmp_path / "out" / "baselines.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == content
    assert content["format"] == 1
    assert content["network"] is None
    for row, baseline in zip(content["baselines"], table.baselines, strict=True):
        stored = read_parquet(tmp_path / "out" / row["predictions"])
        assert np.array_equal(stored.logits, baseline.predictions.logits)
        assert stored.provenance["baseline"] == row["name"]
        assert row["num_errors"] == int((stored.predicted != stored.labels).sum())
    svm = next(row for row in content["baselines"] if row["model"] == "linear_svm")
    assert svm["scores"] == "decision_values"
    assert svm["chosen_on"] == "val"
    assert [entry["settings"]["C"] for entry in svm["tried"]] == [0.1, 0.3, 1, 3, 10]


def test_baselines_json_is_there_only_when_all_is_whole(table, tmp_path, monkeypatch):
    write_baselines(table, tmp_path)

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("imgrec.studies.baselines.output.write_parquet", fail)
    with pytest.raises(KeyboardInterrupt):
        write_baselines(table, tmp_path)
    assert not (tmp_path / "baselines.json").exists()


@pytest.fixture
def evaluated(table, tmp_path) -> Path:
    """The run folder of a network that was scored on the same images."""
    predictions = replace(table.baselines[0].predictions, provenance={"checkpoint": "gone/best.ckpt"})
    write_evaluation(predictions, tmp_path / "run" / "evaluation")
    return tmp_path / "run"


def test_a_network_is_put_beside_its_baselines(table, evaluated, tmp_path):
    network = read_model_row(evaluated)
    content = write_baselines(table, tmp_path / "out", network=network)
    assert json.loads((evaluated / "evaluation" / "baselines.json").read_text()) == content
    assert content["network"]["accuracy"] == content["baselines"][0]["accuracy"]
    assert content["network"]["source"] == "gone/best.ckpt"
    assert read_model_row(evaluated / "evaluation").folder == network.folder


def test_a_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no predictions\.parquet"):
        evaluation_folder(tmp_path)


def test_a_network_of_other_images_is_refused_with_the_names_that_differ(table):
    predictions = table.baselines[0].predictions
    labels = [table.class_names[label] for label in predictions.labels]
    moved = [f"/elsewhere/{name}" for name in predictions.names]
    # The folder and the order may differ.
    assert check_same_images(predictions, moved[::-1], labels[::-1]) == list(range(len(moved)))
    with pytest.raises(DataError, match="other images: 21 there, 20 here; only there: 20; only here: none"):
        check_same_images(predictions, moved[:-1], labels[:-1])
    with pytest.raises(DataError, match="1 images have another label"):
        check_same_images(predictions, moved, ["b", *labels[1:]])


def test_a_network_of_which_a_part_was_held_out_is_put_beside_baselines_of_the_other(table):
    predictions = table.baselines[0].predictions
    labels = [table.class_names[label] for label in predictions.labels]
    names = [f"/elsewhere/{name}" for name in predictions.names]
    odd = slice(1, None, 2)
    part = Predictions(predictions.names[odd], predictions.labels[odd], predictions.logits[odd], table.class_names)
    assert check_same_images(part, names, labels, num_held_out=11) == list(range(1, 21, 2))
    other = next(name for name in table.class_names if name != labels[1])
    for num_held_out in (0, 10):  # a part for another reason is no part
        with pytest.raises(DataError, match="other images: 10 there, 21 here"):
            check_same_images(part, names, labels, num_held_out=num_held_out)
    with pytest.raises(DataError, match="1 images have another label"):
        check_same_images(part, names, [labels[0], other, *labels[2:]], num_held_out=11)


def printed(content, width: int) -> str:
    text = io.StringIO()
    print_baselines(content, console=Console(file=text, width=width))
    return text.getvalue()


@pytest.mark.parametrize("width", [66, 80, 140])
def test_the_table_has_a_row_for_each_baseline_and_the_model(table, evaluated, width):
    content = to_json(table, folder=Path("out"), network=read_model_row(evaluated))
    text = printed(content, width)
    for row in content["baselines"]:
        assert f"{row['name']} " in text
        assert f"{row['accuracy']:.4f}" in text
    assert "best.ckpt" in text
    assert ("features" in text) == (width == 140)
    assert "color-linear_svm: Its scores are decision values, not probabilities" in text
    assert all(len(line) <= width for line in text.splitlines() if "Note:" not in line)


def test_the_report_shows_the_baselines(table, evaluated, tmp_path):
    from imgrec.evaluation.report.report import write_report

    write_baselines(table, tmp_path / "out", network=read_model_row(evaluated))
    page = write_report(evaluated / "evaluation").read_text()
    assert all(baseline.name in page for baseline in table.baselines)
    assert "Its scores are decision values" in page


def test_the_report_reads_the_file_of_earlier_releases(evaluated):
    from imgrec.evaluation.report.evaluation_folder import FORMER_FILES
    from imgrec.evaluation.report.report import write_report

    former = FORMER_FILES["baselines.json"]
    before = PROJECT / "tests" / "fixtures" / "before_layout" / "baselines" / former
    shutil.copy(before, evaluated / "evaluation" / former)
    assert "color-linear_svm" in write_report(evaluated / "evaluation").read_text()


def test_control_characters_in_names_are_written_out(table, evaluated):
    network = replace(read_model_row(evaluated), name="evil\x1b[31m")
    assert r"evil\x1b[31m" in printed(to_json(table, folder=Path("out"), network=network), 140)


def test_with_groups_the_interval_of_a_baseline_is_that_of_an_evaluation(table):
    predictions = table.baselines[0].predictions
    grouped = replace(predictions, groups=[f"g{row % 5}" for row in range(len(predictions))])
    wanted = compute_metrics(grouped)["intervals"]["accuracy"]
    assert accuracy_of(grouped)["accuracy_interval"] == wanted
    assert accuracy_of(predictions)["accuracy_interval"] != wanted
    one = accuracy_of(replace(predictions, groups=["g"] * len(predictions)))
    assert one["accuracy_interval"] is None
    console = Console(file=io.StringIO(), width=200)
    content = to_json(table, folder=Path("x"))
    print_baselines({**content, "baselines": [{**content["baselines"][0], **one}]}, console=console)
    assert " - " in console.file.getvalue()
