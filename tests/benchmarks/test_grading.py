"""The judge of submissions: no cause is invented for 5,000 wrong answers at random (5 minutes of CPU)."""

import pytest
from wrong_answers import invented

from lmm.grading import built_in_cases
from lmm.grading.diagnosis import Judge
from lmm.machine import few_threads


@pytest.mark.parametrize("seed", range(1, 6))
def test_no_cause_is_invented(seed):
    judges = [Judge(case) for case in built_in_cases() if not case.costs]
    with few_threads():
        assert invented(judges, 1000, seed) == []
