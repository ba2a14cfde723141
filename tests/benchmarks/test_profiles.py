"""Bounds of profile intervals of random small designs, against n x n algebra minimised from many starts.

    python -m pytest tests/benchmarks/test_profiles.py -s           (the first 60 designs, some 5 minutes)
    PYTHONPATH=tests python tests/benchmarks/test_profiles.py 0 400         (designs 0 to 399; odd ones are vector-valued)

A bound is right if it is the first crossing of the level, outwards from the estimate, to a thousandth of its
distance from it: the profile is above the level just beyond, and nowhere before.
"""

import sys
import time
import warnings

import numpy as np
import pytest
from profiles_by_search import STARTS, Profile, parameters, small_design

from lmm import LMMError, LMMWarning, lmer

LEVEL = 3.841458820694124 / 2       # of nll above its least, at a bound of 95 %
NEAR = 1e-3                         # of a bound's distance from the estimate
NOISE = 1e-6                        # of nll
PARTS = (0.02, 0.2, 0.4, 0.6, 0.8)  # of the way to a bound, where the profile is looked at
MOST_TIMES = 100                    # a call of conf_int for each parameter, in times of the fit


def verdict(profile, fit, estimate, bound, edge):
    """"right", "too near", "too far", "none": of one bound."""
    level = fit.nll + LEVEL
    if np.isnan(estimate):
        return "right"                                          # the correlation with an effect that does not vary
    if np.isnan(bound):
        return "none"
    distance = bound - estimate
    at_edge = bound == edge
    if not at_edge and (distance == 0 or profile.least(estimate + distance * (1 + NEAR)) < level - NOISE):
        return "too near"
    for part in (*PARTS, 1.0 if at_edge and bound else 1 - NEAR):
        if profile.least(estimate + part * distance, level + NOISE, 2 * STARTS, 1) > level + NOISE:
            return "too far"
    return "right"


def examine(seeds):
    """Counts of verdicts by kind of design, the ratios of times, and the refused designs; a line for each bound that is wrong."""
    counts, ratios, refused = {"scalar": {}, "vector-valued": {}}, [], {}
    for seed in seeds:
        form, dat = small_design(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LMMWarning)
            try:
                start = time.process_time()
                fit = lmer(form, dat, reml=False)
                fitted = time.process_time()
                found = fit.conf_int()
                took = time.process_time() - fitted
            except LMMError as error:
                reason = next((words for words in ("perfectly", "best optimum", "not certified") if words in str(error)), "other")
                refused[reason] = refused.get(reason, 0) + 1
                continue
        ratios.append(took / len(found) / (fitted - start))
        by_verdict = counts["vector-valued" if seed % 2 else "scalar"]
        for (held, estimate), (name, bounds) in zip(parameters(fit), found.iterrows()):
            edges = {"beta": (None, None), "sd": (0.0, None), "corr": (-1.0, 1.0)}[held.kind]
            for bound, edge in zip(bounds, edges):
                word = verdict(Profile(fit, held), fit, estimate, bound, edge)
                by_verdict[word] = by_verdict.get(word, 0) + 1
                if word != "right":
                    print(f"{seed}: {form}, {fit.nobs} rows, {name}: estimate {estimate:.5g}, bound {bound:.8g} {word}", flush=True)
        if seed % 20 == 19:
            print(f"to {seed}: {report(counts, ratios, refused)}", flush=True)
    return counts, ratios, refused


def report(counts, ratios, refused):
    return (f"bounds {counts}, conf_int {np.median(ratios):.1f} (median) to {max(ratios):.1f} fits a parameter, "
            f"refused designs {refused}")


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_bounds_of_small_designs(first):
    counts, ratios, refused = examine(range(first, first + 20))
    print(f"\n{report(counts, ratios, refused)}")
    for by_verdict in counts.values():
        assert "too near" not in by_verdict and "too far" not in by_verdict
    assert max(ratios) < MOST_TIMES


if __name__ == "__main__":
    print(report(*examine(range(int(sys.argv[1]), int(sys.argv[2])))))
