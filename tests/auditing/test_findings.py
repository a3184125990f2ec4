"""What an audit comes to: audit.json, severities, and when it fails."""

import json

import numpy as np
import pytest

from audit_data import make_audit, make_facts, suspect
from imgrec.auditing.findings import Case, Section, to_json

UNSPLIT = [("all", "a.png", 0), ("all", "b.png", 1)]


def section(severity: str, count: int = 1) -> Section:
    return Section("outliers", [Case(rows=(0,), severity=severity, text="", entry={}) for _ in range(count)])


def content(audit) -> dict:
    return json.loads(to_json(audit))


def test_every_key_is_there_when_nothing_was_found():
    written = content(make_audit(make_facts(UNSPLIT)))
    lists = {"broken", "exact_duplicates", "near_duplicates", "label_conflicts"}
    assert {key: written[key] for key in lists} == {key: [] for key in lists}
    assert written["leaks"] == {"exact": [], "near": []}
    assert written["num_files"] == 2


@pytest.mark.parametrize(
    ("worst", "fails_on"),
    [("error", {"error", "warning", "info"}), ("warning", {"warning", "info"}), ("info", {"info"})],
)
def test_an_audit_fails_on_its_worst_severity_and_whatever_is_stricter(worst, fails_on):
    audit = make_audit(make_facts(UNSPLIT), more=[section(worst)])
    assert {level for level in ("error", "warning", "info", "never") if audit.fails(level)} == fails_on


def test_a_clean_audit_never_fails():
    audit = make_audit(make_facts(UNSPLIT))
    assert not any(audit.fails(level) for level in ("error", "warning", "info", "never"))


def test_sections_are_ranked_by_their_worst_case():
    audit = make_audit(make_facts(UNSPLIT), more=[section("info"), suspect(0, label=1)])
    assert [one.key for one in audit.worst_first] == ["suspected_labels", "outliers"]


def test_the_counts_are_of_cases():
    written = content(make_audit(make_facts(UNSPLIT), more=[section("info", 3), suspect(0, label=1)]))
    assert (written["num_errors"], written["num_warnings"], written["num_infos"]) == (0, 1, 3)


def test_numbers_of_numpy_are_written_rounded_and_what_is_no_number_as_null():
    entry = {"a": np.float32(0.1), "b": np.int64(3), "c": float("inf"), "d": np.bool_(True), "e": (1, np.nan)}
    case = Case(rows=(0,), severity="info", text="", entry=entry)
    assert content(make_audit(make_facts(UNSPLIT), more=[Section("outliers", [case])]))["outliers"] == [
        {"a": 0.1, "b": 3, "c": None, "d": True, "e": [1, None]}
    ]


def test_the_same_audit_is_the_same_bytes():
    assert to_json(make_audit(make_facts(UNSPLIT))) == to_json(make_audit(make_facts(UNSPLIT)))


def test_a_name_that_is_not_unicode_can_be_read_back():
    facts = make_facts([("all", "caf\udce9.png", 0)], code=["truncated"])
    assert content(make_audit(facts))["broken"][0]["path"] == "caf\udce9.png"


def test_a_section_was_not_run_by_its_own_name_or_by_the_key_it_is_in():
    audit = make_audit(make_facts(UNSPLIT), not_run={"leaks": "no splits", "near_duplicates": "--quick"})
    run = {one.key for one in audit.sections if audit.was_run(one)}
    assert run == {"broken", "label_conflicts", "exact_duplicates"}


def test_an_audit_and_its_facts_are_shown_in_a_line():
    audit = make_audit(make_facts(UNSPLIT), more=[section("info", 2), suspect(0, label=1)])
    assert repr(audit).startswith("Audit(")
    assert repr(audit).endswith(", images=2, errors=0, warnings=1, infos=2)")
    assert repr(audit.facts) == "FactsTable(images=2, classes=2)"
