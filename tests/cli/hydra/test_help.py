"""What `--help` prints."""

from pathlib import Path

from imgrec.cli.hydra.help import help_text
from imgrec.core.config.build import config_dir


def test_every_group_is_listed_with_its_presets():
    text = "\n".join(help_text(verb, folders=[config_dir()]) for verb in ("train", "evaluate"))
    files = [file for file in config_dir().glob("*/[!_]*.yaml") if file.parent.name != "hydra"]
    listed = text.replace(",", " ").split()
    assert len(files) > 30
    assert [file for file in files if f"{file.parent.name}:" not in listed or file.stem not in listed] == []


def test_only_the_groups_of_the_command_are_listed():
    text = help_text("evaluate", folders=[config_dir()])
    assert "  data: " in text
    assert "optimizer: " not in text


def test_what_other_presets_build_on_is_no_choice():
    assert (config_dir() / "data" / "_loader.yaml").exists()
    assert "loader" not in help_text("train", folders=[config_dir()])


def test_presets_of_the_users_own_folder_are_among_them(tmp_path: Path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").touch()
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss" / "bitter.yaml").touch()
    text = help_text("train", folders=[config_dir(), tmp_path])
    assert "loss: bce, bitter, cross_entropy" in text
    assert "mine" in text


def test_lines_fit_a_screen():
    for name in ("train", "evaluate"):
        assert max(len(line) for line in help_text(name, folders=[config_dir()]).splitlines()) <= 120
