"""Worker processes that crash, hang and are killed."""

import os

import pytest

from faults import task
from imgrec.core.system.worker_pool import CHUNK, Lost, default_workers, run_in_workers
from imgrec.errors import ImgrecError


def run(items, *, workers=2, timeout_s=30.0, of=task):
    results = list(run_in_workers(of, enumerate(items), workers=workers, timeout_s=timeout_s))
    assert len(results) == len(items)
    return dict(results)


@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_gets_its_result(workers):
    items = [f"item {row}" for row in range(5 * CHUNK + 3)]
    assert run(items, workers=workers) == dict(enumerate(item.upper() for item in items))


@pytest.mark.parametrize("fault", ["segfault", "exit", "killed"])
def test_an_item_that_takes_its_worker_down_costs_itself_alone(fault):
    items = [f"item {row}" for row in range(2 * CHUNK)]
    items[3] = f"{fault} here"
    results = run(items)
    lost = results.pop(3)
    assert isinstance(lost, Lost) and lost.code == "crashed" and "died twice" in lost.detail
    assert results == {row: item.upper() for row, item in enumerate(items) if row != 3}


def test_a_worker_killed_from_outside_costs_nothing(tmp_path):
    items = ["item 0", f"killed-once {tmp_path / 'mark'}", "item 2"]
    assert run(items, workers=1) == dict(enumerate(item.upper() for item in items))
    assert (tmp_path / "mark").exists()


def test_an_item_that_hangs_is_given_up_after_its_time():
    results = run(["item 0", "hang here", "item 2"], timeout_s=1.0)
    assert results.pop(1) == Lost("timeout", "not decoded within 1 s")
    assert results == {0: "ITEM 0", 2: "ITEM 2"}


def test_a_task_that_raises_costs_its_item_and_says_what_it_raised():
    results = run(["raise here", "item 1"], workers=1)
    assert results == {0: Lost("crashed", "ValueError: no good"), 1: "ITEM 1"}


def test_many_faults_at_once_leave_every_other_item_whole():
    items = [("segfault x" if row % 5 == 0 else f"item {row}") for row in range(20)]
    results = run(items)
    assert sorted(row for row, result in results.items() if isinstance(result, Lost)) == [0, 5, 10, 15]
    assert all(results[row] == items[row].upper() for row in range(20) if row % 5)


def test_workers_are_ended_when_nobody_wants_more_results():
    results = run_in_workers(os.path.basename, ((row, "x") for row in range(1000)), workers=1, timeout_s=30)
    next(results)
    (process,) = [worker.process for worker in results.gi_frame.f_locals["pool"].workers]
    results.close()
    assert process.returncode is not None


def test_no_items_start_no_worker():
    assert run([]) == {}


def nowhere(item):
    return item


def test_workers_that_cannot_start_are_an_error_and_not_a_row(capfd):
    nowhere.__module__ = "no_such_module"
    with pytest.raises(ImgrecError, match="could not start"):
        run(["item"], of=nowhere)
    assert "no_such_module" in capfd.readouterr().err


def test_by_default_there_is_a_worker_for_each_processor_of_this_process():
    assert default_workers() == len(os.sched_getaffinity(0))
