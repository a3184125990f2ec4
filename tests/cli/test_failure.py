"""How a command ends badly."""

import pytest

from imgrec.cli.failure import DEBUG_VARIABLE, last_error, report
from imgrec.errors import ConfigError, JobError, NonFiniteError


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(("error", "code"), [(ConfigError("x"), 2), (JobError("x"), 1), (NonFiniteError("x"), 3)])
def test_an_error_of_the_user_is_its_message_and_its_code(error, code, capsys, tmp_path):
    assert report(raised(error), folder=tmp_path) == code
    assert capsys.readouterr().err == "imgrec: error: x\n"


def test_a_fault_points_to_its_trace(capsys, tmp_path):
    assert report(raised(ZeroDivisionError("by zero")), folder=tmp_path) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("imgrec: error: ZeroDivisionError: by zero\n")
    assert str(tmp_path / "error.log") in printed
    assert "Traceback" not in printed
    assert "in raised" in (tmp_path / "error.log").read_text()


def test_a_fault_that_has_no_folder_prints_its_trace(capsys, tmp_path):
    report(raised(ZeroDivisionError("x")))
    assert "in raised" in capsys.readouterr().err
    report(raised(ZeroDivisionError("x")), folder=tmp_path / "absent")
    assert "in raised" in capsys.readouterr().err


def test_an_error_of_the_user_without_a_folder_prints_no_trace(capsys):
    report(raised(ConfigError("x")))
    assert capsys.readouterr().err == "imgrec: error: x\n"


def test_debug_prints_the_trace(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv(DEBUG_VARIABLE, "1")
    report(raised(ConfigError("x")), folder=tmp_path)
    assert "in raised" in capsys.readouterr().err


def test_the_log_keeps_the_cause(tmp_path):
    error = ConfigError("outer")
    error.__cause__ = raised(ValueError("inner"))
    report(error, folder=tmp_path)
    assert "ValueError: inner" in (tmp_path / "error.log").read_text()


def test_the_log_keeps_earlier_errors_and_the_last_is_found(tmp_path):
    report(raised(ConfigError("first")), folder=tmp_path)
    report(raised(ConfigError("second\nwith a second line")), folder=tmp_path)
    assert last_error(tmp_path) == "second"
    assert "first" in (tmp_path / "error.log").read_text()


def test_a_folder_without_a_log_has_no_last_error(tmp_path):
    assert last_error(tmp_path) == ""


def test_ctrl_c_is_no_fault(capsys, tmp_path):
    assert report(KeyboardInterrupt(), folder=tmp_path) == 130
    assert capsys.readouterr().err == "imgrec: interrupted\n"


def test_another_process_of_a_run_says_which_it_is(capsys, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    report(ConfigError("x"))
    assert capsys.readouterr().err == "imgrec: error: [process 1] x\n"
