"""How often something may happen."""

from imgrec.serve.access.throttle import Throttle, address_group


def test_so_many_in_any_such_time_and_no_more():
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    allowed = []
    for step in range(400):
        now[0] = step * 0.01
        if throttle.take("a", count=10, seconds=1.0) == 0.0:
            allowed.append(now[0])
    assert len(allowed) == 40
    assert all(sum(start <= time < start + 0.999 for time in allowed) <= 10 for start in allowed)


def test_who_is_refused_is_told_how_long_to_wait():
    now = [5.0]
    throttle = Throttle(lambda: now[0])
    throttle.take("a", count=2, seconds=1.0)
    now[0] = 5.25
    throttle.take("a", count=2, seconds=1.0)
    now[0] = 5.5
    assert throttle.take("a", count=2, seconds=1.0) == 0.5
    now[0] = 6.0
    assert throttle.take("a", count=2, seconds=1.0) == 0.0


def test_names_are_counted_apart():
    throttle = Throttle(lambda: 0.0)
    assert throttle.take("a", count=1, seconds=1.0) == 0.0
    assert throttle.take("b", count=1, seconds=1.0) == 0.0
    assert throttle.take("a", count=1, seconds=1.0) > 0.0


def test_being_refused_does_not_prolong_the_wait():
    now = [0.0]
    throttle = Throttle(lambda: now[0])
    throttle.take("a", count=1, seconds=1.0)
    for step in range(1, 10):
        now[0] = step / 10
        assert throttle.take("a", count=1, seconds=1.0) > 0.0
    now[0] = 1.0
    assert throttle.take("a", count=1, seconds=1.0) == 0.0


def test_names_without_end_do_not_fill_the_memory():
    throttle = Throttle(lambda: 0.0)
    for number in range(20_100):
        throttle.note(str(number))
    assert len(throttle._times) == 20_000


def test_one_customer_with_ipv6_is_one_address():
    assert address_group("2001:db8:1:2::1") == address_group("2001:db8:1:2:ffff::9")
    assert address_group("2001:db8:1:2::1") != address_group("2001:db8:1:3::1")
    assert address_group("::ffff:10.0.0.1") == address_group("10.0.0.1") == "10.0.0.1"
    assert address_group("nonsense") == "unknown"
