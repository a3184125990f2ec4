"""The page: a few files beside this one, and the headers under which a browser runs nothing else."""

from functools import cache
from pathlib import Path

from starlette.responses import Response

from imgrec.serve.http.refusals import Refusal

__all__ = ["PAGE_HEADERS", "page_file"]

_FOLDER = Path(__file__).parents[1] / "page"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "cache-control": "no-cache",
}


def page_file(name: str) -> Response:
    """Return one of the files. Raises: Refusal `not_found`: anything else, wherever it is."""
    content = _contents().get(name)
    if content is None:
        raise Refusal("not_found")
    return Response(content, media_type=_KINDS[Path(name).suffix], headers=PAGE_HEADERS)


@cache
def _contents() -> dict[str, bytes]:
    """Return all files by name, read once: a request names one of these, never a path."""
    return {path.name: path.read_bytes() for path in sorted(_FOLDER.iterdir()) if path.suffix in _KINDS}
