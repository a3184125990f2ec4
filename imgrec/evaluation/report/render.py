"""From sections to one HTML file that asks for nothing outside itself.

Jinja escapes every text. The one script of the page is allowed by its digest in the page's own policy, so that a name
that looks like a script has nowhere to run even if it got in unescaped.
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

TEMPLATES = Path(__file__).parent / "templates"
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("dom", "theme", "table", "lines", "gallery", "matrix", "threshold", "parallel", "start")
STYLES = ("page", "blocks", "print")


def render_page(template: str, *, title: str, sections: Sequence[Section], **words: Any) -> bytes:
    """Return a page: UTF-8, self-contained. words: what else the template takes."""
    from markupsafe import Markup

    script = _script()
    text = (
        _environment()
        .get_template(template)
        .render(
            title=title,
            sections=sections,
            script=Markup(script),
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            style=Markup(_joined(STYLES, "css")),
            **words,
        )
    )
    return html_page.encode(text)


def embed(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return JSON that can stand in <script type="application/json">: plain ASCII, without <, > and &.

    Raises: ValueError: NaN or infinity, which JSON lacks.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))  # ASCII: U+2028 and lone surrogates are \\uXXXX
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _environment() -> "Environment":
    from markupsafe import Markup

    return html_page.environment(TEMPLATES, embed=lambda data: Markup(embed(data)))


@cache
def _script() -> str:
    """Return the script between its tags, byte for byte: the policy names its digest."""
    return f'\n"use strict";\n(() => {{\n{_joined(SCRIPTS, "js")}}})();\n'


@cache
def _joined(names: tuple[str, ...], kind: str) -> str:
    return "".join((ASSETS / f"{name}.{kind}").read_text(encoding="utf-8") for name in names)
