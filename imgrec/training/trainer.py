"""The Lightning Trainer, from a configuration and a GPU count."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning import Callback, Trainer

from imgrec.core.checkpoint.lightning_io import DurableCheckpointIO
from imgrec.core.config.build import build
from imgrec.errors import ConfigError
from imgrec.training.callbacks.network_layout import NetworkLayout
from imgrec.training.library_warnings import quiet_libraries
from imgrec.training.preflight import check_trainer

__all__ = ["build_trainer", "has_bfloat16", "make_trainer", "resolve_gpus"]

log = logging.getLogger("imgrec")

Gpus = int | str | Sequence[int]


def build_trainer(config: DictConfig, *, logger: Any, callbacks: list[Callback]) -> Trainer:
    """Build the Trainer of a job; on all processes but the first, only errors are logged.

    Raises:
        ConfigError: An option that imgrec does not support, such as `fast_dev_run`.
    """
    trainer: Trainer = build(
        config.trainer, logger=logger, callbacks=callbacks, default_root_dir=str(config.run_dir)
    )  # fmt: skip
    check_trainer(trainer)
    if not trainer.is_global_zero:
        log.setLevel(logging.ERROR)  # the first process logs for all
    return trainer


def make_trainer(
    *,
    gpus: Gpus = "auto",
    precision: str | int | None = "auto",
    channels_last: bool | str = "auto",
    compile: bool = False,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Trainer:
    """Return a Trainer.

    Args:
        gpus: "auto": a GPU if there is one; 0: the CPU; n: that many; -1: all; a list: these indices.
        precision: "auto": bf16-mixed where the CPU or GPU computes in bfloat16, else 32-true; or one of Lightning's.
        channels_last: "auto": for convolutional networks.
        compile: Whether to `torch.compile` the network.
        callbacks: Lightning callbacks.
        **options: Passed to Lightning's Trainer.

    Raises:
        ConfigError: GPUs that do not exist.
    """
    quiet_libraries()
    accelerator = resolve_gpus(gpus, devices=options.pop("devices", None))
    if precision == "auto":
        precision = "bf16-mixed" if has_bfloat16(accelerator["accelerator"]) else "32-true"
    layout = NetworkLayout(channels_last=channels_last, compile=compile)
    return Trainer(
        **accelerator,
        precision=precision,  # type: ignore[arg-type]  # Lightning checks the name itself
        callbacks=[layout, *callbacks],
        plugins=[DurableCheckpointIO(), *options.pop("plugins", ())],
        use_distributed_sampler=False,  # the data module distributes samples itself, without padding
        num_sanity_val_steps=0,
        enable_checkpointing=options.pop("enable_checkpointing", True),
        **options,
    )


def resolve_gpus(gpus: Gpus, *, devices: int | None = None) -> dict[str, Any]:
    """Return Lightning's `accelerator` and `devices`; the argument `devices` counts processes on the CPU."""
    available = torch.cuda.device_count()
    if gpus == "auto":
        gpus = min(available, 1)
    wanted = _parse(gpus) if isinstance(gpus, str) else gpus
    if isinstance(wanted, int):
        number = wanted
    else:
        wanted = [int(index) for index in wanted]
        number = max(wanted, default=-1) + 1
    if number == 0:
        return {"accelerator": "cpu", "devices": devices or 1}
    _check_available(gpus, wanted=number, available=available)
    return {"accelerator": "gpu", "devices": wanted}


def _parse(gpus: str) -> int | list[int]:
    try:
        return [int(part) for part in gpus.split(",")] if "," in gpus else int(gpus)
    except ValueError:
        raise ConfigError(
            f"trainer.gpus={gpus}: use auto, 0 (CPU), a number, -1 (all), or a list like [0,2]."
        ) from None


def _check_available(gpus: Gpus, *, wanted: int, available: int) -> None:
    if wanted < -1:
        raise ConfigError(f"trainer.gpus={gpus}: use auto, 0 (CPU), a number, -1 (all), or a list like [0,2].")
    if available == 0:
        raise ConfigError(
            f"trainer.gpus={gpus}, but PyTorch sees no CUDA device. Set trainer.gpus=0 to run on the CPU."
        )
    if wanted > available:
        raise ConfigError(
            f"trainer.gpus={gpus}, but PyTorch sees {available} CUDA device(s). Set trainer.gpus={available} or fewer."
        )


def has_bfloat16(accelerator: str) -> bool:
    """Return whether the hardware computes in bfloat16; emulation would be slower than float32."""
    if accelerator == "gpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
