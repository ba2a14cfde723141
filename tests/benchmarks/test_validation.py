"""The dossier at length: whole, twice, within five minutes; and a population of 10,000 designs.

    python -m pytest -s tests/benchmarks/test_validation.py
    python tests/benchmarks/test_validation.py 5000             # designs of each kind: counts, and the seeds of what is wrong
"""

import sys
import time

import pytest

from lmm.validation import population, validate

MOST_SECONDS = 300          # of one core


@pytest.fixture(scope="module")
def dossiers():
    start = time.process_time()
    first = validate()
    return first, validate(), (time.process_time() - start) / 2


def test_the_whole_dossier_is_passed_within_five_minutes(dossiers):
    first, _, seconds = dossiers
    print(f"\n{first}\n{seconds:.0f} s of one core")
    assert first.passed and seconds < MOST_SECONDS


def test_twice_with_the_same_digits(dossiers):
    first, second, _ = dossiers
    assert first.to_json(times=False) == second.to_json(times=False)


def counts(kind, each):
    """What became of so many designs."""
    found = population.counted(kind, range(each))
    print(f"\n{kind}: {each:,} designs, {found}")
    return found


@pytest.mark.parametrize("kind", population.FORMULAS)
def test_ten_thousand_designs(kind):
    found = counts(kind, 5000)
    assert not found.worse and not found.refuted and not found.differing
    assert found.certified > population.SHARE_CERTIFIED * (found.certified + found.uncertified)


if __name__ == "__main__":
    for kind in population.FORMULAS:
        counts(kind, int(sys.argv[1]))
