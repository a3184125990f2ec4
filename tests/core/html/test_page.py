"""What all pages have in common: their head, and the escaping of texts."""

from pathlib import Path

import pytest

from imgrec.core.html import page as html_page

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


def test_the_one_script_that_is_allowed_is_named_by_its_digest(tmp_path):
    assert "; script-src 'sha256-abc'; " in head(tmp_path, "title, 'abc'")


def test_a_title_is_text(tmp_path):
    assert "<script>" not in head(tmp_path, "title")


@pytest.mark.parametrize("folder", ["audit", "compare", "explain", "report"])
def test_no_page_has_a_head_of_its_own(folder):
    pages = list((Path(html_page.__file__).parent / folder / "templates").glob("*.html"))
    assert pages
    assert not [page for page in pages if "Content-Security-Policy" in page.read_text()]
