"""What is loaded when: beside the contracts in pyproject.toml (`make check`), what a fresh Python holds afterwards."""

import re
import subprocess
import sys

import grimp
import pytest

from project import PROJECT

TRAINING_SIDE = {
    "torch", "torchvision", "torchmetrics", "pytorch_lightning", "hydra", "omegaconf", "albumentations", "pandas",
    "scipy",
}  # fmt: skip
BUNDLE = PROJECT / "tests" / "fixtures" / "before_layout" / "model.onnx"
IMAGE = PROJECT / "tests" / "fixtures" / "before_layout" / "images" / "red" / "red_0.png"


def loaded(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python holds after `code`."""
    program = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    return set(done.stdout.split())


def test_a_module_of_the_training_side_is_noticed():
    assert {"torch", "pytorch_lightning"} <= loaded("import imgrec.training.classifier")


@pytest.mark.parametrize("code", ["import imgrec", "import imgrec.cli", "import imgrec.models, imgrec.training.losses"])
def test_importing_the_package_imports_no_heavy_library(code):
    assert not loaded(code) & {*TRAINING_SIDE, "numpy"}


def test_a_bundle_is_loaded_and_predicts_without_the_training_side():
    code = f"import imgrec; assert imgrec.load({str(BUNDLE)!r}).predict({str(IMAGE)!r}).prediction"
    assert not loaded(code) & TRAINING_SIDE


def test_decision_rules_load_numpy_alone():
    heavy = {*TRAINING_SIDE, "sklearn", "matplotlib"}
    assert not loaded("import imgrec.evaluation.decisions") & heavy


@pytest.mark.parametrize(
    "module", ["imgrec.serve.start", "imgrec.serve.http.server", "imgrec.serve.engine.decode_worker"]
)
def test_a_server_loads_nothing_of_the_training_side(module):
    assert not loaded(f"import {module}") & TRAINING_SIDE


def test_no_modules_import_each_other_in_a_circle():
    graph = grimp.build_graph("imgrec", exclude_type_checking_imports=True)
    below = {module: graph.find_modules_directly_imported_by(module) - {"imgrec"} for module in graph.modules}
    while free := {module for module, others in below.items() if not others}:  # those that need no other are taken away
        below = {module: others - free for module, others in below.items() if module not in free}
    assert sorted(below) == []


def test_all_verbs_use_one_parser():
    made = re.compile(r"argparse\.ArgumentParser(\(|\):)")  # an instance, or a class of its own
    files = (PROJECT / "imgrec").rglob("*.py")
    assert [file.name for file in files if made.search(file.read_text("utf-8"))] == ["parser.py"]
