"""The examples of docs/python.md run, as one program, in a folder with photos/."""

import re
import shutil
from pathlib import Path

import pytest

from project import PROJECT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.guard
def test_the_examples_of_the_python_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    shutil.copytree(PROJECT / "tests" / "fixtures" / "before_layout" / "images", tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    examples = BLOCK.findall((PROJECT / "docs" / "python.md").read_text(encoding="utf-8"))
    assert len(examples) > 6
    exec(compile("\n".join(examples), "docs/python.md", "exec"), {"__name__": "__main__"})
    assert "Did you mean 'folder'" in capsys.readouterr().out
