"""Energy used by the machine while something runs, from the counters of processors and GPUs.

RAPL counts the processor packages, NVML the NVIDIA GPUs, for all processes together: on a shared machine the number is
an upper bound. Without a readable counter the result is None.
"""

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["EnergyMeter"]

RAPL = Path("/sys/class/powercap")
WRAP_CHECK_S = 20.0  # a counter of 262 kJ is full after some minutes of a large processor


@dataclass
class _Counter:
    """A counter of micro- or millijoules.

    Attributes:
        read: Returns its value.
        joules: Joules of one unit.
        wraps_at: Where it starts again at 0; 0: never.
        last: The last value.
        total: Units since `start`.
    """

    read: Callable[[], int]
    joules: float
    wraps_at: int = 0
    last: int = 0
    total: int = 0

    def start(self) -> None:
        self.last, self.total = self.read(), 0

    def update(self) -> None:
        now = self.read()
        step = now - self.last
        self.total += step + self.wraps_at if step < 0 else step
        self.last = now


@dataclass
class EnergyMeter:
    """Counts from `start` to `stop`. A thread reads at intervals, as counters wrap around.

    Args:
        folder: Where Linux keeps RAPL's counters.
        gpus: Whether to use NVIDIA's library.
    """

    folder: Path = RAPL
    gpus: bool = True
    _cpu: list[_Counter] = field(default_factory=list)
    _gpu: list[_Counter] = field(default_factory=list)
    _why: list[str] = field(default_factory=list)
    _end: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Find the counters, and start counting."""
        self._cpu, self._why = _rapl_counters(self.folder)
        self._gpu, missing = _nvml_counters() if self.gpus else ([], "no NVIDIA GPU was used")
        self._why += [missing] if missing else []
        for counter in [*self._cpu, *self._gpu]:
            counter.start()
        if self._cpu or self._gpu:
            threading.Thread(target=self._watch, daemon=True, name="energy").start()

    def _watch(self) -> None:
        while not self._end.wait(WRAP_CHECK_S):
            self._update()

    def _update(self) -> None:
        for counter in [*self._cpu, *self._gpu]:
            counter.update()

    def stop(self) -> dict[str, Any]:
        """Return the joules `cpu_j` and `gpu_j`, None where not measurable, and a `note` on what they cover."""
        self._end.set()
        self._update()
        found = {"cpu_j": _sum(self._cpu), "gpu_j": _sum(self._gpu)}
        what = "whole processors and GPUs, including other processes" if self._cpu or self._gpu else ""
        why = f"not measurable here: {'; '.join(self._why)}" if self._why else ""
        return {**found, "note": "; ".join(text for text in (what, why) if text)}


def _sum(counters: list[_Counter]) -> float | None:
    return round(sum(counter.total * counter.joules for counter in counters), 3) if counters else None


def _rapl_counters(folder: Path) -> tuple[list[_Counter], list[str]]:
    """Return a counter for each processor package, and why there is none."""
    counters = []
    for path in sorted(folder.glob("intel-rapl:[0-9]*")):
        if path.name.count(":") != 1:  # a domain of a package, counted in it
            continue
        try:
            wraps_at = int((path / "max_energy_range_uj").read_text())
            counter = _Counter(lambda file=path / "energy_uj": int(file.read_text()), 1e-6, wraps_at)  # type: ignore[misc]
            counter.start()
        except (OSError, ValueError):
            return [], ["no permission to read the processor's counter (RAPL, root only)"]
        counters.append(counter)
    return counters, [] if counters else ["the processor has no counter (RAPL)"]


def _nvml_counters() -> tuple[list[_Counter], str]:
    """Return a counter for each NVIDIA GPU, and why there is none. GPUs since Volta count millijoules."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return [], "no NVIDIA GPU"
    count = ctypes.c_uint()
    if library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return [], "NVIDIA's library does not respond"
    counters = []
    for index in range(count.value):
        handle = ctypes.c_void_p()
        if library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)):
            continue
        value = ctypes.c_ulonglong()
        if library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value)) == 0:
            counters.append(_Counter(lambda handle=handle: _millijoules(library, handle), 1e-3))  # type: ignore[misc]
    return counters, "" if counters else "the GPU has no counter"


def _millijoules(library: Any, handle: Any) -> int:
    value = ctypes.c_ulonglong()
    library.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(value))
    return int(value.value)
