"""Words joined into a line are the same words to a shell."""

import shlex

import pytest

from imgrec.auditing.output.shell import shell_line


@pytest.mark.parametrize("word", ["a", "a b", "it's", 'say "it\'s"', "$HOME's", "!'", "", "a;rm", "a\nb"])
def test_a_shell_reads_the_word_back(word):
    assert shlex.split(shell_line([word, "next"])) == [word, "next"]


def test_single_quotes_are_easy_to_read():
    assert shell_line(["imgrec", "data.label_delimiter=';'"]) == "imgrec \"data.label_delimiter=';'\""
