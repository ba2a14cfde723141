"""How often F tests reject at 5 percent where there is nothing: run by

    python -m pytest -s tests/benchmarks/test_size.py

An unbalanced split plot: 6 blocks, 3 whole plots in each, 4 levels of the factor tested in each of
these, and 15 of the 72 rows missing by chance, others in each data set.
"""

import warnings

import numpy as np
import pandas as pd
import pytest

from lmm import anova, lmer

SETS = 2000
BLOCKS, PLOTS, LEVELS, MISSING = 6, 3, 4, 15
BETWEEN = {"the factor within plots": "f", "the factor of plots": "v"}


def data_sets(seed=20261126):
    rng = np.random.default_rng(seed)
    block, plot, level = np.indices((BLOCKS, PLOTS, LEVELS)).reshape(3, -1)
    for _ in range(SETS):
        y = 15 * rng.normal(size=BLOCKS)[block] + 13 * rng.normal(size=len(block))
        y = y + 10 * rng.normal(size=(BLOCKS, PLOTS))[block, plot]
        kept = np.sort(rng.permutation(len(block))[MISSING:])
        yield pd.DataFrame({
            "y": y,
            "b": pd.Categorical(block),
            "v": pd.Categorical(np.array(list("uvw"))[plot]),
            "f": pd.Categorical(np.array(list("abcd"))[level]),
        }).iloc[kept]


@pytest.fixture(scope="module")
def p_values():
    found = {(df, term): [] for df in ("satterthwaite", "kr") for term in BETWEEN.values()}
    for dat in data_sets():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = lmer("y ~ v + f + (1 | b/v)", dat)
        for df in ("satterthwaite", "kr"):
            table = anova(fit, df=df).table
            for term in BETWEEN.values():
                found[df, term].append(table.loc[term, "pvalue"])
    return {key: np.array(values) for key, values in found.items()}


@pytest.mark.parametrize("df", ["satterthwaite", "kr"])
def test_the_factor_of_four_levels_is_rejected_in_five_percent(p_values, df):
    for what, term in BETWEEN.items():
        share = np.mean(p_values[df, term] < 0.05)
        print(f"{df}, {what}: {100 * share:.2f} percent of {SETS} rejected at 5 percent")
    assert np.isfinite(p_values[df, "f"]).all()
    assert 0.04 < np.mean(p_values[df, "f"] < 0.05) < 0.065
