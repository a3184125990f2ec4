"""The worked examples of CONTRIBUTING.md, written to files as their first lines say, and run."""

import re
import shlex
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from command import command
from imgrec.cli import app
from imgrec.evaluation.report import report
from imgrec.evaluation.result import read_result
from project import PROJECT

TEXT = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILE = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^imgrec train (.*)$", re.MULTILINE)


@pytest.fixture
def mylab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILE.findall(TEXT):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("mylab")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def test_model_loss_metric_and_source_of_another_package_train_together(mylab: Path):
    (arguments,) = COMMAND.findall(TEXT)
    done = command("train", *shlex.split(arguments), "run_dir=run")
    assert done.code == 0, done.err
    assert read_result(mylab / "run") is not None
    assert "val/specificity" in (mylab / "run" / "history.csv").read_text(encoding="utf-8")


def test_the_loss_is_cross_entropy_without_its_second_term_and_takes_soft_targets(mylab: Path):
    logits, labels = torch.randn(8, 3), torch.randint(3, (8,))
    plain = import_module("mylab.losses").PolyLoss(epsilon=0.0)
    assert torch.allclose(plain(logits, labels), torch.nn.functional.cross_entropy(logits, labels))
    soft = torch.softmax(torch.randn(8, 3), dim=1)
    assert torch.allclose(plain(logits, soft), torch.nn.functional.cross_entropy(logits, soft))


def test_the_verb_prints_the_classes_of_a_model(mylab: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(app.VERBS, "classes", ("mylab.classes_verb", "print the class names of a model"))
    monkeypatch.setattr(sys, "argv", ["imgrec"])
    app.run_verb("classes", [str(PROJECT / "tests" / "fixtures" / "before_layout" / "model.onnx")])
    assert capsys.readouterr().out == "blue\ngreen\nred\n"


def test_the_section_is_part_of_a_report(mylab: Path, monkeypatch: pytest.MonkeyPatch):
    before = PROJECT / "tests" / "fixtures" / "before_layout" / "run" / "evaluation"
    folder = Path(shutil.copytree(before, mylab / "evaluation"))
    usual, age_blocks = report._sections, import_module("mylab.ages_section").age_blocks
    added = ("ages.json", age_blocks, "ages", "Age groups", "By age.", "python ages.py")
    monkeypatch.setattr(report, "_sections", lambda found: [*usual(found), report._from_file(found, *added)])
    assert "python ages.py" in report.write_report(folder).read_text(encoding="utf-8")
    (folder / "ages.json").write_text('{"groups": [{"name": "0 to 18", "num": 12, "accuracy": 0.75}]}')
    page = report.write_report(folder).read_text(encoding="utf-8")
    assert "0 to 18" in page
    assert "0.750" in page


def test_every_folder_in_the_tree_exists():
    for name in re.findall(r"^\| `([a-z/_]+)/` \|", TEXT, re.MULTILINE):
        assert (PROJECT / name).is_dir(), name
