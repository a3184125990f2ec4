"""How a command starts and how it ends: the real thing, in processes of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import standin
from imgrec.cli.hydra import entry
from standin import start

VERBS = Path(entry.__file__).parents[1] / "verbs"


def seen(folder: Path) -> dict[str, object]:
    return json.loads((folder / "seen.jsonl").read_text().splitlines()[-1])


def test_a_run_gets_its_folder_and_a_clean_environment(tmp_path):
    done = start(tmp_path, "run_dir=my run", "optimizer=adam", "note='a=b [c]'")
    assert (done.returncode, done.stderr) == (0, "")
    known = seen(tmp_path / "my run")
    assert (known["run_dir"], known["lr"], known["note"]) == ("my run", 0.001, "a=b [c]")
    assert (known["HYDRA_FULL_ERROR"], known["IMGREC_DEBUG"], known["torch"]) == (None, None, False)
    assert (tmp_path / "my run" / ".hydra" / "config.yaml").exists()


def test_flags_come_first_for_the_processes_that_lightning_starts_with_overrides_at_the_end(tmp_path):
    start(tmp_path, "run_dir=out")
    argv = seen(tmp_path / "out")["argv"]
    assert argv == [standin.__file__, "--config-path", str(tmp_path / "conf"), "run_dir=out"]


def test_the_default_folder_is_the_one_that_the_run_is_told(tmp_path):
    """`now` is another moment in another process, so the configuration's own word for the folder cannot be trusted."""
    start(tmp_path)
    (folder,) = (tmp_path / "out").iterdir()
    assert seen(folder)["run_dir"] == str(folder.relative_to(tmp_path))


def test_an_error_of_the_user_is_a_message_and_code_2(tmp_path):
    done = start(tmp_path, "run_dir=out", "trouble=data")
    assert (done.returncode, done.stderr, done.stdout) == (2, "imgrec: error: no such folder: [photos]\n", "")
    assert "DataError" in (tmp_path / "out" / "error.log").read_text()


def test_a_fault_is_code_1_and_its_trace_is_kept(tmp_path):
    done = start(tmp_path, "run_dir=out", "trouble=fault")
    assert done.returncode == 1
    assert done.stderr.startswith("imgrec: error: ZeroDivisionError: by zero\n")
    assert "out/error.log" in done.stderr
    assert "in train" in (tmp_path / "out" / "error.log").read_text()


@pytest.mark.parametrize("way", ["--debug", "HYDRA_FULL_ERROR"])
def test_a_trace_is_shown_on_demand_and_by_the_processes_that_are_started(way, tmp_path):
    arguments, environment = (["--debug"], {}) if way == "--debug" else ([], {"HYDRA_FULL_ERROR": "1"})
    done = start(tmp_path, "run_dir=out", "trouble=data", *arguments, **environment)
    assert done.returncode == 2
    assert "in train" in done.stderr
    assert done.stderr.endswith("imgrec: error: no such folder: [photos]\n")
    assert seen(tmp_path / "out")["IMGREC_DEBUG"] == "1"


def test_a_key_that_the_configuration_lacks_is_named(tmp_path):
    done = start(tmp_path, "run_dir=out", "trouble=key")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert done.stderr.startswith("imgrec: error: no_such_key: ")


def test_a_value_that_must_be_given_is_asked_for_before_the_run(tmp_path):
    done = start(tmp_path, "run_dir=out", "required=???")
    assert (done.returncode, done.stderr) == (2, "imgrec: error: required must be given. Add required=...\n")
    assert not (tmp_path / "out" / "seen.jsonl").exists()


def test_ctrl_c_is_code_130(tmp_path):
    done = start(tmp_path, "run_dir=out", "trouble=interrupt")
    assert (done.returncode, done.stderr) == (130, "imgrec: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["optimizer.lrr=1"], 2), (["--version"], 0), (["model=resnet5"], 2)]
)
def test_help_version_and_errors_import_no_torch(arguments, code, tmp_path):
    program = (
        "import sys\nfrom imgrec.cli import main\n"
        f"sys.argv = ['imgrec', 'train', *{arguments!r}]\n"
        "try: main()\nexcept SystemExit as stop: code = stop.code\nelse: code = 0\n"
        "heavy = {'torch', 'pytorch_lightning', 'torchvision', 'albumentations', 'cv2', 'sklearn', 'rich'}\n"
        "print('RESULT', code, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"RESULT {code} []"


def test_help_names_the_groups_and_the_keys_used_most(tmp_path):
    script = VERBS / "train.py"
    done = subprocess.run([sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "loss: bce, cross_entropy, focal" in done.stdout
    assert "trainer.max_epochs=" in done.stdout
    assert "hydra" not in done.stdout.lower()


def test_whoever_stops_reading_the_output_is_no_error():
    script = VERBS / "train.py"
    process = subprocess.Popen([sys.executable, script, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 141


def test_modules_beside_the_script_do_not_hide_others(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(VERBS), "/elsewhere"])
    for _ in range(2):
        entry._import_from_outside_this_folder()
        assert sys.path == [str(VERBS.parents[2]), "/elsewhere"]


def test_a_sweep_inside_one_process_goes_on_and_fails(tmp_path):
    done = start(tmp_path, "-m", "hydra/launcher=basic", "optimizer.lr=0.1,0.5,0.2")
    assert done.returncode == 2
    assert done.stderr.endswith("imgrec: error: no such folder: [photos]\n")
    assert [(tmp_path / "sweep" / name / "result.json").exists() for name in "012"] == [True, False, True]


def test_a_sweep_inside_one_process_refuses_jobs_of_several(tmp_path):
    done = start(tmp_path, "-m", "hydra/launcher=basic", "optimizer.lr=0.1,0.2", "trouble=processes")
    assert done.returncode == 2
    assert "hydra/launcher=basic runs jobs in one process, which cannot give 2 processes the same" in done.stderr
