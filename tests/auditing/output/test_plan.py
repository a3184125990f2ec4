"""What is proposed for each kind of finding, and which copy stays."""

from audit_data import make_audit, make_facts, suspect
from imgrec.auditing.duplicates.near import NearPair
from imgrec.auditing.findings import Case, Section
from imgrec.auditing.output.plan import Proposal, propose

ROWS = [
    ("train", "train/a.png", 0),
    ("train", "train/b.png", 0),
    ("val", "val/c.png", 0),
    ("test", "test/d.png", 0),
    ("test", "test/e.png", 1),
]
FACTS = make_facts(ROWS)


def actions(audit) -> dict[int, str]:
    return {one.row: one.action for one in propose(audit)}


def by_row(audit) -> dict[int, Proposal]:
    return {one.row: one for one in propose(audit)}


def test_nothing_found_nothing_proposed():
    assert propose(make_audit(FACTS)) == []


def test_a_broken_file_is_to_be_removed():
    facts = make_facts(ROWS, code=["truncated", "", "", "", ""])
    assert actions(make_audit(facts)) == {0: "remove"}


def test_of_copies_across_splits_the_one_in_test_stays_whatever_its_path():
    assert actions(make_audit(FACTS, groups=[[0, 2, 3]])) == {0: "remove", 2: "remove", 3: "keep"}


def test_of_copies_in_train_and_val_the_one_in_val_stays():
    assert actions(make_audit(FACTS, groups=[[0, 2]])) == {0: "remove", 2: "keep"}


def test_of_copies_in_one_split_the_first_by_path_stays():
    assert actions(make_audit(FACTS, groups=[[0, 1]])) == {0: "keep", 1: "remove"}


def test_copies_across_splits_come_before_copies_within_one():
    audit = make_audit(FACTS, groups=[[0, 1], [2, 3]])
    assert [one.row for one in propose(audit)] == [3, 2, 0, 1]


def test_copies_with_different_labels_are_for_review_and_none_is_removed():
    assert actions(make_audit(FACTS, groups=[[3, 4]])) == {3: "review", 4: "review"}


def test_a_label_is_never_changed_without_review_but_the_new_one_is_filled_in():
    proposal = by_row(make_audit(FACTS, more=[suspect(0, label=1)]))[0]
    assert (proposal.action, proposal.new_label) == ("review", 1)


def test_the_label_that_a_copy_has_already_is_not_suggested_to_it():
    facts = make_facts([("all", "a.png", 0), ("all", "b.png", 0), ("all", "c.png", 1)])
    audit = make_audit(facts, groups=[[0, 1, 2]])
    assert {one.row: one.new_label for one in propose(audit)} == {0: -1, 1: -1, 2: 0}


def test_near_duplicates_across_splits_are_for_review():
    audit = make_audit(FACTS, pairs=[NearPair(0, 3, "mirrored", 2, 0.9)])
    assert actions(audit) == {0: "review", 3: "review"}
    assert "test/d.png" in by_row(audit)[0].evidence


def test_near_duplicates_within_a_split_stay_and_share_a_group():
    pairs = [NearPair(0, 1, "similar", 2, 0.9)]
    audit = make_audit(FACTS, pairs=pairs, duplicates=["a", "a", "c", "d", "e"])
    assert {one.row: (one.action, one.group) for one in propose(audit)} == {
        0: ("keep", "duplicates-0001"),
        1: ("keep", "duplicates-0001"),
    }


def test_an_image_found_twice_has_one_line_with_the_stronger_action_and_both_reasons():
    audit = make_audit(FACTS, groups=[[0, 1]], more=[suspect(1, label=1)])
    [line] = [one for one in propose(audit) if one.row == 1]
    assert line.action == "remove"
    assert line.reason == "exact duplicate; suspected label error"
    assert line.new_label == 1


def test_infos_about_formats_and_labels_are_not_in_the_plan():
    info = Case(rows=(0,), severity="info", text="gray", entry={})
    audit = make_audit(FACTS, more=[Section("formats", [info]), Section("suspected_labels", [info])])
    assert propose(audit) == []
