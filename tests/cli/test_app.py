"""`imgrec <verb>`."""

import importlib
import sys
from pathlib import Path

import pytest

from imgrec import __version__
from imgrec.cli import main
from imgrec.cli.app import VERBS, usage


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/imgrec", *arguments])
    main()


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_alone_it_lists_its_verbs(arguments, monkeypatch, capsys):
    call(monkeypatch, *arguments)
    assert capsys.readouterr().out == usage()
    assert all(f"  {verb} " in usage() for verb in VERBS)


def test_it_says_its_version(monkeypatch, capsys):
    call(monkeypatch, "--version")
    assert capsys.readouterr().out == f"imgrec {__version__}\n"


def test_an_unknown_verb_names_the_nearest_and_all(monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, "trian")
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        f"imgrec: error: There is no verb 'trian'. Did you mean 'train'? Verbs: {', '.join(VERBS)}.\n"
    )


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_a_verb_runs_as_if_its_own_file_had_been_started(verb, monkeypatch):
    """Lightning starts the other processes of a run by sys.argv: a file that runs the verb, and its arguments."""
    module = importlib.import_module(VERBS[verb][0])
    seen = []
    monkeypatch.setattr(module, "main", lambda: seen.append(list(sys.argv)))
    call(monkeypatch, verb, "a=1", "-m")
    assert seen == [[module.__file__, "a=1", "-m"]]
    text = Path(str(module.__file__)).read_text()
    assert text.rstrip().endswith('if __name__ == "__main__":\n    main()')
