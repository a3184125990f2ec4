"""Jobs as processes: tiny ones, as each costs the start of an interpreter."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from imgrec.training.sweep.jobs import Ended, Job, run_jobs


def python(number: int, code: str) -> Job:
    return Job(number, (sys.executable, "-S", "-c", code), Path())


class Log:
    """What happened to the jobs, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.ended: dict[int, Ended] = {}

    def start(self, job: Job) -> None:
        self.events.append(("start", job.number))

    def end(self, ended: Ended) -> None:
        self.events.append(("end", ended.job.number))
        self.ended[ended.job.number] = ended


def run(jobs: list[Job], *, at_once: int = 1) -> Log:
    log = Log()
    run_jobs(jobs, at_once=at_once, on_start=log.start, on_end=log.end)
    return log


def test_jobs_run_one_after_another_and_a_failed_one_stops_nothing():
    log = run(
        [
            python(0, ""),
            python(1, "raise SystemExit(3)"),
            python(2, "import os; os.kill(os.getpid(), 9)"),
            python(3, ""),
        ]
    )
    assert log.events == [(what, number) for number in range(4) for what in ("start", "end")]
    assert [log.ended[number].exit_code for number in range(4)] == [0, 3, -9, 0]
    assert not any(ended.was_stopped for ended in log.ended.values())


def test_at_most_so_many_run_at_once():
    log = run([python(number, "import time; time.sleep(0.3)") for number in range(3)], at_once=2)
    assert log.events[:2] == [("start", 0), ("start", 1)]
    assert log.events.index(("start", 2)) > 2


def test_two_jobs_run_at_the_same_time(tmp_path):
    """Each waits until the other has left its mark, so neither could end alone."""
    code = (
        "import pathlib, time\npathlib.Path({mine!r}).touch()\n"
        "while not pathlib.Path({other!r}).exists(): time.sleep(0.01)"
    )
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    log = run([python(0, code.format(mine=a, other=b)), python(1, code.format(mine=b, other=a))], at_once=2)
    assert {number: ended.exit_code for number, ended in log.ended.items()} == {0: 0, 1: 0}


def test_the_output_of_jobs_that_run_together_is_marked(capsys):
    run([python(4, "print('to out')"), python(5, "import sys; sys.stderr.write('to err')")], at_once=2)
    assert set(capsys.readouterr().out.splitlines()) == {"[job 4] to out", "[job 5] to err"}


def test_the_output_of_a_job_alone_is_passed_on(capfd):
    run([python(0, "print('as it is', flush=True)")])
    assert capfd.readouterr().out == "as it is\n"


def test_a_job_reports_its_errors_as_we_do(monkeypatch, capfd):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    run([python(0, "import os; print(os.environ.get('HYDRA_FULL_ERROR'))")])
    assert capfd.readouterr().out == "None\n"


SLEEPER = """
import pathlib, signal, sys, time
def stop(number, frame):
    pathlib.Path({mark!r}).write_text(str(number))
    raise SystemExit(5)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, stop)
pathlib.Path({mark!r}).write_text("ready")
time.sleep(60)
"""


def send_when(mark: Path, *signals: int) -> threading.Thread:
    """Send signals to this process, the first as soon as the job has written its mark."""

    def send() -> None:
        deadline = time.monotonic() + 30
        while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in signals:
            os.kill(os.getpid(), number)
            time.sleep(0.5)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_is_handed_on_once_and_the_job_waited_for(number, raised, tmp_path):
    log, mark = Log(), tmp_path / "mark"
    jobs = [python(0, SLEEPER.format(mark=str(mark))), python(1, "")]
    thread = send_when(mark, number)
    with pytest.raises(raised) as caught:
        run_jobs(jobs, at_once=1, on_start=log.start, on_end=log.end)
    thread.join()
    assert mark.read_text() == str(int(number))
    assert (log.ended[0].exit_code, log.ended[0].was_stopped) == (5, True)
    assert 1 not in log.ended
    if raised is SystemExit:
        assert caught.value.code == 143


def test_a_second_signal_kills(tmp_path):
    log, mark = Log(), tmp_path / "mark"
    stubborn = SLEEPER.format(mark=str(mark)).replace("raise SystemExit(5)", "return")
    thread = send_when(mark, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_jobs([python(0, stubborn)], at_once=1, on_start=log.start, on_end=log.end)
    thread.join()
    assert log.ended[0].exit_code == -9


def test_the_handling_of_sigterm_is_given_back():
    before = signal.getsignal(signal.SIGTERM)
    run([python(0, "")])
    assert signal.getsignal(signal.SIGTERM) is before
