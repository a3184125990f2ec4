"""imgrec.core.text: what messages show of lists, names and counts."""

from imgrec.core.text import counted, listed, printable, short


def test_a_long_list_ends_with_how_many_more_there_are():
    assert listed([1, 2, 3]) == "1, 2, 3"
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert listed({"a": 1, "b": 2, "c": 3}, limit=2, separator="; ") == "a; b and 1 more"
    assert listed([]) == ""


def test_a_listed_name_cannot_break_the_line():
    assert listed(["a\nb", "c"]) == r"a\nb, c"


def test_what_cannot_be_printed_is_escaped_and_the_rest_stays():
    assert printable("a\nb\tc\x1b[0m\u202e\udcff\ud800") == r"a\nb\tc\x1b[0m\u202e\xff\ud800"
    assert printable("Ελλάδα 日本 a\\b <b> 🐱.png") == "Ελλάδα 日本 a\\b <b> 🐱.png"


def test_a_count_has_its_noun_in_the_plural_unless_it_is_one():
    assert [counted(n, "image") for n in (0, 1, 1200)] == ["0 images", "1 image", "1,200 images"]


def test_a_short_number_has_no_exponent():
    assert [short(value) for value in (1000.0, 1.2345, 2, 0.00012345, 123456.0)] == [
        "1000",
        "1.23",
        "2",
        "0.000123",
        "123000",
    ]
