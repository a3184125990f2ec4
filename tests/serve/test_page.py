"""The page in a real browser, with a real server behind it: what a person does, and what nobody may do to them."""

import io
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.conformal import ConformalRule
from imgrec.serve.access.keys import add_key, revoke_key
from serving import Server, started
from small_bundle import COLOURS, colour_bundle, sample_image
from visitor import Visit

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.slow

EVIL = "<script>alert(1)</script>"
RED, BLUE, GREY = sample_image(250, 20, 30), sample_image(20, 30, 250), sample_image(90, 90, 90)
UNDECIDED = sample_image(135, 130, 0)  # 0.62 and 0.38


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", *camera]
    with playwright.sync_playwright() as browsers:
        found = browsers.chromium.launch(executable_path=chromium, args=options)
        yield found
        found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    lists = {"lac_90": ConformalRule("lac", 0.9, threshold=0.3, num_samples=99)}
    hostile = (EVIL, "<img src=x onerror=alert(2)>", "\u202eeulb")
    colour_bundle(folder / "colours.onnx")
    colour_bundle(folder / "evil.onnx", names=hostile, decisions=Decisions("single", hostile, conformal=lists))
    colour_bundle(folder / "several.onnx", sharpness=0.02, decisions=Decisions("multilabel", COLOURS))
    return folder


@pytest.fixture(scope="module")
def keys(folder: Path) -> dict[str, str]:
    """Keys by what they are for."""
    given: dict[str, dict[str, Any]] = {
        "full": {"scopes": ["predict", "explain"]},
        "colours": {"scopes": ["predict"], "models": ["colours"]},
        "label": {"scopes": ["predict"], "output": "label"},
        "topk": {"scopes": ["predict"], "output": "topk"},
        "slow": {"scopes": ["predict"], "rate": (2, 50)},
        "few": {"scopes": ["predict"], "daily": 1},
        "metrics": {"scopes": ["metrics"]},
    }
    return {name: add_key(folder / "keys.json", name=name, **how)[1] for name, how in given.items()}


@pytest.fixture(scope="module")
def server(folder: Path, keys: dict[str, str]) -> Iterator[Server]:
    models = [f"{name}={folder / name}.onnx" for name in ("colours", "evil", "several")]
    options = ["--keys", str(folder / "keys.json"), "--decoders", "1", "--threads", "1", "--max-body-mb", "1"]
    with started(folder, [*models, *options], tag="page") as server:
        yield server


@pytest.fixture(scope="module")
def shared_visit(browser: Any, server: Server, keys: dict[str, str]) -> Iterator[Visit]:
    with Visit(browser, server, keys["full"]) as visit:
        yield visit


@pytest.fixture
def visit(shared_visit: Visit) -> Iterator[Visit]:
    """A visitor who is signed in; the test leaves without a complaint of the browser."""
    shared_visit.page.locator("#model").select_option("colours")
    yield shared_visit
    assert shared_visit.said == []


def test_a_wrong_key_is_told_and_a_right_one_opens(browser, server, keys):
    with Visit(browser, server) as visit:
        visit.page.locator("#key").fill("imgrec_0123_wrong")
        visit.page.locator("#sign-in button").click()
        playwright.expect(visit.page.locator("#key-error")).to_have_text(re.compile("not valid"))
        visit.page.locator("#key").fill("schlüssel")
        visit.page.locator("#key").press("Enter")
        playwright.expect(visit.page.locator("#key-error")).to_have_text(re.compile("not a key"))
        visit.page.locator("#key").fill(keys["metrics"])
        visit.page.locator("#key").press("Enter")
        playwright.expect(visit.page.locator("#key-error")).to_have_text(re.compile("scope predict"))
        visit.sign_in(keys["full"])
        assert visit.page.evaluate("document.activeElement.id") == "work-title"


def test_the_key_is_in_no_address_and_stored_only_if_wanted(browser, server, keys):
    with Visit(browser, server, keys["full"]) as visit:
        visit.choose(RED)
        stored = "[sessionStorage.length, localStorage.length, document.cookie]"
        assert visit.page.evaluate(stored) == [0, 0, ""]
        visit.page.reload()
        visit.page.locator("#keep").check()
        visit.sign_in(keys["full"])
        assert visit.page.evaluate(stored) == [1, 0, ""]
        visit.page.reload()
        visit.page.locator("#choose").wait_for()
        visit.page.locator("#sign-out").click()
        assert visit.page.evaluate(stored) == [0, 0, ""]
        assert visit.page.evaluate("document.activeElement.id") == "key"
        assert not any(keys["full"][-20:] in address for address in visit.addresses)


def test_signing_out_forgets_the_images(browser, server, keys):
    with Visit(browser, server, keys["full"]) as visit:
        visit.choose(RED)
        visit.page.locator("#sign-out").click()
        visit.sign_in(keys["full"])
        assert visit.page.locator(".card, .thumbnails li").count() == 0


def test_a_revoked_key_leads_back_to_signing_in(browser, server, folder):
    key, secret = add_key(folder / "keys.json", name="soon gone", scopes=["predict"])
    with Visit(browser, server, secret) as visit:
        revoke_key(folder / "keys.json", key.id)
        visit.page.locator("#files").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": RED})
        playwright.expect(visit.page.locator("#key-error")).to_have_text(re.compile("revoked"))


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_an_image_that_is_dropped_or_pasted_is_answered(how, visit):
    visit.offer(how, f"{how}.png", BLUE)
    playwright.expect(visit.page.locator(".card .from").first).to_have_text(re.compile(how))
    (card,) = visit.cards(1)
    assert re.search(
        r"blue\s+Confidence > 99\u00a0%\.\s+blue\s+> 99\u00a0%\s+green\s+< 1\u00a0%\s+red\s+< 1\u00a0%", card
    )
    assert visit.page.locator(".bars li.chosen").count() == 1
    assert visit.page.locator(".card img").evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
    visit.said_aloud(f"{how}.png: blue. Confidence > 99\u00a0%.")


def test_an_image_is_shown_upright(visit):
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (40, 30), (250, 20, 30)).save(buffer, "JPEG", exif=exif)
    visit.choose(buffer.getvalue())
    size = "image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])"
    assert visit.page.locator(".card img").evaluate(size) == [30, 40]


def test_what_is_no_file_is_not_taken(visit):
    visit.page.evaluate("""() => {
      const data = new DataTransfer();
      data.setData("text/uri-list", "https://example.org/a.png");
      document.body.dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
    }""")
    assert "no files" in visit.text("#intake-error")
    visit.choose(RED)
    assert visit.text("#intake-error") == ""


def test_each_of_several_has_its_own_response_or_error(visit):
    files = [RED, BLUE[:-60], b"name,age\nann,3\n", b"", bytes(1_100_000), GREY, *[BLUE] * 20]  # more than one request
    cards = visit.choose(*files)
    assert "Confidence > 99" in cards[0]
    assert "damaged" in cards[1] or "ends too early" in cards[1]
    assert "not an image file" in cards[2]
    assert "The file is empty" in cards[3]
    assert "larger than this server takes" in cards[4]
    assert re.search(
        r"Rejected\s+Confidence is too low for the rule risk_5. The most probable class is (red|green|blue)", cards[5]
    )
    assert all("blue" in card for card in cards[6:])
    visit.said_aloud("and 21 more")


def test_names_that_are_programs_stay_names(visit):
    visit.page.locator("#model").select_option("evil")
    assert EVIL in visit.text("#about-model")
    (card,) = visit.choose(RED, names=("<img src=x onerror=alert(3)>.png",))
    assert card.count(EVIL) == 3
    assert "<img src=x onerror=alert(3)>.png" in card
    assert "\\u202eeulb" in card
    assert visit.page.locator("main script, img[src=x]").count() == 0


def test_close_classes_and_the_prediction_set_are_named(visit):
    visit.page.locator("#model").select_option("evil")
    (card,) = visit.choose(UNDECIDED)
    second = "<img src=x onerror=alert(2)>"
    assert f"Undecided between {EVIL} and {second}." in card
    assert f"Could be: {EVIL} or {second}." in card
    assert "contains the true class for 90\u00a0% of images" in visit.text("#guarantee")
    assert "An image of anything else is assigned to one of these classes too" in visit.text("#about-model")


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        ([0.97, 0.03], "Confidence 97\u00a0%."),
        ([0.995, 0.005], "Confidence > 99\u00a0%."),
        ([0.5, 0.2, 0.2, 0.1], "Confidence 50\u00a0%."),
        ([0.4, 0.3, 0.2, 0.1], "Confidence 40\u00a0%. Undecided between 0, 1 and 2."),
        ([0.2, 0.2, 0.2, 0.2, 0.09], "Confidence 20\u00a0%. 4 classes are about as probable."),
        ([0.25, 0.25, 0.25, 0.25], "Confidence 25\u00a0%. Many classes are about as probable."),
        ([], ""),
    ],
)
def test_probabilities_become_text(shares, text, visit):
    code = """([prediction, model]) =>
        import("/page/text.js").then(({describe}) => describe(prediction, model).confidence)"""
    prediction = _prediction(shares)
    assert visit.page.evaluate(code, [prediction, {"task": "single", "prediction_sets": {}}]) == text


def _prediction(shares):
    probabilities = {str(index): share for index, share in enumerate(shares)}
    return {"prediction": "0", "top_classes": list(probabilities), "probabilities": probabilities}


def test_many_classes_are_folded(visit):
    text = """([entry]) => import("/page/card.js").then(({makeCard}) => {
      const card = makeCard(entry, {});
      return [card.querySelectorAll(".bars li").length, card.querySelector(".rest")?.textContent ?? ""];
    })"""
    model = {"task": "single", "prediction_sets": {}, "name": "m"}
    entry = {"id": 0, "name": "a", "state": "predicted", "model": model, "prediction": _prediction([0.001] * 1000)}
    assert visit.page.evaluate(text, [entry]) == [5, "995 more classes"]
    assert visit.page.evaluate(text, [{**entry, "isWhole": True}]) == [1000, "Fewer classes"]


def test_several_labels_are_listed(visit):
    visit.page.locator("#model").select_option("several")
    none_is_sure, all_are = visit.choose(sample_image(0, 0, 5), sample_image(250, 250, 250))
    assert re.search(r"Undecided about (red|green|blue), (red|green|blue) and (red|green|blue)", none_is_sure)
    assert "red, green and blue" in all_are
    assert all_are.count(", present") == 3


def test_a_saliency_map_comes_on_demand_and_goes_again(visit):
    visit.choose(RED)
    assert visit.page.locator("figure").count() == 1
    button = visit.page.locator("button.heat")
    button.focus()
    button.press("Enter")
    playwright.expect(visit.page.locator("figure")).to_have_count(2)
    heat = visit.page.locator("figure img").last
    assert heat.get_attribute("alt") == "Saliency map for red"
    assert heat.evaluate("image => image.decode().then(() => image.naturalWidth)") == 16
    visit.said_aloud("saliency map is shown")
    playwright.expect(button).to_be_focused()
    playwright.expect(button).to_have_attribute("aria-pressed", "true")
    button.press("Enter")
    playwright.expect(visit.page.locator("figure")).to_have_count(1)


def test_a_key_without_the_scope_is_told_why_there_is_no_saliency_map(browser, server, keys):
    with Visit(browser, server, keys["colours"]) as visit:
        assert not visit.page.locator("#model").is_visible()
        visit.choose(RED)
        visit.page.locator("button.heat").click()
        playwright.expect(visit.page.locator(".card .trouble")).to_have_text(re.compile("scope explain"))


def test_earlier_images_can_be_opened_again_and_forgotten(browser, server, keys):
    with Visit(browser, server, keys["full"]) as visit:
        visit.choose(RED)
        assert not visit.page.locator("#history").is_visible()
        visit.choose(BLUE)
        assert visit.page.locator(".thumbnails li").all_inner_texts() == ["red\nConfidence > 99\u00a0%."]
        visit.page.locator(".thumbnails button").press("Enter")
        assert visit.text(".card h3") == "red"
        assert visit.page.evaluate("document.activeElement.textContent") == "red"
        assert visit.text(".thumbnails .what") == "blue"
        visit.page.locator("#forget").click()
        assert visit.page.locator(".thumbnails li").count() == 0
        assert visit.page.locator(".card").count() == 1


def test_all_can_be_done_from_the_keyboard(browser, server, keys):
    with Visit(browser, server) as visit:
        page = visit.page
        page.locator("#sign-in").wait_for()
        focused = "document.activeElement.id || document.activeElement.className"
        order = []
        for _ in range(5):
            page.keyboard.press("Tab")
            order.append(page.evaluate(focused))
        assert order == ["skip", "theme", "key", "keep", "main"]
        page.locator("#key").focus()
        page.keyboard.type(keys["full"])
        page.keyboard.press("Enter")
        page.locator("#choose").wait_for()
        playwright.expect(page.locator("#work-title")).to_be_focused()
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "model"
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "choose"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        with page.expect_file_chooser() as chosen:
            page.keyboard.press("Space")
        chosen.value.set_files({"name": "a.png", "mimeType": "image/png", "buffer": RED})
        visit.cards(1)
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "camera-open"
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "heat"
        page.keyboard.press("Enter")
        playwright.expect(page.locator("figure")).to_have_count(2)


def test_the_camera_takes_an_image(visit):
    visit.page.locator("#camera-open").click()
    playwright.expect(visit.page.locator("#camera-take")).to_be_focused()
    playwright.expect(visit.page.locator("#camera-image")).not_to_have_js_property("videoWidth", 0)
    visit.page.locator("#camera-take").click()
    playwright.expect(visit.page.locator(".card .from").first).to_have_text(re.compile("camera"))
    visit.cards(1)
    visit.page.locator("#camera-take").press("Escape")
    assert not visit.page.locator("#camera").is_visible()
    playwright.expect(visit.page.locator("#camera-open")).to_be_focused()


def test_without_a_camera_the_page_says_so(browser, server, keys):
    with Visit(browser, server) as visit:
        visit.page.add_init_script("navigator.mediaDevices.enumerateDevices = async () => []")
        visit.page.reload()
        visit.sign_in(keys["full"])
        assert not visit.page.locator("#camera-open").is_visible()
        assert visit.text("#camera-absent") == "No camera was found."


def test_a_key_may_hide_probabilities(browser, server, keys):
    with Visit(browser, server, keys["label"]) as visit:
        (card,) = visit.choose(RED)
        assert card.split("\n\n") == ["0.png \u00b7 colours", "red", "Saliency map"]
    with Visit(browser, server, keys["topk"]) as visit:
        visit.choose(RED)
        assert visit.page.locator(".ranked li").all_inner_texts()[0] == "red"
        assert visit.page.locator(".bars").count() == 0


def test_too_many_requests_are_waited_for_with_a_countdown(browser, server, keys):
    with Visit(browser, server, keys["slow"]) as visit:
        visit.choose(RED)  # the second request of two: signing in was the first
        visit.page.locator("#files").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": RED})
        said = visit.page.locator(".card .trouble")
        playwright.expect(said).to_have_text(re.compile(r"Too many requests.* again in \d+\s*s"))
        before = said.inner_text()
        playwright.expect(said).not_to_have_text(before)


def test_a_day_that_is_used_up_says_when_it_starts_again(browser, server, keys):
    with Visit(browser, server, keys["few"]) as visit:
        visit.choose(RED)
        (card,) = visit.choose(BLUE)
        assert re.search(r"is used up. It starts again in \d+", card)


def test_a_server_that_is_gone_is_told_and_can_be_asked_again(browser, folder):
    with (
        started(
            folder, [str(folder / "colours.onnx"), "--keys", str(folder / "none.json"), "--decoders", "1"]
        ) as server,
        Visit(browser, server) as visit,
    ):
        visit.page.locator("#choose").wait_for()  # a server without keys asks for none
        assert not visit.page.locator("#sign-out").is_visible()
        server.stop()
        (card,) = visit.choose(RED)
        assert "The server does not respond" in card
        visit.page.get_by_role("button", name="Try again").click()
        visit.cards(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_sideways_and_the_theme_can_be_switched(scheme, browser, server, keys):
    with Visit(browser, server, width=390, color_scheme=scheme, has_touch=True, is_mobile=True) as visit:
        width = "document.documentElement.scrollWidth"
        visit.page.locator("#key").wait_for()
        assert visit.page.evaluate(width) == 390
        visit.sign_in(keys["full"])
        visit.page.locator("#model").select_option("evil")
        visit.choose(RED, b"x" * 50, names=("a" * 200 + ".png", "b.txt"))
        visit.choose(BLUE)
        assert visit.page.evaluate(width) == 390
        background = "getComputedStyle(document.body).backgroundColor"
        seen = {visit.page.evaluate(background)}
        for _ in range(2):
            visit.page.locator("#theme").click()
            seen.add(visit.page.evaluate(background))
        assert len(seen) == 2
        assert visit.text("#theme") == "Theme: dark"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(scheme, browser, server, keys):
    script = Path(os.environ.get("IMGREC_AXE", ""))
    if not script.is_file():
        pytest.skip("IMGREC_AXE does not name axe.min.js (npm install axe-core)")
    with Visit(browser, server, color_scheme=scheme) as visit:
        visit.page.locator("#key").wait_for()
        faults = visit.faults(script)
        visit.sign_in(keys["full"])
        faults += visit.faults(script)
        visit.choose(RED)
        visit.page.locator("button.heat").click()
        playwright.expect(visit.page.locator("figure")).to_have_count(2)
        faults += visit.faults(script)
        visit.choose(GREY, UNDECIDED, b"x")
        faults += visit.faults(script)
    assert [fault for fault in faults if fault["impact"] in ("serious", "critical")] == []
