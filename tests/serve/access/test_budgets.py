"""Daily numbers of images."""

import subprocess
import sys
from pathlib import Path

import pytest

from imgrec.errors import ConfigError
from imgrec.serve.access.budgets import DailyBudgets
from project import PROJECT

DAY = 86_400


def test_as_many_as_the_budget_and_not_one_more(tmp_path: Path):
    budgets = DailyBudgets(tmp_path / "budgets", now=lambda: 10.0 * DAY)
    assert sum(budgets.take("key:a", 1, daily=100) == 0.0 for _ in range(150)) == 100


def test_a_restart_forgets_nothing(tmp_path: Path):
    taken = 0
    for _ in range(10):
        budgets = DailyBudgets(tmp_path / "budgets", now=lambda: 10.0 * DAY)
        taken += sum(budgets.take("key:a", 1, daily=100) == 0.0 for _ in range(13))
        assert budgets.used("key:a") == taken
        budgets.close()
    assert taken == 100


def test_a_killed_server_has_counted_all_that_it_took_on(tmp_path: Path):
    path = tmp_path / "budgets"
    code = (
        "import os, sys; from pathlib import Path; from imgrec.serve.access.budgets import DailyBudgets\n"
        f"budgets = DailyBudgets(Path({str(path)!r}), now=lambda: 864000.0)\n"
        "for _ in range(37): assert budgets.take('key:a', 2, daily=1000) == 0.0\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == -9
    assert DailyBudgets(path, now=lambda: 864000.0).used("key:a") == 74


def test_two_servers_share_one_budget(tmp_path: Path):
    first, second = (DailyBudgets(tmp_path / "budgets", now=lambda: 0.0) for _ in range(2))
    first.take("key:a", 1, daily=9)
    taken = sum(budget.take("key:b", 1, daily=9) == 0.0 for _ in range(9) for budget in (first, second))
    assert taken == 9
    assert first.take("key:a", 8, daily=9) == 0.0
    assert second.used("key:a") == 9


def test_a_clock_that_is_set_back_gives_nothing_back(tmp_path: Path):
    now = [11.0 * DAY]
    budgets = DailyBudgets(tmp_path / "budgets", now=lambda: now[0])
    assert budgets.take("key:a", 5, daily=5) == 0.0
    now[0] -= 3600
    assert budgets.used("key:a") == 5
    assert budgets.take("key:a", 1, daily=5) == DAY + 3600, "seconds to the end of the day that was begun"
    now[0] = 11.5 * DAY
    assert budgets.take("key:a", 1, daily=5) == DAY / 2
    now[0] = 12.0 * DAY
    assert budgets.take("key:a", 5, daily=5) == 0.0


def test_a_day_ends_at_midnight_utc(tmp_path: Path):
    now = [10.5 * DAY]
    budgets = DailyBudgets(tmp_path / "budgets", now=lambda: now[0])
    budgets.take("key:a", 5, daily=5)
    assert budgets.take("key:a", 1, daily=5) == DAY / 2
    now[0] = 11.0 * DAY
    assert budgets.used("key:a") == 0
    assert budgets.take("key:a", 5, daily=5) == 0.0


def test_images_of_a_request_come_all_or_none(tmp_path: Path):
    budgets = DailyBudgets(tmp_path / "budgets", now=lambda: 0.0)
    assert budgets.take("key:a", 4, daily=5) == 0.0
    assert budgets.take("key:a", 2, daily=5) > 0.0
    assert budgets.take("key:a", 1, daily=5) == 0.0


def test_names_are_counted_apart(tmp_path: Path):
    budgets = DailyBudgets(tmp_path / "budgets", now=lambda: 0.0)
    assert [budgets.take(f"key:{number}", number, daily=50) for number in range(40)] == [0.0] * 40
    assert [budgets.used(f"key:{number}") for number in range(40)] == list(range(40))
    assert budgets.used("key:unknown") == 0


def test_a_row_cut_short_by_a_full_disk_is_written_over(tmp_path: Path):
    path = tmp_path / "budgets"
    DailyBudgets(path, now=lambda: 0.0).take("key:a", 3, daily=5)
    with path.open("ab") as file:
        file.write(b"key:b   ")
    budgets = DailyBudgets(path, now=lambda: 0.0)
    budgets.take("key:b", 2, daily=5)
    assert (budgets.used("key:a"), budgets.used("key:b")) == (3, 2)


def test_another_file_is_refused(tmp_path: Path):
    path = tmp_path / "budgets"
    path.write_text("not ours " * 100)
    with pytest.raises(ConfigError, match="does not hold the daily counts"):
        DailyBudgets(path)
