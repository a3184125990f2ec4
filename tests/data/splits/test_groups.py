"""imgrec.data.splits.groups: what several groupings keep together."""

from hypothesis import given
from hypothesis import strategies as st

from imgrec.data.splits.groups import DisjointSets, merge_groups

GROUPINGS = st.integers(1, 40).flatmap(
    lambda n: st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=n, max_size=n), min_size=1, max_size=3)
)


def reachable(groupings, start):
    """Samples that a chain of shared groups ties to `start`, found naively."""
    found, before = {start}, set()
    while found != before:
        before = set(found)
        for grouping in groupings:
            shared = {grouping[i] for i in found}
            found |= {i for i, group in enumerate(grouping) if group in shared}
    return found


@given(GROUPINGS)
def test_samples_are_together_exactly_if_a_chain_of_groups_ties_them(groupings):
    names = [f"{i:02d}" for i in range(len(groupings[0]))]
    merged = merge_groups(*groupings, called=names)
    for sample in range(len(names)):
        assert {i for i, group in enumerate(merged) if group == merged[sample]} == reachable(groupings, sample)


def test_a_joined_group_has_the_first_name_of_its_samples():
    patients = ["p2", "p2", "p1", "p3"]
    assert merge_groups(patients, ["x", "y", "x", "z"], called=patients) == ["p1", "p1", "p1", "p3"]
    assert merge_groups(["x", "y", "x"], called=["c", "b", "a"]) == ["a", "b", "a"]


def test_the_root_of_a_set_is_its_smallest_member():
    sets = DisjointSets(6)
    for pair in ((4, 5), (5, 2), (1, 3)):
        sets.join(*pair)
    assert [sets.root(member) for member in range(6)] == [0, 1, 2, 1, 2, 2]
