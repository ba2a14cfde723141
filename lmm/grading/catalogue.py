"""The built-in cases: each tells a right `lmm` from a wrong one by what Machines alone cannot."""

import numpy as np
import pandas as pd

from ..datasets import lme4_reference, load_data, models
from .cases import Case

BOTH = [["Worker"], ["Worker", "Machine"]]
EXACT_SOURCE = "the exact maximum of the likelihood, data/exact.csv"
MANY_ROWS = 2000        # an n x n matrix of doubles is 32 MB


def built_in_cases():
    """The built-in cases, a tuple of `Case`."""
    return (
        _known(
            "Machines",
            BOTH,
            "the sheet's own example; balanced, so that beta is that of OLS for any theta",
        ),
        _known(
            "MachinesUnbalanced",
            BOTH,
            "Machines without ten of its rows: here beta depends on theta",
            points=2.0,
        ),
        no_random_effects(),
        _known(
            "Dyestuff2",
            [["Batch"]],
            "the estimate of the batches' sd is 0, log sd -inf: any very small sd will do",
        ),
        three_blocks(),
        unobserved(),
        three_names(),
        more_columns(),
        numeric(),
        missing(),
        missing_elsewhere(),
        integers(),
        transformed(),
        another_order(),
        other_units(),
        many_rows(),
    )


# -- shipped data --------------------------------------------------------------------------------

def _known(name, ref, why, points=1.0):
    """A shipped data set whose optimum is known exactly."""
    exact = lme4_reference(name).loc["ML"]["exact"]
    sds = ["Residual", *(":".join(names) for names in ref)]
    known = {"sd": exact["sd"].loc[sds].to_numpy(float)}
    if exact["beta"].notna().all():
        known["beta"] = exact["beta"].to_numpy(float)
    return Case(
        name,
        models().loc[name].form,
        load_data(name),
        ref,
        why,
        points,
        source=EXACT_SOURCE,
        known=known,
    )


def no_random_effects():
    """Machines, and no blocks."""
    return Case(
        "no random effects",
        "score ~ Machine",
        load_data("Machines"),
        [],
        "ref is empty: least squares, sigma = sqrt(RSS / n)",
        source="a closed form",
    )


def another_order():
    """The unbalanced Machines, the rows shuffled."""
    dat = load_data("MachinesUnbalanced")
    return Case(
        "rows in another order",
        "score ~ Machine",
        dat.sample(frac=1, random_state=1),
        BOTH,
        "the rows of the unbalanced Machines, shuffled, with their index: the answer is the same",
        same_as="MachinesUnbalanced",
    )


def other_units():
    """The unbalanced Machines, the response times a million."""
    dat = load_data("MachinesUnbalanced")
    dat["score"] = dat["score"] * 1e6
    return Case(
        "other units",
        "score ~ Machine",
        dat,
        BOTH,
        "the unbalanced Machines with y in units of 1e-6: the search must start from the scale of "
        "the data",
        same_as="MachinesUnbalanced",
    )


# -- simulated data ------------------------------------------------------------------------------

def crossed(n, seed, levels=(5, 4, 3)):
    """n rows with three crossed factors, unbalanced, and a covariate, and the three blocks."""
    rng = np.random.default_rng(seed)
    dat = pd.DataFrame()
    for name, m in zip("abc", levels):
        codes = rng.permutation(np.arange(n) % m)
        dat[name] = pd.Categorical([f"{name}{code + 1}" for code in codes])
    dat["x"] = rng.normal(size=n).round(3)
    effects = np.zeros(n)
    for name, m, sd in zip("abc", levels, (3.0, 1.5, 0.8)):
        effects += sd * rng.normal(size=m)[dat[name].cat.codes]
    errors = rng.normal(size=n)
    dat["y"] = (10 + 0.5 * dat["x"] + effects + errors).round(4)
    return dat, [["a"], ["b"], ["c"]]


def two_blocks(n, seed, levels=(5, 4, 3)):
    """The data of `crossed`, and the first two of the blocks."""
    dat, ref = crossed(n, seed, levels)
    return dat, ref[:2]


def three_blocks():
    """Three crossed factors."""
    return Case(
        "three crossed blocks",
        "y ~ x",
        *crossed(50, 17),
        "three blocks, so that a wrong order or a shared variance shows",
    )


def unobserved():
    """An interaction some of whose combinations have no rows."""
    dat, _ = crossed(60, 18)
    pairs = dat["a"].astype(str) + dat["b"].astype(str)
    left_out = pairs.isin(["a1b2", "a3b1", "a4b4"])
    return Case(
        "an unobserved combination",
        "y ~ x",
        dat[~left_out].reset_index(drop=True),
        [["a"], ["a", "b"]],
        "no row has a1 with b2, a3 with b1, or a4 with b4: the block a:b has columns of zeros, or "
        "none, for them",
    )


def three_names():
    """An interaction of three factors, with more combinations than a byte counts."""
    dat, _ = crossed(300, 23, (6, 6, 4))
    return Case(
        "a block of three factors",
        "y ~ x",
        dat,
        [["a"], ["a", "b", "c"]],
        "the block a:b:c has a column for each combination of three factors, some 140 in all",
    )


def more_columns():
    """Two crossed factors with more levels, in all, than there are rows."""
    return Case(
        "more columns than rows",
        "y ~ x",
        *two_blocks(30, 17, (17, 16, 3)),
        "Z has more columns than rows: R has min(n, p) rows",
    )


def numeric():
    """A numeric variable within an interaction: an independent slope for each level."""
    rng = np.random.default_rng(7)
    dat = pd.DataFrame({
        "g": pd.Categorical([f"g{i // 8 + 1}" for i in range(96)]),
        "x": np.tile([0, 1, 2, 3], 24),
    })
    intercepts = rng.normal(0, 3, 12)[dat["g"].cat.codes]
    slopes = rng.normal(0, 1.5, 12)[dat["g"].cat.codes]
    errors = rng.normal(size=len(dat))
    dat["y"] = (20 + 2 * dat["x"] + intercepts + slopes * dat["x"] + errors).round(3)
    dat = dat.drop(index=[2, 5, 30, 31, 62, 77]).reset_index(drop=True)
    return Case(
        "a numeric interaction",
        "y ~ x",
        dat,
        [["g"], ["g", "x"]],
        "x is a number: the block g:x has one slope for each g, as model.matrix(~ g:x - 1) has",
    )


def missing():
    """Rows with missing values, in y and in a variable of X."""
    dat, ref = two_blocks(50, 14)
    dat.loc[[3, 17, 40], "y"] = np.nan
    dat.loc[[8, 30], "x"] = np.nan
    return Case(
        "missing values",
        "y ~ x",
        dat,
        ref,
        "five rows lack y or x; they are left out of y, X and Z together",
    )


def missing_elsewhere():
    """Missing values in a column that the model does not use."""
    dat, ref = two_blocks(50, 21)
    dat["note"] = np.where(np.arange(50) % 5 == 2, np.nan, 1.0)
    return Case(
        "missing values in another column",
        "y ~ x",
        dat,
        ref,
        "ten rows lack a value of a column that the model does not use: all rows are to be kept",
    )


def transformed():
    """A function of a variable as the response.

    There is a column of that name as well, for submissions that look the response up by its name.
    """
    dat, ref = two_blocks(48, 22)
    dat["y"] = np.exp(dat["y"] / 5).round(4)
    dat["np.log(y)"] = np.log(dat["y"])
    return Case(
        "a transformed response",
        "np.log(y) ~ x",
        dat,
        ref,
        "the response is np.log(y), as the formula says, not y",
    )


def integers():
    """A factor whose levels are integers."""
    dat, ref = two_blocks(45, 14)
    dat["a"] = pd.Categorical(dat["a"].cat.codes.astype(int) * 3 + 1)
    return Case(
        "categories that are integers",
        "y ~ x",
        dat,
        ref,
        "a is a factor whose levels are 1, 4, 7, 10, 13",
    )


def many_rows():
    """Three crossed factors, for time and memory."""
    return Case(
        "2,000 rows",
        "y ~ x",
        *crossed(MANY_ROWS, 8, (40, 20, 5)),
        "many rows: time and memory betray an n x n matrix",
        costs=True,
    )

