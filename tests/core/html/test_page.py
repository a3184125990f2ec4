"""What all pages share: the head, the palette, and the escaping of text."""

import re
from pathlib import Path

import imgrec
from imgrec.core.html import page as html_page

PACKAGE = Path(imgrec.__file__).parent
HOSTILE = "</title><script>alert(1)</script>"


def head(tmp_path: Path, call: str) -> str:
    (tmp_path / "one.html").write_text(
        '{% import "head.html" as page %}\n<!doctype html>\n{{ page.head(' + call + ") }}\n"
    )
    return html_page.environment(tmp_path).get_template("one.html").render(title=HOSTILE)


def test_a_page_begins_with_its_type_and_forbids_requests_and_scripts(tmp_path):
    text = head(tmp_path, "title")
    assert text.startswith("<!doctype html>\n")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'" in text
    assert "script-src" not in text


def test_the_allowed_script_is_named_by_its_digest(tmp_path):
    assert "; script-src 'sha256-abc'; " in head(tmp_path, "title, 'abc'")


def test_a_title_is_text(tmp_path):
    assert "<script>" not in head(tmp_path, "title")


def test_every_page_has_the_shared_palette_and_a_colour_is_defined_once(tmp_path):
    text = head(tmp_path, "title")
    defined = re.findall(r"(--[\w-]+): light-dark", text)
    assert {"--page", "--ink", "--accent", "--good", "--bad", "--c1"} <= set(defined)
    assert len(defined) == len(set(defined))


def test_only_head_html_has_a_content_security_policy():
    pages = [page for page in PACKAGE.rglob("*.html") if "serve" not in page.parts]
    assert len(pages) >= 6
    assert [page.name for page in pages if "Content-Security-Policy" in page.read_text()] == ["head.html"]
