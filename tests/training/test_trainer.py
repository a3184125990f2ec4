"""trainer.gpus means what it says."""

import pytest
import torch

from imgrec.errors import ConfigError
from imgrec.training.trainer import has_bfloat16, resolve_gpus


@pytest.fixture
def gpus(monkeypatch):
    """Make PyTorch see so many GPUs."""
    return lambda count: monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        ("auto", 0, {"accelerator": "cpu", "devices": 1}),
        ("auto", 4, {"accelerator": "gpu", "devices": 1}),
        (0, 4, {"accelerator": "cpu", "devices": 1}),
        (2, 4, {"accelerator": "gpu", "devices": 2}),
        (-1, 4, {"accelerator": "gpu", "devices": -1}),
        ([0, 3], 4, {"accelerator": "gpu", "devices": [0, 3]}),
        ("1", 1, {"accelerator": "gpu", "devices": 1}),
        ("0,2", 3, {"accelerator": "gpu", "devices": [0, 2]}),
        ([], 2, {"accelerator": "cpu", "devices": 1}),
    ],
)
def test_gpus_become_accelerator_and_devices(gpus, wanted, available, expected) -> None:
    gpus(available)
    assert resolve_gpus(wanted) == expected


def test_devices_counts_processes_on_the_cpu() -> None:
    assert resolve_gpus(0, devices=2) == {"accelerator": "cpu", "devices": 2}


@pytest.mark.parametrize("wanted", [1, 2, -1, [0], "1"])
def test_asking_for_absent_gpus_says_how_to_run_on_cpu(gpus, wanted) -> None:
    gpus(0)
    with pytest.raises(ConfigError, match=r"PyTorch sees no CUDA device\. Set trainer\.gpus=0 to run on the CPU"):
        resolve_gpus(wanted)


@pytest.mark.parametrize("wanted", [3, [0, 2]])
def test_asking_for_more_gpus_than_there_are_names_the_number(gpus, wanted) -> None:
    gpus(2)
    with pytest.raises(ConfigError, match=r"sees 2 CUDA device\(s\)"):
        resolve_gpus(wanted)


@pytest.mark.parametrize("wanted", ["two", "0,x", -2])
def test_a_value_that_is_no_count_names_the_ones_that_are(gpus, wanted) -> None:
    gpus(2)
    with pytest.raises(ConfigError, match="use auto, 0"):
        resolve_gpus(wanted)


def test_auto_precision_follows_the_processor(monkeypatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for supported in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda supported=supported: supported)
        assert has_bfloat16("cpu") is supported
