"""imgrec.core.system.lean_imports: unused modules are not imported, and later uses get the real ones."""

import gc
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from imgrec.core.system import lean_imports as startup
from imgrec.core.system.lean_imports import StandIn, lean_imports

PROJECT = Path(__file__).resolve().parents[3]

# One process, because it takes seconds: what was loaded after the imports, then each library put to real use.
USE_EVERYTHING = """
import json, pickle, sys
from imgrec.core.system.lean_imports import StandIn, lean_imports

facts = {}
with lean_imports():
    import gc
    import pytorch_lightning, torchmetrics, torchvision
    facts["collector_inside"] = gc.isenabled()
facts["collector_after"] = gc.isenabled()
facts["frozen"] = gc.get_freeze_count()
facts["loaded"] = sorted(sys.modules)
facts["stand_ins"] = [name for name, module in sys.modules.items() if isinstance(module, StandIn)]

import torch
mean = torchmetrics.MeanMetric()
mean.update(3.0)
facts["pickled"] = pickle.loads(pickle.dumps(mean)).compute().item()
boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]])
facts["kept"] = torchvision.ops.nms(boxes, torch.tensor([0.1, 0.9]), 0.5).tolist()

import matplotlib
matplotlib.use("Agg")
matplotlib.rcParams["axes.facecolor"] = "black"
roc = torchmetrics.classification.BinaryROC()
roc.update(torch.tensor([0.1, 0.8]), torch.tensor([0, 1]))
figure, axes = roc.plot()
import matplotlib.axes, matplotlib.figure
facts["plot_types"] = [isinstance(figure, matplotlib.figure.Figure), isinstance(axes, matplotlib.axes.Axes)]
facts["colour_of_its_style"] = axes.get_facecolor()
facts["colour_after"] = matplotlib.rcParams["axes.facecolor"]
facts["plotting_file"] = torchmetrics.utilities.plot.plt.__file__

import scipy.signal
from scipy.signal.windows import hann
facts["hann"] = hann(5).tolist()
facts["convolved"] = scipy.signal.convolve([1, 2], [1, 1]).tolist()
facts["one_windows_module"] = scipy.signal.windows.hann is hann

import albumentations, numpy
image = numpy.full((8, 8, 3), 100, numpy.uint8)
facts["blurred"] = albumentations.GaussianBlur(p=1)(image=image)["image"].tolist() == image.tolist()
print(json.dumps(facts))
"""


def run(code: str) -> Any:
    """Return what `code` prints as JSON, from a fresh Python in another folder."""
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def facts() -> dict[str, Any]:
    """Return what a fresh process saw after `lean_imports`."""
    result: dict[str, Any] = run(USE_EVERYTHING)
    return result


def test_importing_imgrec_imports_no_library() -> None:
    loaded = run("import json, sys, imgrec; print(json.dumps(sorted(sys.modules)))")
    assert not {"numpy", "torch", "hydra", "omegaconf"} & set(loaded)


@pytest.mark.parametrize("name", ["scipy.signal", "scipy.stats", "matplotlib", "matplotlib.pyplot"])
def test_the_block_imports_everything_but_what_nobody_uses(facts: dict[str, Any], name: str) -> None:
    assert "pytorch_lightning" in facts["loaded"]
    assert name not in facts["loaded"]


def test_no_stand_in_is_left_where_imports_look(facts: dict[str, Any]) -> None:
    assert facts["stand_ins"] == []


def test_the_collector_rests_in_the_block_alone(facts: dict[str, Any]) -> None:
    assert (facts["collector_inside"], facts["collector_after"]) == (False, True)


def test_what_the_imports_made_is_never_collected_again(facts: dict[str, Any]) -> None:
    assert facts["frozen"] > 100_000


def test_scipy_signal_is_the_real_one_afterwards(facts: dict[str, Any]) -> None:
    assert facts["hann"] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert facts["convolved"] == [1, 3, 2]
    assert facts["one_windows_module"]


def test_torchmetrics_plots_with_the_real_matplotlib(facts: dict[str, Any]) -> None:
    assert facts["plot_types"] == [True, True]
    assert Path(facts["plotting_file"]).name == "pyplot.py"


def test_torchmetrics_plots_in_its_own_style_and_restores_the_users(facts: dict[str, Any]) -> None:
    assert facts["colour_of_its_style"] == [1, 1, 1, 1]
    assert facts["colour_after"] == "black"


def test_a_metric_can_be_pickled(facts: dict[str, Any]) -> None:
    assert facts["pickled"] == 3


def test_torchvision_and_albumentations_work(facts: dict[str, Any]) -> None:
    assert facts["kept"] == [1]
    assert facts["blurred"]


def test_nothing_is_done_in_a_process_that_has_torch_already() -> None:
    assert torch.__name__ in sys.modules
    frozen, modules = gc.get_freeze_count(), set(sys.modules)
    with lean_imports():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
    assert set(sys.modules) == modules


def test_an_error_in_the_block_passes_and_the_collector_works_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(startup, "_import_torchmetrics", lambda: None)
    try:
        with pytest.raises(ZeroDivisionError), lean_imports():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()


def test_another_version_of_torchmetrics_is_imported_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[str] = []
    monkeypatch.setattr(startup, "_put_stand_ins", lambda: put.append("stand-ins") or [])
    startup._import_torchmetrics()
    assert put == ["stand-ins"]
    monkeypatch.setattr(metadata, "version", {"torchmetrics": "1.10.0"}.__getitem__)
    startup._import_torchmetrics()
    assert put == ["stand-ins"]


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    """Stand-ins for two real modules, `orchard` and `orchard.apple`."""
    (tmp_path / "orchard").mkdir()
    (tmp_path / "orchard" / "__init__.py").write_text("from orchard.apple import colour\nsize = 3\n")
    (tmp_path / "orchard" / "apple.py").write_text("colour = 'red'\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("orchard", "orchard.apple"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # so that they are taken out again at the end
        del sys.modules[name]
    stand_ins: list[StandIn] = []
    apple = StandIn("orchard.apple", stand_ins, colour="unknown")
    StandIn("orchard", stand_ins, apple=apple)
    return stand_ins


def test_a_search_for_source_files_leaves_a_stand_in_alone(group: list[StandIn]) -> None:
    assert not hasattr(group[1], "__file__")
    assert sys.modules["orchard"] is group[1]


def test_importing_another_submodule_brings_in_the_real_package(group: list[StandIn], tmp_path: Path) -> None:
    (tmp_path / "orchard" / "pear.py").write_text("colour = 'green'\n")
    import orchard.pear  # type: ignore[import-not-found]

    assert orchard.pear.colour == "green"
    assert not isinstance(sys.modules["orchard"], StandIn)


def test_a_known_attribute_needs_no_real_module(group: list[StandIn]) -> None:
    import orchard.apple  # type: ignore[import-not-found]

    assert orchard.apple.colour == "unknown"
    assert sys.modules["orchard"] is group[1]


def test_any_other_attribute_brings_in_the_real_modules_together(group: list[StandIn]) -> None:
    import orchard

    assert orchard.size == 3
    assert not isinstance(sys.modules["orchard"], StandIn)
    assert sys.modules["orchard.apple"].colour == "red"


def test_who_holds_a_retired_stand_in_gets_the_real_attributes(group: list[StandIn]) -> None:
    startup._retire(group)
    assert group[0].colour == "red"
    assert group[1].apple is sys.modules["orchard.apple"]


def test_an_attribute_that_the_real_module_lacks_is_an_attribute_error(group: list[StandIn]) -> None:
    with pytest.raises(AttributeError, match="pears"):
        _ = group[1].pears


def test_a_module_that_is_there_already_keeps_its_place(group: list[StandIn]) -> None:
    startup._retire(group)
    import orchard

    late: list[StandIn] = []
    StandIn("orchard", late, size=0)
    assert sys.modules["orchard"] is orchard
    startup._retire(late)
    assert sys.modules["orchard"] is orchard
