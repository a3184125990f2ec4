"""Who is asking: a key, a token, or anybody where the server runs open on its own machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from imgrec.serve.access.key_ring import KeyRing
from imgrec.serve.access.keys import SCOPES, Key, Output, Rate
from imgrec.serve.access.throttle import Throttle, address_group
from imgrec.serve.access.tokens import Token, TokenReader
from imgrec.serve.http.refusals import Refusal

__all__ = ["ANYBODY", "Caller", "Gate"]

WRONG_KEYS_A_MINUTE = 10


@dataclass(frozen=True)
class Caller:
    """Who may do what. id: as in the audit log; it is no secret. models: None = all. output: None = as the server."""

    id: str
    scopes: tuple[str, ...]
    models: tuple[str, ...] | None = None
    rate: Rate | None = None
    daily: int | None = None
    output: Output | None = None

    def may(self, scope: str) -> bool:
        """Whether the caller has a scope, by itself or as an admin."""
        return scope in self.scopes or "admin" in self.scopes

    def may_use(self, model: str) -> bool:
        """Whether the caller may use a model."""
        return self.models is None or model in self.models


ANYBODY = Caller("open", SCOPES)


class Gate:
    """Tells callers by what they carry. Once the server needs keys, it needs them until it ends.

    A right key always passes; only wrong ones are counted, 10 a minute for each address. So a stranger behind the same
    address cannot lock anybody out, and guessing 256 bits stays hopeless at any rate.
    """

    def __init__(
        self,
        keys: KeyRing,
        tokens: TokenReader | None = None,
        *,
        now: Callable[[], float] = time.time,
        wrong: Throttle | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._now = now
        self._wrong = Throttle() if wrong is None else wrong

    @property
    def is_open(self) -> bool:
        """Whether requests need nothing."""
        return self._tokens is None and not self._keys.is_needed

    def identify(self, credential: str | None, *, address: str) -> Caller:
        """Return who carries `credential`: a key or a token, None = nothing.

        Raises: Refusal: unauthorized, the same for missing, unknown, wrong, expired and revoked; too_many_wrong_keys.
        """
        if self.is_open:
            return ANYBODY
        if not credential:
            raise Refusal("unauthorized")
        caller = self._known(credential)
        if caller is not None:
            return caller
        wait = self._wrong.take(address_group(address), count=WRONG_KEYS_A_MINUTE, seconds=60.0)
        if wait:
            raise Refusal("too_many_wrong_keys", retry_after_s=wait)
        raise Refusal("unauthorized")

    def _known(self, credential: str) -> Caller | None:
        key = self._keys.find(credential)
        if key is not None:
            return _of_key(key) if key.is_valid(self._now()) else None
        token = None if self._tokens is None else self._tokens.read(credential)
        return None if token is None else _of_token(token)


def _of_key(key: Key) -> Caller:
    return Caller(f"key:{key.id}", key.scopes, key.models, key.rate, key.daily, key.output)


def _of_token(token: Token) -> Caller:
    return Caller(f"token:{token.subject}", token.scopes, token.models)
