"""How often something may happen in a time that goes along with the clock."""

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

__all__ = ["Throttle", "address_group"]

_MAX_NAMES = 20_000  # who is remembered at most; the longest silent is forgotten first


class Throttle:
    """At most `count` times in any `seconds`, for each name by itself. Exact: each time is kept until it is too old.

    clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, name: str, *, count: int, seconds: float) -> float:
        """Return how long `name` has to wait for its next time, 0 where it has not to."""
        times = self._times.get(name)
        if times is None:
            return 0.0
        now = self._clock()
        while times and times[0] <= now - seconds:
            times.popleft()
        return 0.0 if len(times) < count else times[-count] + seconds - now

    def note(self, name: str) -> None:
        """Count one time for `name`."""
        self._times.setdefault(name, deque()).append(self._clock())
        self._times.move_to_end(name)
        if len(self._times) > _MAX_NAMES:
            self._times.popitem(last=False)

    def take(self, name: str, *, count: int, seconds: float) -> float:
        """Count one time if it is allowed and return 0; else count nothing and return the seconds to wait."""
        wait = self.wait_s(name, count=count, seconds=seconds)
        if wait == 0.0:
            self.note(name)
        return wait


def address_group(host: str) -> str:
    """Return what counts as one address: an IPv4 address, or the /64 network that one IPv6 customer has."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
