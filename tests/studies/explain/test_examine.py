"""The sanity check, and what is written of a map."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from explained import PATCH, LinearCam, PatchNetwork
from imgrec.errors import ConfigError
from imgrec.evaluation.figures.figures import render
from imgrec.models import make_small_cnn
from imgrec.studies.explain import Examiner, GradCam, Occlusion
from imgrec.studies.explain.methods import SaliencyMap
from imgrec.studies.explain.network import to_images
from imgrec.studies.explain.page import map_view, to_html
from imgrec.studies.explain.panel import Caption, draw_panel
from imgrec.studies.explain.randomize import randomized
from imgrec.studies.explain.record import Shown, image_record, summary_of, write_explanations

HOSTILE = "<script>alert(1)</script> $x^2$ \udcff\n"


class Edges:
    """A method that ignores the network: an edge detector, as in Adebayo et al. 2018."""

    name = "edges"

    def __call__(self, network, image, *, baseline, target, from_logits) -> SaliencyMap:
        grey = image.astype(float).mean(axis=2)
        return SaliencyMap(np.abs(np.diff(grey, axis=0, prepend=0)) + np.abs(np.diff(grey, axis=1, prepend=0)), {})


class Empty:
    name = "empty"

    def __call__(self, network, image, *, baseline, target, from_logits) -> SaliencyMap:
        return SaliencyMap(np.zeros(image.shape[:2]), {})


def bright_patch() -> np.ndarray:
    image = np.random.default_rng(5).integers(40, 80, (32, 32, 3), dtype=np.uint8)
    image[PATCH] = 240
    return image


@pytest.fixture(scope="module")
def examined():
    examiner = Examiner(PatchNetwork().eval(), methods=[Occlusion(), GradCam(), Edges(), Empty()], baseline="black")
    return {one.method: one for one in examiner(bright_patch(), target=1)}


def test_the_map_of_the_patch_that_decides_is_trustworthy(examined):
    found = examined["occlusion"]
    assert found.verdict.grade == "trustworthy", found.verdict
    assert found.faithfulness.deletion_gain > 0.2
    assert found.has_changed


def test_a_method_that_ignores_the_weights_is_bad(examined):
    assert examined["edges"].verdict.grade == "bad"
    assert "hardly changes when the weights are randomised (rank correlation 1.00)" in examined["edges"].verdict.reason
    assert [stage.stage for stage in examined["edges"].stages] == ["head", "upper_half", "all"]
    assert not examined["edges"].has_changed


def test_an_empty_map_is_bad_and_has_no_areas(examined):
    assert examined["empty"].verdict.grade == "bad"
    assert examined["empty"].faithfulness is None
    assert examined["empty"].stages[-1].spearman is None


def test_an_image_is_examined_by_itself_and_the_same_each_time():
    examiner = Examiner(make_small_cnn(3).eval(), methods=[GradCam()], num_random=2)
    first = examiner(bright_patch(), target=0)[0]
    examiner(255 - bright_patch(), target=1)
    again = examiner(bright_patch(), target=0)[0]
    assert first.stages == again.stages and first.faithfulness == again.faithfulness


def test_shuffling_keeps_the_values_of_each_tensor_and_the_network():
    torch.manual_seed(1)
    network = make_small_cnn(3).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = to_images(bright_patch()[None], torch.device("cpu"))
    changed = dict(randomized(network, "all", seed=1, images=images).named_parameters())
    for key, value in network.named_parameters():
        assert torch.equal(value, before[key])
        assert torch.equal(changed[key].flatten().sort().values, value.flatten().sort().values)
    weights = [key for key, value in network.named_parameters() if value.ndim > 1]
    assert all(not torch.equal(changed[key], before[key]) for key in weights)


@pytest.mark.parametrize(("stage", "num_kept"), [("head", 5), ("upper_half", 3), ("all", 0)])
def test_a_stage_reaches_from_the_head_down(stage, num_kept):
    torch.manual_seed(1)
    network = make_small_cnn(3).eval()
    images = to_images(bright_patch()[None], torch.device("cpu"))
    changed = randomized(network, stage, seed=1, images=images).state_dict()
    weights = [key for key, value in network.named_parameters() if value.ndim > 1]
    kept = [key for key in weights if torch.equal(changed[key], network.state_dict()[key])]
    assert kept == weights[: len(kept)]
    assert len(kept) == num_kept


def test_without_batch_norm_measured_again_activations_would_leave_their_range():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(3600, 2)).eval()
    network[1].running_var.fill_(1e-12)
    images = to_images(bright_patch()[None], torch.device("cpu"))
    changed = randomized(network, "all", seed=1, images=images)
    assert changed[1].running_var.min() > 1
    assert not any(module.training for module in changed.modules())


def test_a_network_without_imgrec_s_head_is_shuffled_by_its_last_layer():
    images = to_images(bright_patch()[None], torch.device("cpu"))
    torch.manual_seed(2)
    network = LinearCam().eval()
    changed = randomized(network, "head", seed=1, images=images)
    assert torch.equal(changed.conv.weight, network.conv.weight)
    assert not torch.equal(changed.head.weight, network.head.weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"baseline": "white"}, "explain.baseline=white"),
        ({"num_random": 0}, "explain.num_random=0"),
        ({"batch_size": 0}, "explain.batch_size=0"),
    ],
)
def test_a_value_that_cannot_be_is_named(options, message):
    with pytest.raises(ConfigError, match=message):
        Examiner(LinearCam(), methods=[GradCam()], **options)


def test_a_record_is_strict_json_with_nothing_undefined_called_zero(examined, tmp_path):
    shown = Shown("a/\udcff.jpg", HOSTILE, "b", 0.9, "b")
    rows = [image_record(one, shown, png=f"explain/0000-{name}.png") for name, one in examined.items()]
    content = write_explanations(tmp_path, rows, settings={"baseline": "black", "num_random": 9, "seed": 1})
    text = (tmp_path / "explain.json").read_text()
    read = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert (read["format"], read["method"], read["layer"]) == (1, "all", "features")
    assert read["images"][0]["label"] == HOSTILE
    assert [row["verdict"] for row in read["images"]][-2:] == ["bad", "bad"]
    empty = read["images"][-1]
    assert (empty["deletion_auc"], empty["deletion_gain"], empty["sanity"]["spearman"]) == (None, None, None)
    assert empty["random_deletion_auc"] > 0
    assert set(read["summaries"]) == {"occlusion", "gradcam", "edges", "empty"}
    assert content["summaries"]["edges"]["changed"] == 0
    assert content["summary"]["images"] == 4
    assert summary_of([])["verdict"] is None


@pytest.mark.parametrize("method", ["occlusion", "empty"])
def test_a_panel_is_drawn_with_any_name(examined, method):
    pixels = render(draw_panel(examined[method], Caption(HOSTILE * 9, HOSTILE, "\N{SNOWMAN} 蟻", 0.5, "other", 0.1)))
    assert pixels.shape[1] > 1400
    assert pixels.std() > 10


@pytest.mark.parametrize("method", ["occlusion", "edges"])
def test_no_legend_of_a_panel_covers_a_curve_or_a_label_of_its_axes(examined, method):
    figure = draw_panel(examined[method], Caption("a.png", "a", "b", 0.5, "b", 0.5))
    render(figure)  # places everything
    curves = [axes for axes in figure.axes if axes.get_legend() is not None]
    assert len(curves) == 2
    for axes in curves:
        legend = axes.get_legend().get_window_extent()
        labels = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert not legend.count_overlaps([axes.get_window_extent(), *labels])
        assert legend.y0 >= 0


def test_the_page_runs_nothing_and_asks_for_nothing(examined):
    shown = Shown(f"{HOSTILE}.jpg", HOSTILE, HOSTILE, 0.9, HOSTILE)
    rows = [image_record(one, shown, png="x.png") for one in examined.values()]
    views = [map_view(one, row) for one, row in zip(examined.values(), rows, strict=True)]
    content = {
        "images": rows,
        "summaries": {"gradcam": summary_of(rows)},
        "failed": [{"path": HOSTILE, "reason": "truncated", "message": HOSTILE}],
        "notes": [HOSTILE],
    }
    page = to_html(content, views, checkpoint=HOSTILE).decode("utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 10
    assert "http" not in page.replace("http-equiv", "").replace("\\", "")
    assert page.count("data:image/jpeg") == 3 * len(views)
    assert "default-src 'none'" in page
