"""The line that says how far a job is."""

import io

from imgrec.core.system.progress_line import ProgressLine


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO) -> tuple[ProgressLine, Clock]:
    clock = Clock()
    return ProgressLine(stream, clock), clock


def test_a_terminal_is_told_count_rate_and_time_left():
    line, clock = run(stream := Terminal())
    clock.now = 2.0
    line.update(1000, 61_000)
    assert stream.getvalue() == "\r1,000 of 61,000 images, 500/s, 2 min left"


def test_a_terminal_is_told_at_most_five_times_a_second_and_at_the_end():
    line, clock = run(stream := Terminal())
    for done in range(1, 101):
        clock.now += 0.01
        line.update(done, 100)
    assert stream.getvalue().count("\r") <= 6
    assert "100 of 100 images" in stream.getvalue()


def test_a_log_gets_whole_lines_and_few():
    line, clock = run(stream := io.StringIO())
    for done in range(1, 61):
        clock.now += 1
        line.update(done, 60)
    assert "\r" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 6


def test_a_shorter_text_leaves_nothing_of_the_longer_one():
    line, _ = run(stream := Terminal())
    line.say("a long text")
    line.say("short")
    line.close()
    assert stream.getvalue().split("\r")[2] == "short ...      "
    assert stream.getvalue().endswith("\r")
