"""From settings to a running server, with as much as possible at the same time."""

import threading
import time

from imgrec.serve.service import Service
from imgrec.serve.settings import Settings, check_start

__all__ = ["serve"]


def serve(settings: Settings) -> None:
    """Check, load, listen, and serve until told to stop. Raises: ImgrecError."""
    service = Service(settings)
    has_credentials = settings.jwt is not None or service.keys.has_valid_key(time.time())
    check_start(settings, has_credentials=has_credentials)
    service.launch()
    try:
        # onnxruntime reads a model without holding the interpreter; the web libraries are imported meanwhile.
        importing = threading.Thread(target=_import_web, daemon=True)
        importing.start()
        service.load()
        importing.join()
    except BaseException:
        service.pool.kill()
        raise
    from imgrec.serve.server import run

    run(service)


def _import_web() -> None:
    import imgrec.serve.server  # noqa: F401
