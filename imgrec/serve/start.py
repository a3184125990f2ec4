"""From settings to a running server, with as much as possible at the same time."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from imgrec.errors import MissingExtraError
from imgrec.serve.engine.service import Service
from imgrec.serve.http.tls import check_tls
from imgrec.serve.settings import Settings, check_start

__all__ = ["prepare"]


def prepare(settings: Settings) -> Callable[[], None]:
    """Check and load; return what listens and serves until told to stop. Raises: ImgrecError."""
    service = Service(settings)
    has_credentials = settings.jwt is not None or service.keys.has_valid_key(time.time())
    check_start(settings, has_credentials=has_credentials)
    if settings.tls_cert is not None and settings.tls_key is not None:
        check_tls(settings.tls_cert, settings.tls_key)
    service.launch()
    try:
        # onnxruntime reads a model without holding the interpreter; the web libraries are imported meanwhile.
        importing = threading.Thread(target=_import_web, daemon=True)
        importing.start()
        service.load()
        importing.join()
        try:
            from imgrec.serve.http.server import run
        except ImportError as error:
            raise MissingExtraError(str(error.name), "serve") from error
    except BaseException:
        service.pool.kill()
        raise
    return partial(run, service)


def _import_web() -> None:
    with suppress(ImportError):  # the import that follows says it
        import imgrec.serve.http.server  # noqa: F401
