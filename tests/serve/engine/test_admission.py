"""How much work is taken on."""

import pytest

from imgrec.serve.engine.admission import Admission
from imgrec.serve.http.refusals import Refusal


def test_images_beyond_the_room_are_refused_until_there_is_room():
    admission = Admission(max_images=4, max_bytes=100)
    with admission.enter(3):
        with pytest.raises(Refusal) as caught:
            admission.check(2)
        assert (caught.value.status, caught.value.code) == (503, "busy")
        assert caught.value.retry_after_s is not None and caught.value.retry_after_s >= 1
        with admission.enter(1):
            assert admission.images == 4
    assert admission.images == 0


def test_room_is_given_back_when_the_work_fails():
    admission = Admission(max_images=4, max_bytes=100)
    with pytest.raises(ZeroDivisionError), admission.enter(4):
        raise ZeroDivisionError
    assert admission.images == 0


def test_a_request_larger_than_the_room_is_taken_when_nothing_else_is_there():
    admission = Admission(max_images=4, max_bytes=100)
    with admission.enter(9):
        assert admission.images == 9


def test_the_time_to_wait_follows_the_speed_that_was_measured():
    admission = Admission(max_images=50, max_bytes=100)
    for _ in range(200):
        admission.note_batch(10, 5.0)
    with admission.enter(20), pytest.raises(Refusal) as caught:
        admission.check(31)
    assert caught.value.retry_after_s == 10
    with admission.enter(50_000), pytest.raises(Refusal) as caught:
        admission.check()
    assert caught.value.retry_after_s == 30


def test_bytes_of_all_requests_together_have_a_limit():
    admission = Admission(max_images=4, max_bytes=100)
    admission.add_bytes(60)
    with pytest.raises(Refusal, match="busy"):
        admission.add_bytes(41)
    admission.add_bytes(-60)
    admission.add_bytes(100)
