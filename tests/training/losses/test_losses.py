"""Losses against PyTorch, scikit-learn and the formulas written naively."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

import imgrec.training.losses
from imgrec.errors import ConfigError
from imgrec.training.losses import BinaryCrossEntropyLoss, CrossEntropyLoss, FocalLoss

CONF = Path(__file__).resolve().parents[3] / "conf" / "loss"
N, C = 16, 5
WEIGHTS = [0.5, 1.0, 2.0, 0.0, 3.5]


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(N, C, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def labels() -> Tensor:
    return torch.randint(C, (N,), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def soft() -> Tensor:
    return torch.randn(N, C, generator=torch.Generator().manual_seed(2)).softmax(dim=1)


@pytest.fixture
def several() -> Tensor:
    return torch.randint(2, (N, C), generator=torch.Generator().manual_seed(3)).to(torch.uint8)


# --- cross entropy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", ["labels", "soft"])
def test_cross_entropy_is_that_of_torch(
    kind: str, weights: list[float] | None, smoothing: float, logits: Tensor, request: pytest.FixtureRequest
) -> None:
    targets = request.getfixturevalue(kind)
    reference = nn.CrossEntropyLoss(None if weights is None else torch.tensor(weights), label_smoothing=smoothing)
    ours = CrossEntropyLoss(class_weights=weights, label_smoothing=smoothing)
    assert torch.equal(ours(logits, targets), reference(logits, targets))


def test_probabilities_in_16_bits_are_taken(logits: Tensor, soft: Tensor) -> None:
    assert CrossEntropyLoss()(logits, soft.half()).dtype == torch.float32


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), FocalLoss(gamma=0)])
def test_weighted_mean_divides_by_the_weights_of_the_labels_seen(loss: nn.Module) -> None:
    logits, labels = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    weighted = type(loss)(class_weights=[1.0, 3.0])
    expected = np.log(2) * (0.25 if isinstance(loss, FocalLoss) else 1)  # p = 1/2, gamma = 2: (1/2)^2 log 2
    assert weighted(logits, labels).item() == pytest.approx(expected)


# --- focal -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("kind", ["labels", "soft"])
def test_gamma_zero_is_cross_entropy(
    kind: str, weights: list[float] | None, smoothing: float, logits: Tensor, request: pytest.FixtureRequest
) -> None:
    targets = request.getfixturevalue(kind)
    reference = nn.CrossEntropyLoss(None if weights is None else torch.tensor(weights), label_smoothing=smoothing)
    ours = FocalLoss(gamma=0, class_weights=weights, label_smoothing=smoothing)
    torch.testing.assert_close(ours(logits, targets), reference(logits, targets), rtol=1e-6, atol=0)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_is_the_formula_of_the_paper(gamma: float, logits: Tensor, labels: Tensor) -> None:
    p = logits.double().softmax(dim=1)[range(N), labels]  # eq. 4: FL(p_t) = -(1 - p_t)^gamma log(p_t)
    expected = (-((1 - p) ** gamma) * p.log()).mean()
    torch.testing.assert_close(FocalLoss(gamma=gamma)(logits.double(), labels), expected)


def test_focal_of_one_hot_targets_is_that_of_labels(logits: Tensor, labels: Tensor) -> None:
    loss = FocalLoss(gamma=2.0, label_smoothing=0.1)
    torch.testing.assert_close(loss(logits, F.one_hot(labels, C).float()), loss(logits, labels))


def test_focal_counts_easy_images_less_than_cross_entropy_does() -> None:
    logits, label = torch.tensor([[4.0, 0.0]]), torch.tensor([0])
    assert FocalLoss(gamma=2.0)(logits, label) < 1e-3 * CrossEntropyLoss()(logits, label)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_focal_is_finite_for_the_surest_logits(gamma: float, dtype: torch.dtype) -> None:
    logits = torch.tensor([[6e4, -6e4], [-6e4, 6e4], [0.0, 0.0]], dtype=dtype, requires_grad=True)
    loss = FocalLoss(gamma=gamma)(logits, torch.tensor([0, 0, 0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


# --- binary ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_binary_is_that_of_torch(weights: list[float] | None, logits: Tensor, several: Tensor) -> None:
    reference = nn.BCEWithLogitsLoss(pos_weight=None if weights is None else torch.tensor(weights))
    assert torch.equal(BinaryCrossEntropyLoss(pos_weight=weights)(logits, several), reference(logits, several.float()))


def test_binary_takes_mixed_labels(logits: Tensor, several: Tensor) -> None:
    mixed = several.float().lerp(several.float().roll(1, 0), 0.3)
    torch.testing.assert_close(
        BinaryCrossEntropyLoss()(logits, mixed), F.binary_cross_entropy(logits.sigmoid(), mixed), rtol=1e-5, atol=0
    )


def test_binary_smoothing_moves_targets_towards_a_half(logits: Tensor, several: Tensor) -> None:
    smooth = torch.where(several.bool(), 0.95, 0.05)
    expected = F.binary_cross_entropy_with_logits(logits, smooth)
    torch.testing.assert_close(BinaryCrossEntropyLoss(label_smoothing=0.1)(logits, several), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_hot_asks_for_each_class_against_the_rest(smoothing: float, logits: Tensor, labels: Tensor) -> None:
    targets = torch.full((N, C), smoothing / C)  # as timm does: off value s / C, on value 1 - s + s / C
    targets[range(N), labels] = 1 - smoothing + smoothing / C
    loss = BinaryCrossEntropyLoss(one_hot=True, label_smoothing=smoothing)
    expected = F.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(loss(logits, F.one_hot(labels, C).float()), expected)


# --- all of them -----------------------------------------------------------------------------------------------------

LOSSES: list[Callable[[], nn.Module]] = [
    lambda: CrossEntropyLoss(class_weights=WEIGHTS, label_smoothing=0.1),
    lambda: FocalLoss(gamma=2.0, class_weights=WEIGHTS, label_smoothing=0.1),
    lambda: FocalLoss(gamma=0.7),
    lambda: BinaryCrossEntropyLoss(pos_weight=WEIGHTS, label_smoothing=0.1),
]


@pytest.mark.parametrize("make", LOSSES)
def test_gradients_are_those_of_finite_differences(make: Callable[[], nn.Module], logits: Tensor, soft: Tensor) -> None:
    assert torch.autograd.gradcheck(make(), (logits.double().requires_grad_(), soft.double()))


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_computed_in_float32(
    make: Callable[[], nn.Module], dtype: torch.dtype, logits: Tensor, soft: Tensor
) -> None:
    loss = make()
    assert torch.equal(loss(logits.to(dtype), soft), loss(logits.to(dtype).float(), soft))


@pytest.mark.parametrize("make", LOSSES)
def test_order_of_the_batch_does_not_matter(make: Callable[[], nn.Module], logits: Tensor, soft: Tensor) -> None:
    loss = make()
    torch.testing.assert_close(loss(logits.flip(0), soft.flip(0)), loss(logits, soft))


@pytest.mark.parametrize("make", LOSSES)
def test_state_is_empty_so_that_a_checkpoint_opens_under_any_loss(make: Callable[[], nn.Module]) -> None:
    assert make().state_dict() == {}


@pytest.mark.parametrize("make", LOSSES[:2])
def test_several_labels_are_sent_to_bce(make: Callable[[], nn.Module], logits: Tensor, several: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"one label per image.*several.*loss=bce"):
        make()(logits, several)


def test_one_label_is_sent_to_cross_entropy(logits: Tensor, labels: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"several labels.*loss=cross_entropy.*loss\.one_hot=true"):
        BinaryCrossEntropyLoss()(logits, labels)


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_class", [CrossEntropyLoss, FocalLoss])
def test_auto_weights_are_scikit_learns_balanced_ones(loss_class: type[CrossEntropyLoss]) -> None:
    labels = np.repeat([0, 1, 2], [70, 5, 25])
    loss = loss_class(class_weights="auto", class_counts=[70, 5, 25])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert loss.class_weights is not None
    np.testing.assert_allclose(loss.class_weights.numpy(), expected, rtol=1e-6)


def test_auto_pos_weight_is_absent_over_present() -> None:
    loss = BinaryCrossEntropyLoss(pos_weight="auto", class_counts=[20, 50, 99], num_samples=100)
    assert loss.pos_weight is not None
    torch.testing.assert_close(loss.pos_weight, torch.tensor([4.0, 1.0, 1 / 99]))


def test_auto_names_the_empty_class() -> None:
    with pytest.raises(ConfigError, match=r"no image of class index 1, 3\. .* 4 weights"):
        CrossEntropyLoss(class_weights="auto", class_counts=[3, 0, 2, 0])


@pytest.mark.parametrize("count", [0, 100])
def test_auto_pos_weight_names_a_label_on_no_image_or_all(count: int) -> None:
    with pytest.raises(ConfigError, match=r"loss\.pos_weight=auto.*class index 1\. "):
        BinaryCrossEntropyLoss(pos_weight="auto", class_counts=[20, count], num_samples=100)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CrossEntropyLoss(class_weights="auto"), r"class_weights=auto needs loss\.class_counts"),
        (lambda: BinaryCrossEntropyLoss(pos_weight="auto"), r"pos_weight=auto needs loss\.class_counts"),
        (lambda: BinaryCrossEntropyLoss(pos_weight="auto", class_counts=[1, 2]), r"needs loss\.num_samples"),
        (lambda: FocalLoss(class_weights="balanced"), r"class_weights='balanced'.*null, auto, or a list"),
        (lambda: CrossEntropyLoss(class_weights=[1, 2], class_counts=[5, 5, 5]), "has 2 numbers.*3 classes"),
        (lambda: CrossEntropyLoss(class_weights=[1, -2.0]), r"class_weights\[1\]=-2\.0.*at least 0"),
        (lambda: CrossEntropyLoss(class_weights=[1, float("nan")]), r"class_weights\[1\]=nan.*finite"),
        (lambda: CrossEntropyLoss(class_weights=[0, 0]), "no number above 0"),
        (lambda: CrossEntropyLoss(label_smoothing=1.0), r"label_smoothing=1\.0.*at least 0 and below 1"),
        (lambda: FocalLoss(label_smoothing=-0.1), r"label_smoothing=-0\.1"),
        (lambda: BinaryCrossEntropyLoss(label_smoothing=2), "label_smoothing=2"),
        (lambda: FocalLoss(gamma=-1), r"loss\.gamma=-1.*at least 0"),
    ],
)
def test_wrong_values_are_named(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("make", LOSSES[:2] + LOSSES[3:])
def test_weights_that_do_not_fit_the_network_give_both_numbers(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(ConfigError, match=r"5 numbers.*3 outputs"):
        make()(torch.zeros(2, 3), torch.zeros(2, 3))


# --- presets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["cross_entropy", "focal", "bce"])
@pytest.mark.parametrize("counts", [None, [3, 1, 2]])
def test_every_preset_builds(preset: str, counts: list[int] | None) -> None:
    data = {"class_counts": counts, "num_samples": None if counts is None else 4}
    config = OmegaConf.create({"data": data, "loss": OmegaConf.load(CONF / f"{preset}.yaml")})
    assert instantiate(config).loss(torch.zeros(2, 3), torch.zeros(2, 3)).ndim == 0


def test_weights_given_as_a_list_in_yaml_are_taken() -> None:
    config = OmegaConf.load(CONF / "cross_entropy.yaml")
    loss = instantiate(config, class_weights=[1, 2.5], class_counts=[4, 4])
    torch.testing.assert_close(loss.class_weights, torch.tensor([1.0, 2.5]))


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, imgrec.training.losses; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(callable(getattr(imgrec.training.losses, name)) for name in imgrec.training.losses.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = imgrec.training.losses.nothing


def test_bce_preset_reads_the_number_of_images_from_the_data() -> None:
    config = OmegaConf.create(
        {"data": {"class_counts": [1, 3], "num_samples": None}, "loss": OmegaConf.load(CONF / "bce.yaml")}
    )
    config.loss.pos_weight = "auto"
    with pytest.raises(InstantiationException, match=r"needs loss\.num_samples"):
        instantiate(config)
    config.data.num_samples = 4
    torch.testing.assert_close(instantiate(config).loss.pos_weight, torch.tensor([3.0, 1 / 3]))
