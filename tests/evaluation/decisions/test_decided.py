"""calibration.json and decisions.json of an evaluation, their summary on the console, and the diagram."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from decided import CLASSES, fitted, make_plan, several, table
from imgrec.evaluation.decisions import Decisions
from imgrec.evaluation.decisions.calibration import measure_calibration
from imgrec.evaluation.decisions.console import print_decided
from imgrec.evaluation.decisions.decided import write_decided
from imgrec.evaluation.figures.figures import render
from imgrec.evaluation.figures.reliability import draw_reliability
from imgrec.evaluation.predictions.predictions import Predictions


def predictions(logits, labels, **changes):
    names = [f"{i}.png" for i in range(len(labels))]
    return Predictions(names=names, labels=labels, logits=logits, class_names=CLASSES, **changes)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decided")
    decisions, scored = fitted(), predictions(*table(2))
    returned = write_decided(replace(scored, temperature=decisions.temperature), decisions, folder, split="test")
    return folder, returned, decisions, scored


def test_the_files_hold_what_is_returned(written):
    folder, returned, *_ = written
    for name in ("calibration", "decisions"):
        assert json.loads((folder / f"{name}.json").read_text()) == returned[name]
        assert returned[name]["format"] == 1


def test_calibration_is_of_the_network_as_it_is_and_at_its_temperature(written):
    _, returned, decisions, scored = written
    found = returned["calibration"]
    for when, temperature in (("before", 1.0), ("after", decisions.temperature)):
        probabilities = replace(scored, temperature=temperature).probabilities
        assert found[when] == measure_calibration(probabilities, scored.labels, task="single")
    assert found["after"]["ece_width"] < found["before"]["ece_width"]
    assert found["after"]["log_loss"] < found["before"]["log_loss"]


def test_both_say_what_was_fitted_on_what(written):
    _, returned, *_ = written
    for found in returned.values():
        assert found["fitted_on"] == {"split": "val", "num_samples": 600}
        assert found["scored_on"] == {"split": "test", "num_samples": 600}
        assert found["is_optimistic"] is False


def test_scoring_what_was_fitted_on_is_called_optimistic(tmp_path):
    returned = write_decided(predictions(*table(1)), fitted(), tmp_path, split="val")
    for found in returned.values():
        assert found["is_optimistic"] is True
        assert "fitted on the images that are evaluated here" in found["notes"][-1]


def test_a_class_name_that_is_no_unicode_is_written_out(tmp_path):
    names = ("ant", "bee \udcff", "<script>")
    decisions = make_plan(operating_points={}, costs={}).fit(*table(1), task="single", class_names=names, split="val")
    write_decided(replace(predictions(*table(2)), class_names=names), decisions, tmp_path, split="test")
    assert json.loads((tmp_path / "decisions.json").read_text())["class_names"][2] == "<script>"


def printed(written, *, encoding="utf-8"):
    """Return the lines of the console, 80 columns wide."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_decided(written, console=Console(file=file, width=80))
    file.flush()
    return file.buffer.getvalue().decode(encoding).splitlines()


def test_the_console_has_a_row_for_each_rule_with_guarantee_result_and_interval(written):
    lines = printed(written[1])
    assert lines[0].startswith("Calibration error (ECE): 0.") and "uncalibrated" in lines[0]
    assert lines[0].endswith(f"; temperature {written[2].temperature:.3g}")
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert ["rule", "guarantee", "measured", "95 % interval"] in cells
    rows = {row[0]: row[1:] for row in cells if row}
    reject, lac = (written[1]["decisions"][kind][0]["here"] for kind in ("reject", "conformal"))
    assert rows["risk_30"] == [
        "error <= 30 %",
        f"{100 * reject['risk']:.1f} % ({reject['num_accepted']} accepted)",
        f"{100 * reject['risk_low']:.1f} to {100 * reject['risk_high']:.1f} %",
    ]
    measured = f"{100 * lac['coverage']:.1f} % (mean size {lac['mean_size']:.2f})"
    assert rows["lac_90"][:2] == ["coverage >= 90 %", measured]
    assert rows["sensitive"][0] == "sensitivity >= 90 %" and rows["sensitive"][1].endswith(", lowest)")
    assert rows["specific"][1].endswith("% (bee)")
    assert rows["triage"][0] == "lowest mean cost"


def test_the_console_gives_the_reason_where_a_rule_is_not_available(tmp_path):
    plan = make_plan(risks=[0.001])
    decisions = plan.fit(*table(1), task="single", class_names=CLASSES, split="val")
    lines = printed(write_decided(predictions(*table(2)), decisions, tmp_path, split="test"))
    assert any(line.startswith("risk_0.1 is not available: 600 images are too few to guarantee") for line in lines)


def test_a_class_name_outside_the_encoding_of_the_terminal_is_written_out(tmp_path):
    names = ("ant", "b\u00e9e [red]", "wasp")
    decisions = make_plan(costs={}, operating_points={"s": {"sensitivity": 0.9, "classes": [names[1]]}}).fit(
        *table(1), task="single", class_names=names, split="val"
    )
    scored = replace(predictions(*table(2)), class_names=names)
    lines = printed(write_decided(scored, decisions, tmp_path, split="test"), encoding="ascii")
    assert any(r"(b\xe9e [red])" in line for line in lines)


def test_without_a_temperature_there_is_one_diagram_and_one_number(tmp_path):
    returned = write_decided(predictions(*table(2)), Decisions("single", CLASSES), tmp_path, split="test")
    assert len(draw_reliability(returned["calibration"]).axes) == 2
    assert "temperature" not in printed(returned)[0]


def test_a_diagram_shows_each_bin_and_the_diagonal(written):
    figure = draw_reliability(written[1]["calibration"])
    assert [axes.get_title() for axes in figure.axes[:2]] == [
        "temperature 1",
        f"temperature {written[2].temperature:.3g}",
    ]
    (points,) = figure.axes[0].containers
    assert len(points[0].get_xdata()) == 15
    assert render(figure).ndim == 3


def test_one_image_and_several_labels_are_drawn_too(tmp_path):
    logits, labels = several(1)
    decisions = make_plan(costs={}).fit(logits, labels, task="multilabel", class_names=CLASSES, split="val")
    scored = predictions(logits[:1], labels[:1], task="multilabel")
    returned = write_decided(scored, decisions, tmp_path, split="test")
    assert np.isfinite(returned["calibration"]["after"]["ece_mass"])
