"""How findings are called, how bad they are, and which comes first."""

from audit_data import make_facts
from imgrec.auditing.duplicates.near import NearPair
from imgrec.auditing.output.sections import broken_section, conflict_section, duplicate_sections, leak_sections

ROWS = [
    ("train", "train/cat/a.png", 0),
    ("train", "train/dog/b.png", 1),
    ("test", "test/cat/c.png", 0),
    ("test", "test/dog/d.png", 1),
]
FACTS = make_facts(ROWS)
PATHS = FACTS.name


def near(first: int, second: int, similarity: float = 0.9) -> NearPair:
    return NearPair(first, second, "similar", 3, similarity)


def test_broken_files_carry_their_reason_and_are_errors():
    facts = make_facts(ROWS, code=["", "truncated", "", "crashed"], detail=["", "cut", "", "its decoder died"])
    section = broken_section(facts, PATHS)
    assert section.severity == "error"
    assert [case.entry for case in section.cases] == [
        {"path": "test/dog/d.png", "code": "crashed", "detail": "its decoder died"},
        {"path": "train/dog/b.png", "code": "truncated", "detail": "cut"},
    ]


def test_an_exact_group_within_a_split_is_no_leak():
    exact, _ = leak_sections(FACTS, PATHS, groups=[[0, 1]], pairs=[])
    assert exact.cases == []


def test_an_exact_group_across_splits_is_an_error_with_all_its_paths():
    exact, _ = leak_sections(FACTS, PATHS, groups=[[0, 1, 2]], pairs=[])
    assert exact.severity == "error"
    assert [case.entry for case in exact.cases] == [[PATHS[0], PATHS[1], PATHS[2]]]
    assert "train and test" in exact.cases[0].text


def test_near_duplicates_across_splits_are_warnings_and_those_within_one_are_information():
    pairs = [near(0, 1), near(1, 3)]
    _, leaks = leak_sections(FACTS, PATHS, groups=[], pairs=pairs)
    _, within = duplicate_sections(PATHS, groups=[], pairs=pairs)
    assert leaks.severity == "warning"
    assert [case.entry for case in leaks.cases] == [[PATHS[1], PATHS[3]]]
    assert within.severity == "info"
    assert len(within.cases) == 2


def test_near_duplicates_are_ranked_by_likeness():
    _, section = duplicate_sections(PATHS, groups=[], pairs=[near(0, 1, 0.8), near(2, 3, 0.95), near(0, 3, 0.9)])
    assert [case.confidence for case in section.cases] == [0.95, 0.9, 0.8]


def test_large_groups_come_first():
    section, _ = duplicate_sections(PATHS, groups=[[0, 1], [1, 2, 3]], pairs=[])
    assert [len(case.rows) for case in section.cases] == [3, 2]


def test_copies_with_one_label_are_no_conflict():
    assert conflict_section(FACTS, PATHS, groups=[[0, 2]], pairs=[near(1, 3)]).cases == []


def test_exact_copies_with_two_labels_are_an_error_and_near_ones_a_warning():
    section = conflict_section(FACTS, PATHS, groups=[[0, 1]], pairs=[near(2, 3)])
    assert [case.severity for case in section.cases] == ["error", "warning"]
    assert section.cases[0].entry == {"paths": PATHS[:2], "labels": ["cat", "dog"], "kind": "exact"}
    assert section.cases[1].entry["kind"] == "similar"


def test_the_label_of_most_copies_is_suggested():
    section = conflict_section(FACTS, PATHS, groups=[[0, 1, 2], [0, 1]], pairs=[])
    assert [case.suggestion for case in section.cases] == [0, -1]


def test_a_copy_without_a_label_conflicts_with_nothing():
    facts = make_facts([("all", "a.png", -1), ("all", "b.png", 1)])
    assert conflict_section(facts, facts.name, groups=[[0, 1]], pairs=[]).cases == []
