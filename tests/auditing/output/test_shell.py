"""Quoted arguments are read back unchanged by a shell."""

import shlex

import pytest

from imgrec.auditing.output.shell import shell_line


@pytest.mark.parametrize("argument", ["a", "a b", "it's", 'say "it\'s"', "$HOME's", "!'", "", "a;rm", "a\nb"])
def test_a_shell_reads_the_argument_back(argument):
    assert shlex.split(shell_line([argument, "next"])) == [argument, "next"]


def test_single_quotes_are_easy_to_read():
    assert shell_line(["imgrec", "data.label_delimiter=';'"]) == "imgrec \"data.label_delimiter=';'\""
