"""Facts about classes, files and single images as sections of a report."""

import numpy as np

from audit_data import make_facts
from imgrec.auditing.labels.labels import HANDCRAFTED, LabelRanking, SuspectedLabel
from imgrec.auditing.output.fact_sections import class_section, format_section, label_section, outlier_section


def many(count: int, **columns):
    """Return facts of `count` images of two classes in turn."""
    rows = [("all", f"{number}.png", number % 2) for number in range(count)]
    return make_facts(rows, **columns)


def ranking(skill: float) -> LabelRanking:
    suspects = [SuspectedLabel(row=3, given=1, suggested=0, confidence=0.9, score=0.05)]
    rows = np.arange(20)[::-1].copy()
    return LabelRanking(suspects, rows, np.zeros(20, np.float32), 0.5 + skill / 2, skill, HANDCRAFTED, [])


def test_the_numbers_per_class_are_in_the_summaries():
    summaries: dict = {}
    rows = [("train", "a", 0), ("train", "b", 0), ("test", "c", 1)]
    section = class_section(make_facts(rows), ["a", "b", "c"], summaries=summaries)
    assert summaries["classes"]["counts"] == {"train": [2, 0], "test": [0, 1]}
    assert section.severity == "error"
    assert "dog" in section.cases[0].text


def test_a_rare_format_is_listed_with_its_path():
    facts = many(200, format=["JPEG"] * 199 + ["GIF"])
    summaries: dict = {}
    section = format_section(facts, facts.name, summaries=summaries)
    assert summaries["kinds_of_files"]["formats"] == {"JPEG": 199, "GIF": 1}
    assert [case.entry["paths"] for case in section.cases] == [["199.png"]]


def test_an_outlier_in_two_properties_is_one_case():
    facts = many(
        100,
        brightness=[120.0 + number % 7 for number in range(99)] + [3.0],
        contrast=[50.0] * 99 + [0.5],
        width=[24] * 99 + [5000],
        height=[24] * 99 + [5000],
    )
    [case] = outlier_section(facts, facts.name).cases
    assert case.rows == (99,)
    assert case.severity == "warning"
    assert {one["property"] for one in case.entry["findings"]} == {"black", "size"}


def test_suspected_labels_are_named_and_the_most_doubtful_tenth_is_in_the_summaries():
    facts, summaries = many(20), {}
    section = label_section(facts, facts.name, ranking=ranking(0.9), summaries=summaries)
    [case] = section.cases
    assert case.entry["path"] == "3.png"
    assert (case.entry["label"], case.entry["suggested"], case.suggestion) == ("dog", "cat", 0)
    assert summaries["label_ranking"]["most_doubtful"] == ["19.png", "18.png"]


def test_a_classifier_near_chance_makes_suspects_infos():
    facts = many(20)
    good = label_section(facts, facts.name, ranking=ranking(0.9), summaries={})
    poor = label_section(facts, facts.name, ranking=ranking(0.2), summaries={})
    assert (good.severity, poor.severity) == ("warning", "info")
    assert "--features" in poor.command
    assert good.command == ""
    assert "too low" in poor.note
