"""audit.html: self-contained, harmless whatever the names, complete where it is cut."""

import base64
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit_data import make_audit, make_facts, sample_image, suspect, write_folders
from imgrec.auditing.findings import Audit, Case, Section
from imgrec.auditing.output.explanations import EXPLANATIONS
from imgrec.auditing.output.page import NUM_LISTED, NUM_SHOWN, command_fields, to_html, verdict
from imgrec.data.images.collections import FileImages
from imgrec.data.samples import Samples

FIELDS = {"target": "photos", "data": "data=folder data.root=photos", "output": "audit"}
EVIL = "<script>alert(1)</script>"
GPS = b"CANARY-48.8584N-2.2945E"


class Page(HTMLParser):
    """The elements of a page: (tag, attributes), and the text outside of styles."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._in_style = False
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._in_style else data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def audit_of(
    folder: Path, names: list[str], *, more: list[Section] = (), class_names=("cat", "dog")
) -> tuple[Audit, dict]:
    """Return the audit of images in a folder, and its parts."""
    write_folders(folder, {name: sample_image(number, size=100) for number, name in enumerate(names)})
    facts = make_facts([("all", name, 0) for name in names], class_names=class_names)
    paths = [folder / name for name in names]
    parts = {"all": Samples(names, FileImages(paths), np.zeros(len(names), dtype=np.int64))}
    return make_audit(facts, more=more), parts


def outlier(*rows: int, text: str = "odd") -> Section:
    return Section("outliers", [Case(rows=(row,), severity="info", text=text, entry={}) for row in rows])


def page_of(folder: Path, names: list[str], **options) -> Page:
    return Page(to_html(*audit_of(folder, names, **options), fields=FIELDS))


def test_a_name_that_looks_like_a_script_is_text(tmp_path):
    more = [outlier(0, text=EVIL), suspect(0, label=1)]
    page = page_of(tmp_path, ["a'\"><img src=x onerror=alert(1)>.png"], more=more, class_names=[EVIL, "dog"])
    assert page.all("script") == []
    assert EVIL in page.text
    assert all((image["src"] or "").startswith("data:image/") for image in page.all("img"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def test_the_page_s_own_policy_forbids_scripts_and_requests(tmp_path):
    [policy] = [one["content"] for one in page_of(tmp_path, ["a.png"]).all("meta") if "http-equiv" in one]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_nothing_in_the_page_leads_outside(tmp_path):
    page = page_of(tmp_path, ["a.png", "b.png"], more=[outlier(0, 1)])
    targets = [
        value or "" for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert targets
    assert all(target.startswith(("data:", "#")) for target in targets)


def test_metadata_of_files_is_not_in_the_page(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = GPS.decode()
    exif.get_ifd(0x8825)[29] = GPS.decode()
    path = tmp_path / "a.jpg"
    Image.fromarray(sample_image(0, size=300)).save(path, exif=exif, icc_profile=GPS * 10, comment=GPS)
    assert GPS in path.read_bytes()
    facts = make_facts([("all", "a.jpg", 0)])
    parts = {"all": Samples(["a.jpg"], FileImages([path]), np.zeros(1, dtype=np.int64))}
    page = to_html(make_audit(facts, more=[outlier(0)]), parts, fields=FIELDS)
    assert GPS not in page
    [thumbnail] = re.findall(rb"base64,([\w+/=]+)", page)
    assert b"CANARY" not in base64.b64decode(thumbnail)


def test_every_anchor_leads_somewhere(tmp_path):
    page = page_of(tmp_path, ["a.png"], more=[outlier(0), suspect(0, label=1)])
    anchors = {str(link["href"])[1:] for link in page.all("a")}
    assert anchors == {"outliers", "suspected_labels"}
    assert anchors <= {attributes.get("id") for _, attributes in page.elements}


def test_a_long_list_is_cut_with_a_count_of_the_rest(tmp_path):
    names = [f"{number}.png" for number in range(NUM_LISTED + 25)]
    page = page_of(tmp_path, names, more=[outlier(*range(len(names)))])
    assert len(page.all("figure")) == NUM_LISTED
    assert f"Show {NUM_LISTED - 2 * NUM_SHOWN} more of {len(names)}" in page.text
    assert "25 more are in audit.json" in page.text


def test_a_section_has_meaning_harm_advice_and_command(tmp_path):
    page = page_of(tmp_path, ["a.png"], more=[outlier(0)])
    about = EXPLANATIONS["outliers"]
    for text in (about.meaning, about.harm, about.advice):
        assert text in page.text
    assert "imgrec audit photos --apply audit/plan.csv --output clean.csv" in page.text


def test_no_table_is_offered_for_images_that_are_in_no_files(tmp_path):
    audit, parts = audit_of(tmp_path, ["a.png"], more=[outlier(0)])
    audit.facts.file_sha256[0] = ""
    assert "--apply" not in Page(to_html(audit, parts, fields=FIELDS)).text


def test_a_check_that_did_not_run_is_not_listed_as_passed(tmp_path):
    audit, parts = audit_of(tmp_path, ["a.png"])
    before = Page(to_html(audit, parts, fields=FIELDS)).text
    object.__setattr__(audit, "not_run", {"leaks": "there are no splits"})
    after = Page(to_html(audit, parts, fields=FIELDS)).text
    assert EXPLANATIONS["leaks.exact"].clean in before
    assert EXPLANATIONS["leaks.exact"].clean not in after
    assert "there are no splits" in after


@pytest.mark.parametrize("key", EXPLANATIONS)
def test_the_command_of_an_explanation_has_only_known_fields(key):
    command = EXPLANATIONS[key].command.format(pattern="'^(x)'", **FIELDS)
    assert "{" not in command


def test_the_verdict_names_the_worst(tmp_path):
    facts = make_facts([("train", "a", 0), ("test", "b", 0)], code=["truncated", ""])
    headline, detail = verdict(make_audit(facts, more=[suspect(1, label=1)]))
    assert headline == "Fix the errors before training"
    assert detail == "Broken files: 1."
    assert verdict(make_audit(make_facts([("all", "a", 0)]))) == ("No findings", "All checks passed.")


def test_the_fields_of_a_command_are_quoted_for_a_shell(tmp_path):
    folder = tmp_path / "my photos; rm"
    folder.mkdir()
    filled = command_fields(target=str(folder), overrides=["data.exclude=['*.gif']"], output=Path("a b"))
    assert filled["target"].startswith(f"'{folder}' ")
    assert filled["data"].startswith("data=folder 'data.root=")
    assert filled["output"] == "'a b'"


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_it_without_errors_requests_or_scrolling_sideways(width, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    name = "a-name-that-goes-on-and-on-" * 6 + "<script>document.title='x'</script>.png"
    audit, parts = audit_of(tmp_path, [name.replace("/", "_"), "b.png"], more=[outlier(0, 1), suspect(0, label=1)])
    (tmp_path / "audit.html").write_bytes(to_html(audit, parts, fields=FIELDS))
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.extend([request.url] if request.url[:5] == "http:" else []))
        page.goto((tmp_path / "audit.html").as_uri())
        assert page.title() == "Audit of photos"
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        browser.close()
    assert said == []
