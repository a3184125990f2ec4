"""report.html: built from a folder alone, complete where files are missing or damaged, safe against hostile names."""

import json
import re
from pathlib import Path

import pytest

from imgrec.errors import DataError
from imgrec.evaluation.report.evaluation_folder import RENAMED
from imgrec.evaluation.report.render import embed
from imgrec.evaluation.report.report import write_report
from imgrec.evaluation.report.sections.numbers import percent
from report_data import EVIL, EVIL_NAMES, PARTS, make_predictions, write_folder

SECTIONS = {
    "metrics", "training", "confusion", "per-class", "curves", "calibration", "threshold", "decisions", "mistakes",
    "slices", "saliency", "robustness", "attacks", "ood", "tta", "baselines", "dataset", "provenance", "model-card",
}  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_folder(tmp_path_factory.mktemp("run") / "evaluation", make_predictions(class_names=EVIL_NAMES))
    return write_report(folder).read_text(encoding="utf-8")


def sections(page: str) -> set[str]:
    return set(re.findall(r'<section id="([\w-]+)"', page))


def test_every_section_is_there_where_every_file_is(full):
    assert sections(full) == SECTIONS


def test_a_hostile_name_is_nowhere_markup(full):
    assert EVIL not in full
    assert "<img src=x" not in full
    assert "&lt;script&gt;alert(1)" in full
    assert "\u2028" not in full
    assert "{{ 7 * 7 }}" in full


def test_only_our_own_script_is_in_the_page_and_the_policy_names_it(full):
    import base64
    import hashlib

    scripts = re.findall(r"<script>(.*?)</script>", full, re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="(.*?)"', full)[1]
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert set(re.findall(r"<script[^>]*>", full)) == {"<script>", '<script type="application/json">'}


def test_a_rule_that_accepts_every_prediction_has_no_threshold(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(), images=False)
    decisions = json.loads(json.dumps(PARTS["decisions.json"]))
    decisions["reject"][0]["threshold"] = -1.0
    (folder / "decisions.json").write_text(json.dumps(decisions))
    page = write_report(folder).read_text(encoding="utf-8")
    assert re.search(r'data-order="-1.0"><span class="text">none</span>', page)
    assert "-100.0" not in page


def test_nothing_leads_outside(full):
    targets = re.findall(r'(?:src|href)="(.*?)"', full)
    assert targets
    assert all(target.startswith(("data:", "#")) for target in targets)


def test_data_for_the_script_is_json_without_markup(full):
    blocks = re.findall(r'<script type="application/json">(.*?)</script>', full, re.DOTALL)
    assert blocks
    assert all(not re.search(r"[<>&\u2028]", block) for block in blocks)
    assert any(EVIL in json.loads(block).get("names", []) for block in blocks)


def test_what_stands_in_a_data_block_is_ascii_and_reads_back():
    text = embed([EVIL, "&\u2028", "\udcff"])
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == [EVIL, "&\u2028", "\udcff"]
    with pytest.raises(ValueError, match="JSON"):
        embed([float("nan")])


def test_the_headline_is_the_accuracy_with_its_interval(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions())
    scores = json.loads((folder / "metrics.json").read_text())
    low, high = scores["intervals"]["accuracy"]
    page = write_report(folder).read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert f'<p class="value">{100 * scores["accuracy"]:.1f} %</p>' in page
    assert f"95 % interval {100 * low:.1f} to {100 * high:.1f} %" in page


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_file_is_listed_with_the_command_that_makes_it(name, folder):
    before = (folder / name).read_bytes()
    (folder / name).unlink()
    page = write_report(folder).read_text()
    (folder / name).write_bytes(before)
    if name != "provenance.json":
        assert f"Not run: {name} is not in this folder." in page
    assert re.search(rf"{name} is not in this folder.*? <code>(python evaluate\.py|imgrec baselines)", page)


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("content", ["[]", '{"format": 1}', "\udcff"])
def test_a_damaged_file_is_reported_and_the_rest_is_there(name, content, folder):
    before = (folder / name).read_bytes()
    (folder / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    page = write_report(folder).read_text()
    (folder / name).write_bytes(before)
    assert 'class="absent damaged"' in page
    assert re.search(
        rf"{name} (cannot be read|is not a JSON object|is damaged or was written by another version|has format 2)", page
    )
    assert len(sections(page)) >= len(SECTIONS) - 2


def test_files_with_the_keys_of_earlier_releases_give_the_same_page(folder):
    before = write_report(folder).read_text()
    for name in ("ood.json", "slices.json", "baselines.json"):
        text = (folder / name).read_text()
        for old, new in RENAMED.items():
            text = text.replace(f'"{new}":', f'"{old}":')
        (folder / name).write_text(text)
    assert write_report(folder).read_text() == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("run") / "evaluation", make_predictions(), images=False)


def test_without_predictions_the_metrics_are_shown_and_the_rest_reports_the_problem(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions())
    (folder / "predictions.parquet").write_bytes(b"PAR1")
    page = write_report(folder).read_text()
    assert "cannot be read as a Parquet file" in page
    assert {"metrics", "per-class", "dataset"} <= sections(page)
    assert "confusion" not in sections(page)


def test_missing_metrics_are_computed_from_the_predictions(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(), parts=False)
    before = write_report(folder).read_text()
    (folder / "metrics.json").unlink()
    after = write_report(folder).read_text()
    value = re.compile(r'<p class="value">.*?</p>')
    assert value.search(before)[0] == value.search(after)[0]


def test_a_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"not the folder of an evaluation.*Give the folder that holds"):
        write_report(tmp_path)


def test_missing_images_are_reported_with_the_command_that_adds_them(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(), parts=False, images=False)
    page = write_report(folder).read_text()
    assert "imgrec report FOLDER --images PHOTOS" in page
    (folder / "thumbnails.parquet").write_bytes(b"damaged")
    assert "imgrec report FOLDER --images PHOTOS" in write_report(folder).read_text()


def test_thumbnails_are_in_the_page(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(sure=1.0), parts=False)
    page = write_report(folder).read_text()
    assert page.count('<img src="data:image/png;base64,') > 3
    assert "--images" not in page


def test_names_are_shown_without_the_folder_that_all_share(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(sure=1.0), parts=False)
    page = write_report(folder).read_text()
    assert "main/image-" in page
    assert "/data/photos/main/image-" not in page


def test_several_labels_have_their_own_sections(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(several=True), parts=False)
    page = write_report(folder).read_text()
    assert "Subset accuracy" in page
    assert "true negatives" in page
    assert 'data-chart="operating"' in page and 'data-chart="selective"' not in page
    assert 'data-chart="matrix"' not in page


def test_two_classes_have_an_operating_point(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(class_names=("no", "yes")), parts=False)
    page = write_report(folder).read_text()
    assert 'data-chart="operating"' in page and 'data-chart="selective"' in page


def test_a_model_without_mistakes_is_no_error(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(sure=60.0), parts=False)
    assert "No incorrect predictions." in write_report(folder).read_text()


def test_a_failed_check_of_an_attack_is_a_warning(full):
    assert re.search(r'class="paragraph warning".*?A check of the attack failed: gradients are stronger', full)


def test_the_card_names_the_smallest_effective_perturbation(full):
    assert "RayS, labels only" in full
    assert "An adversarial perturbation of 2/255 reduces it to 30.0" in full


def test_a_violated_guarantee_is_marked(full):
    assert re.search(r'class="text bad"><span class="text">violated', full)


def test_a_panel_outside_the_folder_is_not_read(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(), images=False)
    secret = tmp_path / "secret.png"
    secret.write_bytes((folder / "explain" / "0.png").read_bytes())
    content = json.loads((folder / "explain.json").read_text())
    content["images"][0]["png"] = "../secret.png"
    (folder / "explain.json").write_text(json.dumps(content))
    page = write_report(folder).read_text()
    assert "data:image/webp" not in page
    assert "1 more maps: see the folder explain." in page


def test_the_card_lists_what_was_not_tested(tmp_path):
    folder = write_folder(tmp_path / "evaluation", make_predictions(), parts=False)
    page = write_report(folder).read_text()
    assert "adversarial robustness, out-of-distribution images, saliency maps, baselines" in page


def test_a_large_table_stays_below_15_mb(tmp_path):
    import numpy as np

    random = np.random.default_rng(0)
    predictions = make_predictions(10_000, [f"class {index}" for index in range(100)], sure=2.5)
    folder = tmp_path / "evaluation"
    from imgrec.evaluation.metrics.compute import compute_metrics
    from imgrec.evaluation.report.evaluation_folder import EvaluationFolder
    from imgrec.evaluation.report.report import to_html

    thumbnail = "data:image/jpeg;base64," + "A" * 7_000
    thumbnails = dict.fromkeys(random.choice(predictions.names, 900, replace=False).tolist(), thumbnail)
    scores = json.loads(json.dumps(compute_metrics(predictions)))
    page = to_html(EvaluationFolder(folder, predictions, "", scores, thumbnails))
    assert len(page) < 15_000_000


def test_a_saliency_map_of_several_labels_names_them_and_its_target(tmp_path):
    write_folder(tmp_path, make_predictions(several=True))
    content = json.loads((tmp_path / "explain.json").read_text())
    row = {**content["images"][0], "label": ["ant", "bee"], "prediction": ["ant", "bee"], "target": "bee"}
    none = {**row, "prediction": [], "label": ["cat"], "target": "cat"}
    (tmp_path / "explain.json").write_text(json.dumps({**content, "images": [row, none]}))
    text = write_report(tmp_path).read_text()
    assert f"{row['verdict']}: prediction ant, bee, map of bee<" in text
    assert f"{row['verdict']}: prediction none, label cat, map of cat<" in text
    assert "[&#39;ant&#39;" not in text


def test_calibration_of_several_labels_is_about_labels(tmp_path):
    write_folder(tmp_path, make_predictions(several=True))
    content = json.loads((tmp_path / "calibration.json").read_text())
    (tmp_path / "calibration.json").write_text(json.dumps({**content, "task": "multilabel"}))
    text = write_report(tmp_path).read_text()
    assert "the mean probability of a label is 90.0" in text and "the share of positive labels 80.0" in text


@pytest.mark.parametrize(
    ("value", "digits", "shown"),
    [
        (1.0, 1, "100.0 %"), (0.9997, 1, "> 99.9 %"), (0.9994, 1, "99.9 %"), (0.99997, 2, "> 99.99 %"),
        (0.0, 1, "0.0 %"), (0.0004, 1, "< 0.1 %"), (0.0006, 1, "0.1 %"), (0.5, 0, "50 %"), (0.998, 0, "> 99 %"),
        (None, 1, "undefined"),
    ],
)  # fmt: skip
def test_only_exactly_0_and_1_are_rounded_to_0_and_100_percent(value, digits, shown):
    assert percent(value, digits=digits).replace("\N{NO-BREAK SPACE}", " ") == shown


@pytest.mark.parametrize(("job", "is_said"), [("train", True), ("evaluate", False)])
def test_only_a_training_run_states_what_the_model_was_trained_on(job, is_said, tmp_path):
    """After evaluate.py the train split belongs to the evaluated data, on which the model was perhaps not trained."""
    write_folder(tmp_path, make_predictions())
    content = json.loads((tmp_path / "provenance.json").read_text())
    (tmp_path / "provenance.json").write_text(json.dumps({**content, "job": job}))
    assert content["data"]["num_images"]["train"]
    text = write_report(tmp_path).read_text()
    assert ("Trained on " in text) == is_said == ("The data of the training run." in text)
