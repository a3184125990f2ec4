"""Energy from counters: added up, across their end, and never made up."""

from pathlib import Path

import pytest

from imgrec.core.system.energy_meter import EnergyMeter


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A processor package as Linux shows it, with a part of it that must not be counted twice."""
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text("1000000\n")
        (tmp_path / name / "energy_uj").write_text("900000\n")
    return tmp_path


def test_what_a_package_took_is_the_difference_of_its_counter(package):
    meter = EnergyMeter(package, gpus=False)
    meter.start()
    (package / "intel-rapl:0" / "energy_uj").write_text("950000\n")
    found = meter.stop()
    assert found["cpu_j"] == pytest.approx(0.05)
    assert found["gpu_j"] is None
    assert "whole processors" in found["note"]


def test_a_counter_that_begins_anew_goes_on(package):
    meter = EnergyMeter(package, gpus=False)
    meter.start()
    (package / "intel-rapl:0" / "energy_uj").write_text("100000\n")
    assert meter.stop()["cpu_j"] == pytest.approx(0.2)


def test_where_there_is_no_counter_nothing_is_made_up(tmp_path):
    meter = EnergyMeter(tmp_path, gpus=False)
    meter.start()
    found = meter.stop()
    assert (found["cpu_j"], found["gpu_j"]) == (None, None)
    assert found["note"] == ("not measurable here: the processor has no counter (RAPL); no NVIDIA GPU was used")


def test_a_counter_that_may_not_be_read_is_said_to_be(package):
    (package / "intel-rapl:0" / "energy_uj").unlink()
    meter = EnergyMeter(package, gpus=False)
    meter.start()
    assert "no permission to read" in meter.stop()["note"]
