"""Fisher's exact test, against SciPy's and the book's."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import fisher_exact as reference

from imgrec.evaluation.statistics.fisher import fisher_exact


def by_scipy(hits, total, other_hits, other_total):
    return reference([[hits, total - hits], [other_hits, other_total - other_hits]]).pvalue


@pytest.mark.parametrize("total", [1, 2, 7, 30])
@pytest.mark.parametrize("other_total", [1, 4, 30])
def test_every_small_table_has_scipys_p_value(total, other_total):
    for hits in range(total + 1):
        for other_hits in range(other_total + 1):
            found = fisher_exact(hits, total, other_hits, other_total)
            assert found == pytest.approx(by_scipy(hits, total, other_hits, other_total), rel=1e-9)


def test_tables_of_an_evaluation_have_scipys_p_value():
    random = np.random.default_rng(0)
    for _ in range(60):
        total, other_total = (int(number) for number in random.integers(20, 20_000, 2))
        share = random.uniform(0, 1)
        hits, other_hits = int(random.binomial(total, share)), int(random.binomial(other_total, share))
        found = fisher_exact(hits, total, other_hits, other_total)
        assert found == pytest.approx(by_scipy(hits, total, other_hits, other_total), rel=1e-9)


def test_a_difference_beyond_doubt_has_a_tiny_p_value():
    found = fisher_exact(900, 1000, 300, 1000)
    assert found == pytest.approx(by_scipy(900, 1000, 300, 1000), rel=1e-9)
    assert 0 < found < 1e-150


def test_the_table_of_the_lady_who_tastes_tea():
    assert fisher_exact(3, 4, 1, 4) == pytest.approx(34 / 70)  # Fisher 1935; two-sided: 1 - 36 / 70


@pytest.mark.parametrize("table", [(0, 5, 0, 9), (5, 5, 9, 9), (0, 0, 3, 9), (2, 4, 0, 0)])
def test_without_anything_to_compare_it_is_one(table):
    assert fisher_exact(*table) == 1.0


def test_it_does_without_scipy():
    code = "import sys; from imgrec.evaluation.statistics.fisher import fisher_exact; fisher_exact(1, 3, 2, 9); "
    code += "print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
