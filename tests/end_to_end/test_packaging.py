"""What a user installs: the wheel, the source distribution, and the dependencies that pyproject.toml declares."""

import ast
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import imgrec

PROJECT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))

# Declared and never imported by name: what for.
USED_BY_OTHERS = {
    "tensorboard": "torch.utils.tensorboard and Lightning's logger write with it",
    "onnxscript": "torch.onnx.export translates with it",
}


def run(*arguments: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        arguments, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source distribution, and of the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(PROJECT), cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist_names(built: Path) -> set[str]:
    """The names in the source distribution, below its one folder."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def sources(*folders: str, suffix: str = ".py") -> set[str]:
    return {
        path.relative_to(PROJECT).as_posix() for folder in folders for path in (PROJECT / folder).rglob(f"*{suffix}")
    }


def test_the_wheel_holds_all_modules_and_the_launcher_plugin(wheel_names: set[str]) -> None:
    assert sources("imgrec", "hydra_plugins") <= wheel_names
    assert "imgrec/py.typed" in wheel_names


def test_the_wheel_holds_the_configuration_inside_the_package(wheel_names: set[str]) -> None:
    configuration = sources("conf", suffix=".yaml")
    assert "conf/train.yaml" in configuration
    assert {f"imgrec/{name}" for name in configuration} <= wheel_names


def test_the_wheel_holds_nothing_else(wheel_names: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel_names}
    assert tops == {"imgrec", "hydra_plugins", f"imgrec-{imgrec.__version__}.dist-info"}
    assert not [name for name in wheel_names if "__pycache__" in name]


@pytest.mark.parametrize("suffix", [".html", ".css", ".js"])
def test_the_wheel_holds_what_pages_are_made_of(wheel_names: set[str], suffix: str) -> None:
    templates = sources("imgrec", suffix=suffix)
    assert templates
    assert templates <= wheel_names


def test_modules_that_are_started_as_programs_are_in_the_wheel(wheel_names: set[str]) -> None:
    texts = (file.read_text(encoding="utf-8") for file in (PROJECT / "imgrec").rglob("*.py"))
    started = {name for text in texts for name in re.findall(r'"-m",\s*"(imgrec[\w.]+)"', text)}
    assert len(started) == 3
    assert {f"{name.replace('.', '/')}.py" for name in started} <= wheel_names


def test_hydra_plugins_stays_open_to_other_packages(wheel_names: set[str]) -> None:
    assert "hydra_plugins/__init__.py" not in wheel_names


def test_the_metadata_says_version_python_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folder = f"imgrec-{imgrec.__version__}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        scripts = archive.read(f"{folder}/entry_points.txt").decode()
        licence = archive.read(f"{folder}/licenses/LICENSE").decode()
    assert metadata["Version"] == imgrec.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in licence and "END OF TERMS AND CONDITIONS" in licence
    assert "imgrec = imgrec.cli:main" in scripts


def test_the_source_distribution_can_be_tested_and_holds_no_leftovers(sdist_names: set[str]) -> None:
    assert sources("imgrec", "hydra_plugins", "tests") | {"train.py", "evaluate.py", "Makefile"} <= sdist_names
    assert not {
        name
        for name in sdist_names
        if re.match(r"\.venv|outputs|dist/|.*__pycache__|(?!tests/fixtures/).*\.ckpt$", name)
    }


@pytest.mark.guard
def test_an_installed_wheel_trains_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    run(
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)),
        str(wheel), cwd=tmp_path,
    )  # fmt: skip
    imgrec_script = (sys.executable, str(site / "bin" / "imgrec"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    where = run(sys.executable, "-c", "import imgrec; print(imgrec.__file__)", cwd=elsewhere, PYTHONPATH=str(site))
    assert Path(where.strip()) == site / "imgrec" / "__init__.py"
    assert "train" in run(*imgrec_script, "--help", cwd=elsewhere, PYTHONPATH=str(site))
    for verb in ("train", "evaluate"):
        assert "small_cnn" in run(*imgrec_script, verb, "--help", cwd=elsewhere, PYTHONPATH=str(site))

    short = ("trainer.gpus=0", "trainer.max_epochs=1", "+trainer.limit_train_batches=1", "run_dir=run")
    run(*imgrec_script, "train", *short, cwd=elsewhere, PYTHONPATH=str(site))
    assert (elsewhere / "run" / "best.ckpt").is_file()
    assert (elsewhere / "run" / "evaluation" / "report.html").is_file()


def imported_names() -> Iterator[str]:
    """Yield the first part of every module that our code or a `_target_` of the configuration names."""
    files = [PROJECT / name for name in sources("imgrec", "hydra_plugins")]
    for path in [*files, PROJECT / "train.py", PROJECT / "evaluate.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]
    for name in sources("conf", suffix=".yaml"):
        yield from re.findall(r"_target_: *(\w+)", (PROJECT / name).read_text(encoding="utf-8"))


def distribution_names(modules: set[str]) -> set[str]:
    known = packages_distributions()
    return {normal(name) for module in modules - sys.stdlib_module_names for name in known.get(module, [module])}


def normal(requirement: str) -> str:
    """Return the name in a requirement as package indexes spell it."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name.group()).lower()


def test_what_is_imported_is_what_is_declared() -> None:
    own = {"imgrec", "hydra_plugins"}
    extras = PYPROJECT["project"]["optional-dependencies"]
    of_users = [requirement for extra, packages in extras.items() if extra != "dev" for requirement in packages]
    declared = {normal(requirement) for requirement in [*PYPROJECT["project"]["dependencies"], *of_users]}
    assert distribution_names(set(imported_names()) - own) == declared - set(USED_BY_OTHERS)


def test_each_declared_dependency_has_a_tested_version() -> None:
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {normal(line) for line in lines if "==" in line}
    project = PYPROJECT["project"]
    extras = [requirement for extra in project["optional-dependencies"].values() for requirement in extra]
    assert {normal(requirement) for requirement in [*project["dependencies"], *extras]} - {"imgrec"} <= pinned
