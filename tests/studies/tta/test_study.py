"""Test-time augmentation: its views, what is averaged, and what is reported."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from imgrec.errors import ConfigError
from imgrec.evaluation.predictions.parquet import read_parquet
from imgrec.studies.study import Subject
from imgrec.studies.tta import TestTimeAugmentation, View, take_view, views_of
from imgrec.studies.tta.study import compare_views
from predicted import make_predictions
from small_run import Noise, small_net
from studied import evaluated

torch.manual_seed(0)
NET = small_net().eval()
IMAGES = torch.randint(0, 256, (2, 3, 8, 10), dtype=torch.uint8)


def test_views_begin_with_the_image_as_it_is():
    assert views_of(mirror=True, shift=0.0, scales=[1.0]) == [View(), View(is_mirrored=True)]
    assert len(views_of(mirror=True, shift=0.1, scales=[1.0])) == 10
    assert views_of(mirror=False, shift=0.1, scales=[1.2, 1.0])[0] == View()


def test_the_plain_view_is_the_image_bit_for_bit():
    assert torch.equal(take_view(IMAGES, View()), IMAGES)


def test_a_mirrored_view_is_flipped():
    assert torch.equal(take_view(IMAGES, View(is_mirrored=True)), IMAGES.flip(3))


def test_a_shifted_view_moves_by_whole_pixels_and_mirrors_the_edge():
    found = take_view(IMAGES, View(shift=(0.25, -0.2)))  # 2 down, 2 left
    assert torch.equal(found[..., 2:, :8], IMAGES[..., :6, 2:])
    assert torch.equal(found[..., 0, 0], IMAGES[..., 2, 2])
    assert torch.equal(found[..., 2, 9], IMAGES[..., 0, 7])


def test_a_closer_view_shows_the_middle():
    ramp = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 3, 8, 8)
    found = take_view(ramp, View(scale=2.0))
    assert found.shape == ramp.shape
    assert (float(found.min()), float(found.max())) == (2.0, 5.0)


def subject(folder, **changes: Any) -> Subject:
    data = Noise(eval_batch_size=8, num_workers=0)
    return Subject(NET, data, "test", evaluated(NET, data), folder, torch.device("cpu"))


def test_probabilities_are_averaged(tmp_path):
    TestTimeAugmentation(mirror=True, shift=0.125)(about := subject(tmp_path))
    images = next(iter(Noise(eval_batch_size=21, num_workers=0).test_dataloader()))["images"]
    with torch.no_grad():
        views = views_of(mirror=True, shift=0.125, scales=[1.0])
        each = [NET(take_view(images, view)).double().softmax(1) for view in views]
    table = read_parquet(tmp_path / "predictions_tta.parquet")
    np.testing.assert_allclose(table.probabilities, torch.stack(each).mean(0), atol=1e-6)
    assert table.names == list(about.predictions.names)
    assert table.provenance["tta"] == "10 views"


def test_several_labels_are_averaged_too(tmp_path):
    about = subject(tmp_path)
    labels = (np.arange(63).reshape(21, 3) % 2).astype(np.uint8)
    several = make_predictions(about.predictions.logits, labels, task="multilabel")
    TestTimeAugmentation()(Subject(NET, about.data, "test", several, tmp_path, about.device))
    images = next(iter(Noise(eval_batch_size=21, num_workers=0).test_dataloader()))["images"]
    with torch.no_grad():
        each = [NET(side).double().sigmoid() for side in (images, images.flip(3))]
    found = read_parquet(tmp_path / "predictions_tta.parquet")
    np.testing.assert_allclose(found.probabilities, torch.stack(each).mean(0), atol=1e-6)
    assert json.loads((tmp_path / "tta.json").read_text())["score"] == "micro_f1"


def test_the_temperature_is_in_the_averaged_probabilities_once(tmp_path):
    from dataclasses import replace

    about = subject(tmp_path)
    warm = replace(about.predictions, temperature=2.0)
    TestTimeAugmentation()(Subject(NET, about.data, "test", warm, tmp_path, about.device))
    images = next(iter(Noise(eval_batch_size=21, num_workers=0).test_dataloader()))["images"]
    with torch.no_grad():
        each = [(NET(side).double() / 2).softmax(1) for side in (images, images.flip(3))]
    found = read_parquet(tmp_path / "predictions_tta.parquet")
    assert found.temperature == 1
    np.testing.assert_allclose(found.probabilities, torch.stack(each).mean(0), atol=1e-6)


def test_what_is_written_names_views_scores_and_cost(tmp_path):
    TestTimeAugmentation(scales=[1.0, 1.25])(subject(tmp_path))
    found = json.loads((tmp_path / "tta.json").read_text())
    assert (found["format"], found["split"], found["cost"]["forward_passes"], len(found["views"])) == (1, "test", 4, 4)
    assert found["difference"]["difference"] == pytest.approx(found["tta"]["score"] - found["plain"]["score"])
    assert found["cost"]["time_ratio"] > 1


def test_two_runs_are_the_same(tmp_path):
    for name in ("a", "b"):
        TestTimeAugmentation()(subject(tmp_path / name))
    one, two = (read_parquet(tmp_path / name / "predictions_tta.parquet") for name in ("a", "b"))
    assert np.array_equal(one.logits, two.logits)


def test_a_gain_that_is_there_is_called_better():
    labels = np.zeros(400, dtype=np.int64)
    before = make_predictions(np.eye(2)[(np.arange(400) < 100).astype(int)], labels)
    after = make_predictions(np.eye(2)[(np.arange(400) < 40).astype(int)], labels)
    found = compare_views(before, after, seed=1)
    assert (found["verdict"], found["num_mended"], found["num_spoiled"]) == ("better", 60, 0)
    assert compare_views(after, before, seed=1)["verdict"] == "worse"
    assert compare_views(after, after, seed=1)["verdict"] == "no difference found"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mirror": False}, "the plain view only"),
        ({"shift": 0.5}, r"tta\.shift=0\.5"),
        ({"scales": [0.5, 1]}, r"tta\.scales=0\.5"),
        ({"scales": [1.5]}, "1, the plain image, must be among them"),
    ],
)
def test_views_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        TestTimeAugmentation(**options)
