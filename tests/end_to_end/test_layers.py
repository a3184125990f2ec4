"""Which module may import which: one direction, so that each part can be read, tested and used by itself."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from project import PROJECT

PACKAGE = PROJECT / "imgrec"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imports(module: str) -> set[str]:
    """Return the dotted names that a module imports anywhere in it, those for type checkers left out."""
    return set(_imports(ast.parse((PACKAGE / module).read_text())))


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide where a name comes from"
            yield from (f"{child.module}.{name.name}" for name in child.names)
        yield from _imports(child)


def importers(*packages: str) -> set[str]:
    """Return the modules that import one of `packages` or something in it."""
    starts = tuple(f"{package}." for package in packages)
    return {module for module in MODULES if any(f"{name}.".startswith(starts) for name in imports(module))}


def inside(*folders: str) -> set[str]:
    return {module for module in MODULES if module.startswith(tuple(f"{folder}/" for folder in folders))}


def test_there_are_modules_to_look_at():
    assert len(MODULES) > 60
    assert "torch" in {name.partition(".")[0] for name in imports("classifier.py")}


def test_hydra_is_known_where_a_configuration_becomes_objects_and_nowhere_else():
    allowed = {"config.py", "run.py", "inputs.py", "preflight.py"} | inside("cli")
    assert importers("hydra", "omegaconf") <= allowed


def test_albumentations_is_known_to_the_augmentation_alone():
    assert importers("albumentations") == {"data/augment.py"}


def test_pages_and_json_are_written_in_one_way_which_knows_nothing_of_what_is_in_them():
    assert importers("jinja2") == {"html_page.py"}
    for module in ("html_page.py", "strict_json.py"):
        assert {name for name in imports(module) if name.startswith("imgrec.")} <= {
            "imgrec.core.files.atomic_write.write_bytes"
        }


def test_words_of_verbs_are_read_by_one_parser():
    made = re.compile(r"argparse\.ArgumentParser(\(|\):)")  # an instance, or a class of its own
    assert {module for module in MODULES if made.search((PACKAGE / module).read_text())} == {"cli/parser.py"}


@pytest.mark.parametrize("folder", ["losses", "optim", "models", "metrics"])
def test_what_is_made_of_tensors_knows_nothing_of_data_training_or_the_command_line(folder):
    upper = (
        "imgrec.data",
        "imgrec.data.sources",
        "imgrec.training.classifier",
        "imgrec.training.callbacks",
        "imgrec.evaluation",
        "imgrec.cli",
    )
    lightning = ("pytorch_lightning", "lightning_fabric")
    above = (
        "imgrec.train_job",
        "imgrec.training.setup",
        "imgrec.training.trainer",
        "imgrec.core.checkpoint.checkpoint",
        *upper,
        *lightning,
    )
    assert importers(*above) & inside(folder) == set()


def test_the_classifier_is_handed_everything_it_works_with():
    ours = {name for name in imports("classifier.py") if name.startswith("imgrec.")}
    assert ours == {"imgrec.training.running_metrics.RunningMetrics"}


def test_data_know_nothing_of_networks_and_training():
    above = (
        "imgrec.models",
        "imgrec.training.losses",
        "imgrec.training.optim",
        "imgrec.training.classifier",
        "imgrec.training.callbacks",
        "imgrec.train_job",
    )
    assert importers(*above, "imgrec.evaluation") & inside("data", "sources") == set()


def test_a_report_needs_no_network_and_no_torch():
    above = ("torch", "torchvision", "pytorch_lightning", "imgrec.models", "imgrec.data", "imgrec.training.classifier")
    assert importers(*above) & inside("report") == set()


def test_a_comparison_is_made_of_tables_alone():
    above = ("torch", "torchvision", "pytorch_lightning", "imgrec.models", "imgrec.data", "imgrec.training.classifier")
    assert importers(*above) & inside("compare") == set()
    assert importers("imgrec.evaluation.compare") <= inside("compare", "cli")


def test_the_statistics_under_the_scores_need_no_torch():
    assert importers("torch", "torchmetrics") & inside("metrics") == {"metrics/running.py"}


def test_a_page_is_made_of_what_a_folder_holds_and_of_nothing_else():
    pages = {module for module in inside("report") if module.startswith("report/page/")}
    ours = {name for module in pages for name in imports(module) if name.startswith("imgrec.")}
    parts = {".".join(name.split(".")[:2]) for name in ours}
    files = {"imgrec.core.files.arrow_table", "imgrec.core.files.atomic_write", "imgrec.core.files.json_file"}
    assert parts == {"imgrec.evaluation", "imgrec.core.html.page", "imgrec.errors", *files}
    assert "imgrec.evaluation.figures.figures" not in {name.rpartition(".")[0] for name in ours}


def test_images_and_provenance_come_to_a_report_from_the_jobs():
    assert importers("imgrec.evaluation.figures.thumbnails") <= {"scoring.py", "cli/report.py"}
    assert importers("imgrec.evaluation.provenance", "imgrec.core.system.energy_meter") <= {
        "run.py",
        "finish.py",
        "provenance.py",
    }


def test_what_decides_loads_numpy_alone():
    heavy = {"torch", "torchmetrics", "scipy", "pandas", "sklearn", "matplotlib"}
    assert not loaded("import imgrec.evaluation.decisions") & heavy


def test_decisions_are_applied_without_torch_and_know_nothing_of_what_uses_them():
    above = (
        "torch",
        "torchvision",
        "pandas",
        "hydra",
        "omegaconf",
        "imgrec.evaluation",
        "imgrec.data",
        "imgrec.models",
    )
    assert importers(*above) & inside("decisions") == set()


def test_foreign_images_are_a_study_that_a_configuration_names_and_nobody_imports():
    assert importers("imgrec.studies.ood") <= inside("ood")


def test_an_audit_is_asked_for_by_the_command_line_and_before_training_alone():
    assert importers("imgrec.auditing") <= {"data_check.py"} | inside("audit", "cli", "prepare")


def test_an_audit_knows_nothing_of_training():
    above = (
        "imgrec.training.classifier",
        "imgrec.training.callbacks",
        "imgrec.training.trainer",
        "imgrec.train_job",
        "imgrec.training.setup",
        "imgrec.evaluation",
    )
    assert importers(*above, "pytorch_lightning") & inside("audit", "prepare") == set()


def test_a_server_knows_files_pixels_and_decisions_alone():
    ours = {name for module in inside("serve") for name in imports(module) if name.startswith("imgrec.")}
    allowed = ("bundle", "data.image", "data.image", "data.pillow_warnings", "data.preprocess", "data.samples")
    below = (*allowed, "decisions", "durable", "errors", "file_lock", "serve", "__version__")
    below += ("processors", "explain.baseline", "explain.occlusion", "explain.overlay")  # none of which knows torch
    assert {name for name in ours if not name.removeprefix("imgrec.").startswith(below)} == set()


def test_a_server_is_started_by_the_command_line_alone():
    assert importers("imgrec.serve") <= inside("serve") | {"cli/serve.py", "cli/keys.py"}


@pytest.mark.parametrize(
    "module", ["imgrec.serve.start", "imgrec.serve.http.server", "imgrec.serve.engine.decode_worker"]
)
def test_a_server_loads_nothing_of_the_training_side(module):
    heavy = {"torch", "torchvision", "pytorch_lightning", "hydra", "omegaconf", "albumentations", "pandas", "scipy"}
    assert not loaded(f"import {module}") & heavy


def test_baselines_know_nothing_of_training_and_are_asked_for_by_the_command_line_alone():
    above = (
        "imgrec.training.classifier",
        "imgrec.training.callbacks",
        "imgrec.training.trainer",
        "imgrec.train_job",
        "imgrec.training.setup",
        "imgrec.auditing",
    )
    assert importers(*above, "pytorch_lightning") & inside("baselines") == set()
    assert importers("imgrec.studies.baselines") - inside("baselines", "cli") == set()


def test_explaining_is_asked_for_by_commands_and_the_server_and_knows_nothing_of_training():
    assert importers("imgrec.studies.explain") <= inside("explain", "cli", "serve")
    above = (
        "imgrec.training.classifier",
        "imgrec.training.callbacks",
        "imgrec.training.trainer",
        "imgrec.train_job",
        "imgrec.training.setup",
        "imgrec.cli",
    )
    assert importers(*above, "pytorch_lightning") & inside("explain") == set()


def test_what_checks_a_map_knows_images_and_numbers_alone():
    free = {"arrays", "baseline", "cells", "faithfulness", "occlusion", "overlay", "similarity", "verdict"}
    above = ("torch", "torchvision", "captum", "imgrec.models", "imgrec.data", "imgrec.evaluation")
    assert importers(*above) & {f"explain/{name}.py" for name in free} == set()


def test_predictions_of_a_bundle_need_no_torch_and_nothing_of_training():
    above = (
        "imgrec.training.classifier",
        "imgrec.training.callbacks",
        "imgrec.training.trainer",
        "imgrec.train_job",
        "imgrec.training.setup",
        "imgrec.models",
    )
    assert importers(*above, "pytorch_lightning") & inside("prediction") == set()
    assert importers("torch") & inside("prediction") == {"prediction/checkpoint_model.py"}
    assert importers("imgrec.deploy.predict") - inside("prediction", "cli") == set()


def test_the_command_line_is_imported_by_nobody():
    assert importers("imgrec.cli") - inside("cli") == set()


def test_what_ships_knows_nothing_of_the_training_side():
    above = ("torch", "torchvision", "pytorch_lightning", "hydra", "omegaconf", "albumentations", "onnx", "scipy")
    assert (
        importers(*above, "imgrec.models", "imgrec.deploy.export", "imgrec.training.setup", "imgrec.cli")
        & inside("bundle")
        == set()
    )


def test_exporting_is_asked_for_by_the_command_line_alone():
    assert importers("imgrec.deploy.export", "imgrec.deploy.benchmark") <= inside("export", "benchmark", "cli")


def test_the_two_jobs_are_imported_by_the_command_line_alone():
    assert importers("imgrec.train_job") <= inside("cli")
    assert importers("imgrec.finish") == {"run.py"}
    assert importers("imgrec.evaluation.evaluate_split", "imgrec.training.library_errors") == {"run.py", "finish.py"}


def test_nobody_imports_lightning_by_its_other_name():
    assert importers("lightning") == set()


def loaded(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python holds after `code`."""
    program = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["import imgrec", "import imgrec.cli", "import imgrec.models, imgrec.training.losses"])
def test_importing_the_package_imports_no_torch(code):
    assert not loaded(code) & {"torch", "torchvision", "pytorch_lightning", "albumentations", "hydra", "numpy"}


def test_corruptions_are_made_of_arrays_alone():
    above = (
        "torch",
        "imgrec.models",
        "imgrec.training.classifier",
        "imgrec.evaluation",
        "imgrec.train_job",
        "imgrec.studies.robustness",
    )
    assert importers(*above) & inside("corruptions") == set()


def test_studies_know_nothing_of_training_and_of_the_command_line():
    above = (
        "imgrec.training.classifier",
        "imgrec.training.callbacks",
        "imgrec.training.trainer",
        "imgrec.train_job",
        "imgrec.training.setup",
        "imgrec.cli",
    )
    assert importers(*above, "pytorch_lightning") & inside("robustness", "tta") == set()
    assert importers("imgrec.studies.robustness", "imgrec.studies.tta") <= inside("robustness", "tta")
