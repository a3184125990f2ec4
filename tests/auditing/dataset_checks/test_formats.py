"""Formats, modes and flags: counts, and rare ones."""

from imgrec.auditing.dataset_checks.formats import format_facts
from made_facts import made_facts


def test_counts_start_with_the_most_frequent_without_broken_files():
    facts = made_facts(5, format=["PNG", "JPEG", "JPEG", "GIF", "JPEG"], code=["", "", "", "truncated", ""])
    assert list(format_facts(facts).formats.items()) == [("JPEG", 3), ("PNG", 1)]


def test_one_gif_among_jpegs_is_rare_and_reported_once():
    count = 300
    facts = made_facts(
        count,
        format=["GIF"] + ["JPEG"] * (count - 1),
        mode=["P"] + ["RGB"] * (count - 1),
        flags=[("palette",)] + [()] * 299,
    )
    (fact,) = format_facts(facts).findings
    assert (fact.severity, fact.rows) == ("warning", (0,))
    assert fact.text == "format GIF: 1 of 300 images."


def test_half_png_and_half_jpeg_are_not_rare():
    assert format_facts(made_facts(40, format=["JPEG", "PNG"] * 20)).findings == []


def test_a_format_of_eleven_files_is_never_rare():
    facts = made_facts(3000, format=["PNG"] * 11 + ["JPEG"] * 2989)
    assert format_facts(facts).findings == []


def test_in_few_images_nothing_is_rare():
    assert format_facts(made_facts(10, format=["PNG"] + ["JPEG"] * 9)).findings == []


def test_animated_images_are_reported_however_many_there_are():
    facts = made_facts(4, flags=[("animated",)] * 4, format=["GIF"] * 4)
    (fact,) = format_facts(facts).findings
    assert fact.severity == "warning"
    assert "The first frame is read." in fact.text


def test_a_wrong_extension_and_a_missing_end_mark_are_information():
    facts = made_facts(4, flags=[("wrong_extension",), ("no_eoi",), (), ("wrong_extension",)])
    found = format_facts(facts).findings
    assert [fact.severity for fact in found] == ["info", "info"]
    assert [fact.rows for fact in found] == [(0, 3), (1,)]


def test_images_in_memory_have_no_format():
    found = format_facts(made_facts(4, format=[""] * 4, mode=[""] * 4))
    assert (found.formats, found.modes, found.findings) == ({}, {}, [])


def test_the_placeholder_among_the_ants_is_rare(shared_data):
    from imgrec.auditing.scan.scan import scan
    from imgrec.data.sources.folder import read_folder

    splits = read_folder(train=str(shared_data / "hymenoptera" / "train"), val_fraction=0.0)
    facts = scan({"train": splits.train}, class_names=splits.class_names, workers=1)
    (fact,) = format_facts(facts).findings
    assert [facts.name[row].rpartition("/")[2] for row in fact.rows] == ["imageNotFound.gif"]
    assert fact.severity == "warning"
