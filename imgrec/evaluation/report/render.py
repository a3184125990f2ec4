"""Rendering of sections to one self-contained HTML file.

Jinja escapes every text. The content security policy of the page allows its one script by digest and nothing else, so a
name that looks like a script could not run even if it were not escaped.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgrec.core.html import page as html_page
from imgrec.evaluation.report.blocks import Section

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["embed", "render_page"]

HERE = Path(__file__).parent
SCRIPTS = ("dom", "theme", "table", "lines", "gallery", "matrix", "threshold", "parallel", "start")


def render_page(template: str, *, title: str, sections: Sequence[Section], **variables: Any) -> bytes:
    """Return a self-contained page as UTF-8. variables: what else the template uses."""
    from markupsafe import Markup

    script = _script()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = (
        _environment()
        .get_template(template)
        .render(title=title, sections=sections, script=Markup(script), script_digest=digest, **variables)
    )
    return html_page.encode(text)


def embed(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON for <script type="application/json">: ASCII without <, > and &.

    Raises:
        ValueError: NaN or infinity.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII: U+2028 and lone surrogates are \\uXXXX
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _environment() -> "Environment":
    from markupsafe import Markup

    return html_page.environment(HERE / "templates", HERE / "assets", embed=lambda data: Markup(embed(data)))


@cache
def _script() -> str:
    """Return the script between its tags, byte for byte: the policy holds its digest."""
    parts = ((HERE / "assets" / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    return f'\n"use strict";\n(() => {{\n{"".join(parts)}}})();\n'
