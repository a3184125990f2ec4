"""Optimizers by name: the right class, options and groups, and the same steps as torch.optim's own."""

import copy
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

import imgrec.training.optim
from imgrec.errors import ConfigError
from imgrec.training.optim import make_optimizer

CONF = Path(__file__).resolve().parents[3] / "conf" / "optimizer"
PRESETS = ["sgd", "adam", "adamw", "rmsprop", "nadam"]
IMAGES = torch.randn(8, 3, 5, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 2


def make_net(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2))
    net.head_parameters = frozenset({"3.weight", "3.bias"})
    return net.to(dtype)


def train(net: nn.Module, optimizer: torch.optim.Optimizer, *, steps: int = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(IMAGES.to(next(net.parameters()).dtype)), LABELS).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        ("Adam", {"betas": (0.8, 0.99)}),
        ("AdamW", {"eps": 1e-6}),
        ("RMSprop", {"momentum": 0.9, "alpha": 0.9}),
        ("NAdam", {"decoupled_weight_decay": True}),
        ("Adadelta", {"rho": 0.8}),
    ],
)
def test_steps_are_those_of_torch(name: str, options: dict[str, Any]) -> None:
    # In float64: the bias before the norm has no gradient but rounding, which Adam would blow up.
    ours, theirs = make_net(torch.float64), make_net(torch.float64)
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    train(ours, make_optimizer(ours, name=name, lr=0.01, weight_decay=0.01, **options))
    train(theirs, getattr(torch.optim, name)(groups, lr=0.01, **options))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_a_frozen_parameter_is_not_touched_by_decay() -> None:
    net = make_net()
    net[0].requires_grad_(False)
    before = net[0].weight.clone()
    train(net, make_optimizer(net, name="SGD", lr=0.1, weight_decay=0.5))
    assert torch.equal(net[0].weight, before)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_the_fused_kernel_is_the_default_where_it_exists(name: str) -> None:
    assert make_optimizer(make_net(), name=name, lr=0.1).defaults["fused"] is True


@pytest.mark.parametrize("options", [{"fused": False}, {"foreach": True}, {"differentiable": True}])
def test_the_fused_kernel_can_be_declined(options: dict[str, bool]) -> None:
    assert not make_optimizer(make_net(), name="AdamW", lr=0.1, **options).defaults["fused"]


def test_the_fused_kernel_is_not_asked_for_on_other_devices() -> None:
    assert not make_optimizer(make_net().to("meta"), name="AdamW", lr=0.1).defaults["fused"]


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_fused_kernel_takes_other_precisions(name: str, dtype: torch.dtype) -> None:
    net = make_net(dtype)
    before = copy.deepcopy(net)
    train(net, make_optimizer(net, name=name, lr=0.1), steps=1)
    assert not torch.equal(net[3].weight, before[3].weight)


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_gradients_of_16_bit_training_are_unscaled_before_the_step(name: str) -> None:
    # A GradScaler leaves unscaling to optimizers that set this, and then nothing can clip or check the gradients.
    net = make_net()
    optimizer = make_optimizer(net, name=name, lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(nn.functional.cross_entropy(net(IMAGES), LABELS)).backward()
    scaled = net[3].weight.grad.clone()
    scaler.step(optimizer)
    torch.testing.assert_close(net[3].weight.grad, scaled / 1024)


@pytest.mark.parametrize("preset", PRESETS)
def test_state_is_plain_and_resumes_to_equal_weights(preset: str) -> None:
    net = make_net()
    optimizer = instantiate(OmegaConf.load(CONF / f"{preset}.yaml"))(net)
    train(net, optimizer)
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    other = make_net()
    other.load_state_dict(state["net"])
    resumed = instantiate(OmegaConf.load(CONF / f"{preset}.yaml"))(other)
    resumed.load_state_dict(state["optimizer"])
    train(net, optimizer)
    train(other, resumed)
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_learns_a_handful_of_images(preset: str) -> None:
    net = make_net()
    train(net, instantiate(OmegaConf.load(CONF / f"{preset}.yaml"), lr=0.01)(net), steps=60)
    assert (net(IMAGES).argmax(dim=1) == LABELS).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_spells_the_keys_of_the_optimizer(preset: str) -> None:
    config = OmegaConf.load(CONF / f"{preset}.yaml")
    optimizer = instantiate(config)(make_net())
    assert type(optimizer).__name__.lower() == preset
    ours = {"_target_", "_partial_", "name", "head_lr", "weight_decay", "decay_norm_and_bias"}
    for key in config.keys() - ours:
        assert optimizer.defaults[key] == (tuple(config[key]) if key == "betas" else config[key])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "AdaW"}, r"optimizer\.name=AdaW.*Did you mean .*'AdamW'.*There are: ASGD, Adadelta"),
        ({"name": "LBFGS"}, "LBFGS is not an optimizer"),
        ({"name": "SGD", "momentun": 0.9}, r"optimizer\.momentun is not an option of SGD\. Did you mean 'momentum'\?"),
        ({"name": "AdamW", "momentum": 0.9}, "momentum is not an option of AdamW.*It takes: amsgrad, betas"),
        ({"name": "SGD", "nesterov": True}, r"torch\.optim\.SGD refuses.*[Nn]esterov"),
        ({"name": "AdamW", "betas": [2, 0.9]}, r"torch\.optim\.AdamW refuses.*beta"),
        ({"name": "AdamW", "fused": True, "foreach": True}, "refuses.*fused.*foreach"),
        ({"name": "Rprop", "weight_decay": 0.1}, r"Rprop has no weight decay.*optimizer\.weight_decay=0\.1.*0"),
        ({"name": "Muon"}, r"torch\.optim\.Muon refuses.*2D"),
    ],
)
def test_wrong_names_and_values_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_optimizer(make_net(), lr=0.1, **values)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")  # Lightning's own use of torch
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_lightning_clips_gradients_before_a_fused_step(name: str, precision: str, tmp_path: Path) -> None:
    # Lightning refuses to clip for an optimizer that would unscale by itself, in bf16-mixed as well.
    import pytorch_lightning as pl

    norms: list[float] = []

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
            return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return make_optimizer(self.net, name=name, lr=0.1)

        def optimizer_zero_grad(self, *args: Any) -> None:
            grads = [p.grad for p in self.parameters() if p.grad is not None]
            if grads:
                norms.append(float(torch.nn.utils.get_total_norm(grads)))
            super().optimizer_zero_grad(*args)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(IMAGES, LABELS), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=2,
        precision=precision,
        gradient_clip_val=0.01,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader)
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, imgrec.training.optim; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(callable(getattr(imgrec.training.optim, name)) for name in imgrec.training.optim.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = imgrec.training.optim.nothing
