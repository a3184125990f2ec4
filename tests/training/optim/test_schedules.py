"""Learning-rate schedules against the formulas and PyTorch's own, resumed at every step, and under Lightning."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.optim import SGD, Adagrad, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, OneCycleLR, ReduceLROnPlateau, StepLR

from imgrec.errors import ConfigError
from imgrec.training.optim import make_scheduler

CONF = Path(__file__).resolve().parents[3] / "conf" / "scheduler"
PRESETS = ["cosine", "one_cycle", "step", "plateau", "constant"]
TOTAL, PER_EPOCH = 40, 4


def make_optimizer(kind: type[Optimizer] = SGD, **options: Any) -> Optimizer:
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.5)]
    return kind(groups, **({"momentum": 0.9} if kind is SGD else {}), **options)


def make(optimizer: Optimizer, name: str, **options: Any) -> list[dict[str, Any]]:
    return make_scheduler(optimizer, name=name, **({"total_steps": TOTAL, "steps_per_epoch": PER_EPOCH} | options))


def rates_now(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def advance(
    optimizer: Optimizer, schedule: Sequence[dict[str, Any]], steps: range, losses: Sequence[float] = ()
) -> list[list[float]]:
    """Return the rates used at each step, calling the schedulers as Lightning does."""
    rates = []
    for step in steps:
        rates.append(rates_now(optimizer))
        optimizer.step()
        for entry in schedule:
            if entry["interval"] == "step":
                entry["scheduler"].step()
            elif (step + 1) % PER_EPOCH == 0:
                epoch = step // PER_EPOCH
                entry["scheduler"].step(losses[epoch] if losses else 1.0)
    return rates


def rates_of(name: str, *, steps: int = TOTAL, losses: Sequence[float] = (), **options: Any) -> list[float]:
    """Return the first group's rate at each step as a share of its own rate."""
    optimizer = make_optimizer()
    return [first / 0.1 for first, _ in advance(optimizer, make(optimizer, name, **options), range(steps), losses)]


def rates_by_torch(scheduler_class: Any, *, steps: int = TOTAL, **options: Any) -> list[float]:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    scheduler = scheduler_class(optimizer, **options)
    return [
        first / 0.1 for (first,) in advance(optimizer, [{"scheduler": scheduler, "interval": "step"}], range(steps))
    ]


# --- the curves ------------------------------------------------------------------------------------------------------


def test_cosine_is_that_of_torch() -> None:
    theirs = rates_by_torch(CosineAnnealingLR, T_max=TOTAL - 1, eta_min=0.01)
    assert rates_of("cosine", final_factor=0.1) == pytest.approx(theirs)


def test_cosine_starts_at_the_rate_and_ends_at_the_lowest() -> None:
    rates = rates_of("cosine", final_factor=0.1)
    assert rates[0] == 1
    assert rates[-1] == pytest.approx(0.1, abs=1e-15)


def test_cosine_stays_at_the_lowest_when_training_goes_on() -> None:
    assert rates_of("cosine", steps=TOTAL + 3)[-4:] == [0, 0, 0, 0]


def test_cosine_after_a_warm_up_falls_over_what_is_left() -> None:
    rates = rates_of("cosine", warmup_steps=10, final_factor=0.2)
    for step in range(10, TOTAL):
        expected = 0.2 + 0.8 * (1 + math.cos(math.pi * (step - 10) / (TOTAL - 1 - 10))) / 2
        assert rates[step] == pytest.approx(expected)


def test_one_cycle_falls_as_that_of_torch_with_cosine_and_rises_as_that_with_lines() -> None:
    rise = 12  # torch counts the first phase to the step pct_start * total - 1
    options = {"max_lr": 0.1, "total_steps": TOTAL, "pct_start": (rise + 1) / TOTAL}
    lines, curves = (rates_by_torch(OneCycleLR, anneal_strategy=kind, **options) for kind in ("linear", "cos"))
    ours = rates_of("one_cycle", warmup_start=1 / 25, rise=rise / TOTAL, final_factor=1 / 25 / 1e4)
    assert ours[: rise + 1] == pytest.approx(lines[: rise + 1])
    assert ours[rise:] == pytest.approx(curves[rise:])


def test_one_cycle_rises_for_as_long_as_the_warm_up_says() -> None:
    rates = rates_of("one_cycle", warmup_epochs=5)
    assert rates.index(max(rates)) == 5 * PER_EPOCH


@pytest.mark.parametrize(("kind", "read"), [(SGD, lambda g: g["momentum"]), (AdamW, lambda g: g["betas"][0])])
def test_one_cycle_moves_momentum_against_the_rate(kind: type[Optimizer], read: Any) -> None:
    optimizer = make_optimizer(kind)
    schedule = make(optimizer, "one_cycle", warmup_steps=10, base_momentum=0.8, max_momentum=0.9)
    seen = []
    for step in range(TOTAL):
        seen.append([read(group) for group in optimizer.param_groups])
        advance(optimizer, schedule, range(step, step + 1))
    assert seen[0] == [0.9, 0.9]
    assert seen[5] == pytest.approx([0.85, 0.85])
    assert seen[10] == pytest.approx([0.8, 0.8])
    assert seen[-1] == pytest.approx([0.9, 0.9])


def test_one_cycle_leaves_momentum_alone_when_told_to() -> None:
    optimizer = make_optimizer()
    advance(optimizer, make(optimizer, "one_cycle", cycle_momentum=False), range(20))
    assert optimizer.param_groups[0]["momentum"] == 0.9


def test_step_by_size_is_that_of_torch() -> None:
    theirs = rates_by_torch(StepLR, step_size=3 * PER_EPOCH, gamma=0.5)
    assert rates_of("step", step_size=3, gamma=0.5) == pytest.approx(theirs)


def test_step_by_milestones_is_that_of_torch() -> None:
    theirs = rates_by_torch(MultiStepLR, milestones=[2 * PER_EPOCH, 7 * PER_EPOCH], gamma=0.1)
    assert rates_of("step", milestones=[2, 7]) == pytest.approx(theirs)


def test_milestones_count_from_the_start_of_training_not_from_the_end_of_the_warm_up() -> None:
    rates = rates_of("step", milestones=[5], warmup_epochs=2)
    assert rates[5 * PER_EPOCH - 1] == 1
    assert rates[5 * PER_EPOCH] == pytest.approx(0.1)


def test_milestones_may_be_parts_of_an_epoch() -> None:
    assert rates_of("step", milestones=[0.5], gamma=0.5)[:3] == pytest.approx([1, 1, 0.5])


def test_constant_is_constant() -> None:
    assert rates_of("constant") == [1.0] * TOTAL


def test_plateau_waits_for_more_than_patience_epochs() -> None:
    rates = rates_of("plateau", patience=2, factor=0.5, losses=[1, 0.9, 0.9, 0.9, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert rates[::PER_EPOCH] == pytest.approx([1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5])


def test_plateau_is_that_of_torch() -> None:
    losses = [1, 2, 2, 2, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6]
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    watch = {"scheduler": ReduceLROnPlateau(optimizer, patience=1, cooldown=1), "interval": "epoch"}
    theirs = [rate / 0.1 for (rate,) in advance(optimizer, [watch], range(TOTAL), losses)]
    assert rates_of("plateau", patience=1, cooldown=1, losses=losses) == pytest.approx(theirs)


def test_plateau_of_a_score_that_should_rise() -> None:
    assert rates_of("plateau", mode="max", patience=0, losses=[0.1 * epoch for epoch in range(10)])[-1] == 1
    assert rates_of("plateau", mode="max", patience=0, losses=[1 - 0.1 * epoch for epoch in range(10)])[-1] < 1e-6


def test_plateau_stops_at_the_lowest_share_of_each_groups_rate() -> None:
    optimizer = make_optimizer()
    advance(optimizer, make(optimizer, "plateau", patience=0, final_factor=0.05), range(TOTAL))
    assert rates_now(optimizer) == pytest.approx([0.005, 0.025])


def test_plateau_reduces_rates_however_small() -> None:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=1e-9)
    advance(optimizer, make(optimizer, "plateau", patience=0), range(2 * PER_EPOCH))
    assert rates_now(optimizer) == pytest.approx([1e-10])


def test_plateau_reduction_during_the_warm_up_is_kept() -> None:
    rates = rates_of("plateau", patience=0, factor=0.5, warmup_epochs=3, losses=[1, 2, 0.9, 0.8] + [0.1] * 6)
    assert rates[3 * PER_EPOCH] == pytest.approx(0.5)


# --- what all have in common -----------------------------------------------------------------------------------------

OPTIONS: dict[str, dict[str, Any]] = {
    "cosine": {},
    "one_cycle": {},
    "step": {"step_size": 6},
    "plateau": {"patience": 1, "factor": 0.3},
    "constant": {},
}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("unit", [{"warmup_epochs": 2.5}, {"warmup_steps": 10}])
def test_warm_up_is_a_line(name: str, unit: dict[str, float]) -> None:
    line = rates_by_torch(LinearLR, start_factor=0.05, total_iters=10)
    ours = rates_of(name, warmup_start=0.05, **unit, **OPTIONS[name])
    assert ours[:11] == pytest.approx(line[:11])
    assert ours[0] == pytest.approx(0.05)
    assert ours[10] == pytest.approx(1)


@pytest.mark.parametrize("name", PRESETS)
def test_groups_keep_the_ratio_of_their_rates(name: str) -> None:
    optimizer = make_optimizer()
    schedule = make(optimizer, name, warmup_steps=5, **({"final_factor": 0.1} if name == "cosine" else OPTIONS[name]))
    for first, second in advance(optimizer, schedule, range(TOTAL)):
        assert second == pytest.approx(5 * first)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stop", [1, 4, 5, 6, 17, 39])
def test_a_resumed_run_has_the_same_rates_bit_for_bit(name: str, stop: int) -> None:
    losses = [1, 0.9, 0.95, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.9]
    optimizer = make_optimizer()
    schedule = make(optimizer, name, warmup_steps=5, **OPTIONS[name])
    advance(optimizer, schedule, range(stop), losses)
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), *(entry["scheduler"].state_dict() for entry in schedule)], file)
    state = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    other = make_optimizer()
    resumed = make(other, name, warmup_steps=5, **OPTIONS[name])
    other.load_state_dict(state[0])
    for entry, saved in zip(resumed, state[1:], strict=True):
        entry["scheduler"].load_state_dict(saved)
    rest = range(stop, TOTAL)
    assert advance(other, resumed, rest, losses) == advance(optimizer, schedule, rest, losses)
    assert other.param_groups[0]["momentum"] == optimizer.param_groups[0]["momentum"]


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_run_made_longer_follows_the_schedule_of_its_new_length(name: str) -> None:
    optimizer = make_optimizer()
    (entry,) = make(optimizer, name)
    advance(optimizer, [entry], range(TOTAL))
    longer = make_optimizer()
    (resumed,) = make(longer, name, total_steps=2 * TOTAL)
    longer.load_state_dict(optimizer.state_dict())
    resumed["scheduler"].load_state_dict(entry["scheduler"].state_dict())
    advance(longer, [resumed], range(TOTAL, TOTAL + 1))
    whole = make_optimizer()
    rates = advance(whole, make(whole, name, total_steps=2 * TOTAL), range(TOTAL + 2))
    assert rates_now(longer) == rates[TOTAL + 1]


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("total", [1, 2, 3])
def test_the_shortest_training_has_a_schedule(name: str, total: int) -> None:
    rates = rates_of(name, total_steps=total, steps=total, **OPTIONS[name])
    assert max(rates) == 1


@pytest.mark.parametrize("name", ["step", "plateau", "constant"])
def test_training_without_an_end_has_a_schedule(name: str) -> None:
    assert rates_of(name, total_steps=math.inf, warmup_steps=2, **OPTIONS[name])[2] == pytest.approx(1)


def test_lightning_is_told_when_to_call() -> None:
    for name in ("cosine", "one_cycle", "step", "constant"):
        (entry,) = make(make_optimizer(), name, **OPTIONS[name])
        assert (entry["interval"], entry["frequency"]) == ("step", 1)
    warmup, watch = make(make_optimizer(), "plateau", warmup_steps=3, monitor="val/f1", mode="max")
    assert (warmup["interval"], warmup["frequency"]) == ("step", 1)
    assert (watch["interval"], watch["frequency"], watch["monitor"]) == ("epoch", 1, "val/f1")


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "cosin",
            {},
            r"scheduler\.name=cosin is not a schedule\. Did you mean 'cosine'\?.*There are: cosine, one_cycle",
        ),
        ("cosine", {"gama": 1}, r"scheduler\.gama is not an option of cosine\..*It takes: final_factor"),
        ("step", {"gama": 1}, r"scheduler\.gama is not an option of step\. Did you mean 'gamma'\?"),
        (
            "cosine",
            {"warmup_epochs": 1, "warmup_steps": 5},
            r"warmup_epochs=1 and scheduler\.warmup_steps=5.*one warm-up",
        ),
        ("cosine", {"warmup_epochs": 10}, r"warm-up takes 40 steps.*training only 40"),
        ("plateau", {"warmup_steps": 50}, r"warm-up takes 50 steps.*training only 40"),
        ("cosine", {"warmup_epochs": -1}, r"scheduler\.warmup_epochs=-1.*at least 0"),
        ("cosine", {"warmup_steps": -1}, r"scheduler\.warmup_steps=-1.*at least 0"),
        ("cosine", {"warmup_start": 0}, r"scheduler\.warmup_start=0.*above 0 and at most 1"),
        ("cosine", {"final_factor": 1.5}, r"scheduler\.final_factor=1\.5.*at least 0 and at most 1"),
        ("cosine", {"total_steps": math.inf}, r"scheduler=cosine.*no end.*trainer\.max_epochs"),
        ("one_cycle", {"total_steps": math.inf}, r"scheduler=one_cycle.*no end"),
        ("one_cycle", {"rise": 1}, r"scheduler\.rise=1.*below 1"),
        ("one_cycle", {"base_momentum": 1.2}, r"scheduler\.base_momentum=1\.2"),
        ("one_cycle", {"max_momentum": 0.5}, r"scheduler\.max_momentum=0\.5.*at least 0\.85"),
        ("step", {}, r"either scheduler\.step_size or scheduler\.milestones"),
        ("step", {"step_size": 1, "milestones": [1]}, r"either scheduler\.step_size or scheduler\.milestones"),
        ("step", {"step_size": 0}, r"scheduler\.step_size=0.*above 0"),
        ("step", {"milestones": []}, r"scheduler\.milestones=\[\].*rising"),
        ("step", {"milestones": [3, 2]}, r"scheduler\.milestones=\[3, 2\].*rising"),
        ("step", {"milestones": [0, 2]}, r"scheduler\.milestones\[0\]=0.*above 0"),
        ("step", {"step_size": 1, "gamma": 2}, r"scheduler\.gamma=2.*at most 1"),
        ("plateau", {"factor": 1}, r"scheduler\.factor=1.*below 1"),
        ("plateau", {"patience": -1}, r"scheduler\.patience=-1.*at least 0"),
        ("plateau", {"cooldown": -1}, r"scheduler\.cooldown=-1"),
        ("plateau", {"threshold": -1}, r"scheduler\.threshold=-1"),
        ("plateau", {"final_factor": 2}, r"scheduler\.final_factor=2"),
        ("plateau", {"mode": "lower"}, r"scheduler\.mode=lower.*min.*max"),
    ],
)
def test_wrong_names_and_values_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make(make_optimizer(), name, **options)


def test_one_cycle_without_momentum_says_how_to_go_on() -> None:
    with pytest.raises(ConfigError, match=r"Adagrad has no momentum.*scheduler\.cycle_momentum=false"):
        make(make_optimizer(Adagrad), "one_cycle")


# --- presets and Lightning -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_builds_and_names_every_option(preset: str) -> None:
    from inspect import signature

    from imgrec.training.optim.schedules import SCHEDULES

    config = OmegaConf.load(CONF / f"{preset}.yaml")
    instantiate(config)(make_optimizer(), total_steps=TOTAL, steps_per_epoch=PER_EPOCH)
    common = {"_target_", "_partial_", "name", "warmup_epochs", "warmup_steps", "warmup_start"}
    assert config.keys() - common == set(signature(SCHEDULES[preset]).parameters) - {"optimizer", "plan"}


def test_milestones_given_as_a_list_in_yaml_are_taken() -> None:
    partial = instantiate(OmegaConf.load(CONF / "step.yaml"), step_size=None, milestones=[1, 2])
    optimizer = make_optimizer()
    schedule = partial(optimizer, total_steps=TOTAL, steps_per_epoch=PER_EPOCH)
    assert advance(optimizer, schedule, range(5))[4][0] == pytest.approx(0.01)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")  # Lightning's own use of torch
@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
@pytest.mark.parametrize("name", PRESETS)
def test_lightning_gives_the_rates_that_are_written_here(name: str, tmp_path: Path) -> None:
    import pytorch_lightning as pl

    options = {"warmup_steps": 5, **OPTIONS[name]}
    losses = [1, 0.9, 0.95, 0.95, 0.95, 0.8, 0.9, 0.9, 0.9, 0.9]
    seen: list[list[float]] = []

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weights = torch.nn.ParameterList([torch.zeros(1), torch.zeros(1)])

        def training_step(self, batch: torch.Tensor) -> torch.Tensor:
            seen.append(rates_now(self.optimizers()))
            return sum(weight.sum() for weight in self.weights) * batch.sum()

        def validation_step(self, _: torch.Tensor) -> None:
            self.log("val/loss", losses[self.current_epoch], batch_size=1)

        def configure_optimizers(self) -> Any:
            rates = zip(self.weights, (0.1, 0.5), strict=True)
            optimizer = SGD([{"params": [weight], "lr": lr} for weight, lr in rates], momentum=0.9)
            total = int(self.trainer.estimated_stepping_batches)
            return [optimizer], make(optimizer, name, total_steps=total, **options)

    loader = torch.utils.data.DataLoader(torch.ones(PER_EPOCH))
    trainer = pl.Trainer(
        max_epochs=TOTAL // PER_EPOCH,
        accelerator="cpu",
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader, loader)
    optimizer = make_optimizer()
    assert seen == advance(optimizer, make(optimizer, name, **options), range(TOTAL), losses)
