"""The scores as printed."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from imgrec.evaluation.figures.console import print_metrics
from imgrec.evaluation.metrics.compute import compute_metrics
from imgrec.evaluation.predictions.predictions import Predictions


def make_scores(num_classes=3, **changes):
    random = np.random.default_rng(0)
    columns = {
        "names": [str(i) for i in range(1200)],
        "labels": random.integers(0, num_classes, 1200),
        "logits": random.normal(size=(1200, num_classes)).astype(np.float32),
        "class_names": [f"class{i}" for i in range(num_classes)],
    }
    return compute_metrics(Predictions(**{**columns, **changes}))


def print_to_text(scores, **options):
    text = io.StringIO()
    print_metrics(scores, console=Console(file=text, width=100, **options))
    return text.getvalue()


def listed_classes(text):
    return re.findall(r"^ *(class\d+) ", text, flags=re.MULTILINE)


def test_the_headline_has_the_main_scores():
    scores = make_scores()
    text = print_to_text(scores)
    low, high = scores["intervals"]["accuracy"]
    assert re.search(rf"accuracy +{scores['accuracy']:.4f} \({low:.4f} to {high:.4f}\)\n", re.sub(" +\n", "\n", text))
    assert f"{scores['num_errors']:,} of 1,200" in text
    for shown, name in (("precision", "precision"), ("recall", "recall"), ("F1", "f1"), ("AUROC", "auroc")):
        assert re.search(rf"{shown} \(macro\) +{scores[name]['macro']:.4f}", text)


@pytest.mark.parametrize(("num_classes", "is_shown"), [(5, False), (6, True)])
def test_top5_is_shown_where_it_can_be_less_than_one(num_classes, is_shown):
    assert ("top-5" in print_to_text(make_scores(num_classes))) == is_shown


def test_several_labels_have_their_own_headline():
    labels = (np.random.default_rng(0).random((1200, 3)) < 0.3).astype(np.uint8)
    scores = make_scores(labels=labels, task="multilabel")
    text = print_to_text(scores)
    assert re.search(rf"subset accuracy +{scores['subset_accuracy']:.4f}", text)
    assert re.search(rf"Hamming loss +{scores['hamming_loss']:.4f}", text)


def test_metrics_without_intervals_are_printed_alone():
    scores = make_scores()
    del scores["intervals"]
    text = re.sub(" +\n", "\n", print_to_text(scores))
    assert re.search(rf"accuracy +{scores['accuracy']:.4f}\n", text)


def test_up_to_15_classes_are_listed_in_their_order():
    text = print_to_text(make_scores(15))
    assert listed_classes(text) == [f"class{i}" for i in range(15)]
    assert "worst" not in text


def test_of_more_classes_the_15_with_the_lowest_f1_are_listed():
    scores = make_scores(40)
    text = print_to_text(scores)
    worst = sorted(scores["per_class"], key=lambda row: row["f1"])[:15]
    assert listed_classes(text) == [row["class"] for row in worst]
    assert "The 15 classes with the lowest F1 of 40" in text


def test_a_class_without_f1_is_not_among_the_worst():
    scores = make_scores(16)
    scores["per_class"][3]["f1"] = float("nan")
    assert "class3" not in listed_classes(print_to_text(scores))


def test_undefined_metrics_are_marked_and_noted():
    text = print_to_text(make_scores(labels=np.zeros(1200, dtype=np.int64)))
    assert re.search(r"AUROC \(macro\) +undefined", text)
    assert "Note: No image in this set: recall, AUROC and average precision are undefined" in text


def test_names_are_neither_markup_nor_control_codes():
    text = print_to_text(make_scores(class_names=["[red]ant[/red]", "[/]", "\x1b[31mred\nline"]))
    assert "[red]ant[/red]" in text and "[/]" in text and r"\x1b[31mred\nline" in text


def test_output_to_a_file_is_plain_text():
    assert "\x1b" not in print_to_text(make_scores())


def test_output_to_a_terminal_is_styled():
    assert "\x1b[1m" in print_to_text(make_scores(), force_terminal=True, color_system="standard")


def test_a_terminal_without_unicode_gets_names_written_out():
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    print_metrics(make_scores(class_names=["日本", "b", "c"]), console=Console(file=file, width=100))
    file.flush()
    assert rb"\u65e5\u672c" in raw.getvalue()


def test_without_a_console_it_goes_to_standard_output(capsys):
    print_metrics(make_scores())
    assert "accuracy" in capsys.readouterr().out
