"""comparison.html and comparison.json: whole, self-contained, and harmless whatever classes are called."""

import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from compared import make_multilabel, make_run, make_table
from imgrec.evaluation.compare.align import align
from imgrec.evaluation.compare.console import print_comparison
from imgrec.evaluation.compare.engine import compare_runs
from imgrec.evaluation.compare.page import NUM_FLIPS, to_html
from imgrec.evaluation.compare.record import to_json

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "[red]ant[/red]", "new\nline", "caf\udce9"]


class Page(HTMLParser):
    """Collects the tags with their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page.decode("utf-8"))
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.texts.append(data)


def make_comparison(*runs):
    return compare_runs(align(runs), resamples=100)


def make_hostile():
    tables = [
        make_table(300, 5, noise=noise, class_names=HOSTILE, names=[f"<b>{i}\n.png" for i in range(300)])
        for noise in (0.3, 1.5)
    ]
    return make_comparison(make_run("<i>a</i>", tables[0]), make_run("b\udcff", tables[1]))


CASES = {
    "two runs": lambda: make_comparison(make_run("a", make_table()), make_run("b", make_table(noise=1.5))),
    "three runs": lambda: make_comparison(*(make_run(name, make_table(seed=i)) for i, name in enumerate("abc"))),
    "trainings": lambda: make_comparison(
        make_run("a", make_table(), make_table(seed=2)), make_run("b", make_table(noise=1.5))
    ),
    "several labels": lambda: make_comparison(make_run("a", make_multilabel()), make_run("b", make_multilabel(seed=2))),
    "groups": lambda: make_comparison(
        *(make_run(name, make_table(seed=i, groups=["x", "y", "z"] * 100)) for i, name in enumerate("ab"))
    ),
    "one class": lambda: make_comparison(
        *(make_run(name, make_table(seed=i, labels=np.zeros(300, dtype=np.int64))) for i, name in enumerate("ab"))
    ),
    "the same": lambda: make_comparison(make_run("a", make_table()), make_run("b", make_table())),
    "hostile names": make_hostile,
}


@pytest.mark.parametrize("case", CASES)
def test_the_page_asks_for_nothing_and_runs_nothing(case):
    page = Page(to_html(CASES[case]()))
    assert not {"script", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("case", CASES)
def test_the_json_is_strict_and_the_console_prints(case):
    comparison = CASES[case]()
    record = json.loads(to_json(comparison), parse_constant=pytest.fail)
    assert next(iter(record)) == "format" and record["format"] == 2
    assert len(record["pairs"]) == len(comparison.pairs)
    text = io.StringIO()
    print_comparison(comparison, console=Console(file=text, width=100))
    for pair in record["pairs"]:
        assert pair["verdict"].split(" (")[0][:20].encode("unicode_escape")[:5].decode() in text.getvalue()


def test_hostile_names_are_shown_as_they_are():
    page = Page(to_html(make_hostile()))
    for name in (
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "[red]ant[/red]",
        r"new\nline",
        r"caf\xe9",
    ):
        assert name in page.text
    assert "<i>a</i>" in page.text and r"b\xff" in page.text
    assert re.search(r"<b>\d+\\n\.png", page.text)


def test_the_page_has_the_verdict_the_metrics_the_classes_and_the_flips():
    comparison = CASES["two runs"]()
    page = Page(to_html(comparison))
    assert "a is better than b by" in page.text and "McNemar" in page.text
    run = comparison.runs[1]
    assert f"{run.values['accuracy']:.4f} {run.limits['accuracy'][0]:.4f} to" in page.text
    assert "class 3" in page.text and "only a is correct" in page.text
    assert comparison.pairs[0].flips.rows[0].path in page.text


def test_long_lists_are_cut_and_counted():
    comparison = make_comparison(
        make_run("a", make_table(900, 150, noise=0.1)), make_run("b", make_table(900, 150, noise=4))
    )
    assert comparison.pairs[0].flips.num_lost > NUM_FLIPS
    page = Page(to_html(comparison))
    assert f"{comparison.pairs[0].flips.num_lost - NUM_FLIPS:,} more are in flips.csv" in page.text
    many = make_comparison(make_run("a", make_table(900, 250)), make_run("b", make_table(900, 250, seed=3)))
    assert "50 more classes are in comparison.json" in Page(to_html(many)).text


def test_the_json_holds_what_the_page_shows():
    comparison = CASES["three runs"]()
    record = json.loads(to_json(comparison))
    assert [run["name"] for run in record["runs"]] == ["a", "b", "c"]
    pair = record["pairs"][0]
    assert set(pair) == {
        "a", "b", "verdict", "better", "needed", "test", "p", "p_holm", "gained", "lost", "changed", "differences",
        "per_class",
    }  # fmt: skip
    assert pair["differences"][0]["metric"] == "accuracy"
    assert set(pair["per_class"][0]) == {
        "class", "metric", "a", "b", "difference", "low", "high", "p", "gained", "lost",
    }  # fmt: skip
    assert record["interval_method"]["kind"] == "stratified by class"


def test_two_runs_with_their_intervals_fit_into_80_columns():
    runs = [make_run(name, make_table(2000, 10, seed=seed)) for seed, name in enumerate(("published", "changed"))]
    text = io.StringIO()
    print_comparison(compare_runs(align(runs), resamples=50), console=Console(file=text, width=80))
    rows = [line for line in text.getvalue().splitlines() if " to " in line and "minus" not in line][:10]
    assert len(rows) == 10
    assert all(row.count(" to ") == 2 and row.rstrip().endswith(")") for row in rows)
