"""MixUp and CutMix: keyed draws, exact labels, untouched generators."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from imgrec.data.augment.mixing import BatchMixing
from imgrec.errors import ConfigError

CONF = Path(__file__).resolve().parents[3] / "conf" / "mixing"
KEY = (0, 3, 17, 0)
KINDS = [{"mixup_alpha": 1.0}, {"cutmix_alpha": 1.0}]


@pytest.fixture
def images() -> Tensor:
    return torch.randint(256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 1, 2, 0, 1, 2])


def mix(**options: Any) -> BatchMixing:
    return BatchMixing(**{"num_classes": 3, **options})


def kept_share(targets: Tensor, labels: Tensor) -> Tensor:
    """Return the share of each image's own label; neighbours here never share a label."""
    return targets[range(len(labels)), labels]


@pytest.mark.parametrize("kind", KINDS)
def test_same_key_gives_same_pixels_and_targets(kind: dict[str, float], images: Tensor, labels: Tensor) -> None:
    first, second = mix(**kind)(images, labels, key=KEY), mix(**kind)(images, labels, key=KEY)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other", [(1, 3, 17, 0), (0, 4, 17, 0), (0, 3, 18, 0), (0, 3, 17, 1), (0, 31, 7, 0), (0, 3, 17)]
)
def test_any_part_of_the_key_changes_the_draws(
    kind: dict[str, float], other: tuple[int, ...], images: Tensor, labels: Tensor
) -> None:
    mixing = mix(**kind)
    assert not torch.equal(mixing(images, labels, key=KEY)[0], mixing(images, labels, key=other)[0])


@pytest.mark.parametrize("kind", [*KINDS, {"mixup_alpha": 1.0, "cutmix_alpha": 1.0, "probability": 0.5}])
def test_global_generators_are_neither_read_nor_moved(kind: dict[str, float], images: Tensor, labels: Tensor) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = mix(**kind)(images, labels, key=KEY)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(mix(**kind)(images, labels, key=KEY)[0], first[0])


def test_generator_is_put_back_after_an_error(images: Tensor) -> None:
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="num_classes"):
        mix(mixup_alpha=1.0)(images, torch.zeros(6, 7), key=KEY)
    assert torch.equal(torch.get_rng_state(), before)


def test_mixup_blends_each_image_with_its_neighbour_in_the_share_of_the_labels(images: Tensor, labels: Tensor) -> None:
    mixed, targets = mix(mixup_alpha=1.0)(images, labels, key=KEY)
    share = kept_share(targets, labels)[0].item()
    assert 0 < share < 1
    expected = share * images.float() + (1 - share) * images.float().roll(1, 0)
    torch.testing.assert_close(mixed, expected)


def test_mixup_of_uint8_does_not_round(images: Tensor, labels: Tensor) -> None:
    mixed, _ = mix(mixup_alpha=1.0)(images, labels, key=KEY)
    assert mixed.dtype == torch.float32
    assert mixed.min() >= 0 and mixed.max() <= 255
    assert not torch.equal(mixed, mixed.round())


def test_cutmix_pastes_a_rectangle_whose_area_is_the_neighbours_share(images: Tensor, labels: Tensor) -> None:
    mixed, targets = mix(cutmix_alpha=1.0)(images, labels, key=KEY)
    assert mixed.dtype == torch.uint8
    pasted = (mixed == images.roll(1, 0)).all(dim=1) & (mixed != images).any(dim=1)  # (N, H, W)
    rows, columns = pasted[0].any(dim=1).sum(), pasted[0].any(dim=0).sum()
    assert 0 < rows * columns < 16 * 16
    assert kept_share(targets, labels)[0].item() == pytest.approx(1 - (rows * columns).item() / 256)
    assert torch.equal(mixed[~pasted[:, None].expand_as(mixed)], images[~pasted[:, None].expand_as(mixed)])


@pytest.mark.parametrize("kind", KINDS)
def test_targets_of_single_labels_sum_to_one(kind: dict[str, float], images: Tensor, labels: Tensor) -> None:
    for step in range(20):
        _, targets = mix(**kind)(images, labels, key=(0, 0, step, 0))
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_have_mean_and_variance_of_the_beta_distribution(alpha: float, labels: Tensor) -> None:
    mixing, images = mix(mixup_alpha=alpha), torch.zeros(6, 3, 1, 1)
    shares = torch.stack(
        [kept_share(mixing(images, labels, key=(0, 0, step, 0))[1], labels)[0] for step in range(1000)]
    )
    variance = 1 / (4 * (2 * alpha + 1))
    assert shares.mean().item() == pytest.approx(0.5, abs=4 * (variance / 1000) ** 0.5)
    assert shares.var().item() == pytest.approx(variance, rel=0.2)


def test_either_of_the_two_is_taken_equally_often(images: Tensor, labels: Tensor) -> None:
    mixing = mix(mixup_alpha=1.0, cutmix_alpha=1.0)
    blended = [
        not torch.equal(mixed, mixed.round())
        for mixed, _ in (mixing(images, labels, key=(0, 0, step, 0)) for step in range(400))
    ]
    assert sum(blended) == pytest.approx(200, abs=40)


def test_probability_is_the_share_of_batches_that_are_mixed(images: Tensor, labels: Tensor) -> None:
    mixing = mix(mixup_alpha=1.0, probability=0.25)
    left = 0
    for step in range(400):
        mixed, targets = mixing(images, labels, key=(0, 0, step, 0))
        assert mixed.dtype == targets.dtype == torch.float32  # alike whether mixed or not, so a compiled net sees one
        if torch.equal(mixed, images.float()):
            left += 1
            assert torch.equal(targets.argmax(dim=1), labels)
            assert targets.max() == 1
    assert left == pytest.approx(300, abs=36)


def test_several_labels_are_mixed_in_the_same_share(images: Tensor) -> None:
    several = torch.tensor([[1, 1, 0], [0, 1, 0]] * 3, dtype=torch.uint8)
    _, targets = mix(mixup_alpha=1.0)(images, several, key=KEY)
    share = targets[0, 0].item()
    assert 0 < share < 1
    torch.testing.assert_close(targets, share * several.float() + (1 - share) * several.float().roll(1, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_one_is_mixed_with_itself(kind: dict[str, float], images: Tensor) -> None:
    mixed, targets = mix(**kind)(images[:1], torch.tensor([2]), key=KEY)
    torch.testing.assert_close(mixed.float(), images[:1].float())
    torch.testing.assert_close(targets, torch.tensor([[0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("kind", KINDS)
def test_channels_last_is_kept(kind: dict[str, float], images: Tensor, labels: Tensor) -> None:
    mixed, _ = mix(**kind)(images.contiguous(memory_format=torch.channels_last), labels, key=KEY)
    assert mixed.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", KINDS)
def test_the_batch_itself_is_not_changed(kind: dict[str, float], images: Tensor, labels: Tensor) -> None:
    floats = images.float()
    before = floats.clone()
    mix(**kind)(floats, labels, key=KEY)
    assert torch.equal(floats, before)


@pytest.mark.parametrize("options", [{}, {"mixup_alpha": 1.0, "probability": 0.0}])
def test_nothing_on_gives_back_the_very_batch(options: dict[str, float], images: Tensor, labels: Tensor) -> None:
    mixed, targets = BatchMixing(**options)(images, labels, key=KEY)
    assert mixed is images
    assert targets is labels


def test_nothing_on_imports_no_torchvision() -> None:
    code = (
        "import sys; from imgrec.data.augment.mixing import BatchMixing; BatchMixing(); "
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup_alpha": -1}, r"mixing\.mixup_alpha=-1.*at least 0"),
        ({"cutmix_alpha": float("nan")}, r"mixing\.cutmix_alpha=nan.*finite"),
        ({"probability": 1.5}, r"mixing\.probability=1\.5.*at most 1"),
        ({"mixup_alpha": 1, "num_classes": None}, r"mixing\.num_classes is needed"),
    ],
)
def test_wrong_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mix(**options)


@pytest.mark.parametrize(
    ("preset", "transforms"),
    [("none", []), ("mixup", ["MixUp"]), ("cutmix", ["CutMix"]), ("mixup_cutmix", ["MixUp", "CutMix"])],
)
def test_every_preset_builds_what_its_name_says(preset: str, transforms: list[str]) -> None:
    config = OmegaConf.create({"data": {"num_classes": 3}, "mixing": OmegaConf.load(CONF / f"{preset}.yaml")})
    assert [type(transform).__name__ for transform in instantiate(config).mixing.transforms] == transforms
