"""The built-in cases: each tells a right `lmm` from a wrong one by something that Machines alone cannot."""

import numpy as np
import pandas as pd

from ..datasets import lme4_reference, load_data, models
from .cases import Case

BOTH = [["Worker"], ["Worker", "Machine"]]
EXACT = "the exact maximum of the likelihood, data/exact.csv"
ROWS = 2000             # an n x n matrix of doubles is 32 MB


def built_in_cases():
    """The built-in cases, a tuple of `Case`."""
    machines, unbalanced = load_data("Machines"), load_data("MachinesUnbalanced")
    return (
        _known("Machines", BOTH, "the sheet's own example; balanced, so that beta is that of OLS for any theta"),
        _known("MachinesUnbalanced", BOTH, "Machines without ten of its rows: here beta depends on theta", 2.0),
        Case("no random effects", "score ~ Machine", machines, [], "ref is empty: least squares, sigma = sqrt(RSS / n)",
             source="a closed form"),
        _known("Dyestuff2", [["Batch"]], "the estimate of the batches' sd is 0, log sd -inf: any very small sd will do"),
        Case("three crossed blocks", "y ~ x", *crossed(48, 17),
             "three blocks, so that a wrong order or a shared variance shows"),
        unobserved(),
        Case("more columns than rows", "y ~ x", *two(crossed(30, 14, (18, 14, 3))),
             "Z has more columns than rows: R has min(n, p) rows"),
        numeric(),
        missing(),
        integers(),
        Case("rows in another order", "score ~ Machine", unbalanced.sample(frac=1, random_state=1), BOTH,
             "the rows of the unbalanced Machines, shuffled, with their index: the answer is the same",
             same_as="MachinesUnbalanced"),
        Case("other units", "score ~ Machine", unbalanced.assign(score=unbalanced["score"] * 1e6), BOTH,
             "the unbalanced Machines with y in units of 1e-6: the search must start from the scale of the data",
             same_as="MachinesUnbalanced"),
        Case("2,000 rows", "y ~ x", *crossed(ROWS, 8, (40, 20, 5)), "many rows: time and memory betray an n x n matrix",
             costs=True),
    )


def _known(name, ref, why, points=1.0):
    """A shipped data set whose optimum is known exactly."""
    model = models().loc[name]
    exact = lme4_reference(name).loc["ML"]["exact"]
    blocks = [":".join(names) for names in ref]
    known = {"sd": exact["sd"].loc[["Residual", *blocks]].to_numpy(float)}
    dat = load_data(name)
    if exact["beta"].notna().all():
        known["beta"] = exact["beta"].to_numpy(float)
    return Case(name, model.form, dat, ref, why, points, source=EXACT, known=known)


def crossed(n, seed, levels=(5, 4, 3)):
    """n rows with three crossed factors, unbalanced, and a covariate, and the three blocks."""
    rng = np.random.default_rng(seed)
    dat = pd.DataFrame({name: pd.Categorical([f"{name}{i + 1}" for i in rng.permutation(np.arange(n) % m)])
                        for name, m in zip("abc", levels)})
    dat["x"] = rng.normal(size=n).round(3)
    effects = sum(sd * rng.normal(size=m)[dat[name].cat.codes] for name, m, sd in zip("abc", levels, (3.0, 1.5, 0.8)))
    dat["y"] = (10 + 0.5 * dat["x"] + effects + rng.normal(size=n)).round(4)
    return dat, [["a"], ["b"], ["c"]]


def two(given):
    """The data, and the first two of the blocks."""
    dat, ref = given
    return dat, ref[:2]


def unobserved():
    """An interaction one of whose combinations has no rows."""
    dat, _ = crossed(60, 18)
    dat = dat[~((dat["a"] == "a1") & (dat["b"] == "b2"))].reset_index(drop=True)
    return Case("an unobserved combination", "y ~ x", dat, [["a"], ["a", "b"]],
                "no row has a1 with b2, so the block a:b has a column of zeros, or none for it")


def numeric():
    """A numeric variable within an interaction: an independent slope for each group."""
    rng = np.random.default_rng(7)
    dat = pd.DataFrame({"g": pd.Categorical([f"g{i // 8 + 1}" for i in range(96)]), "x": np.tile([0, 1, 2, 3], 24)})
    intercepts, slopes = rng.normal(0, 3, 12), rng.normal(0, 1.5, 12)
    dat["y"] = (20 + 2 * dat["x"] + intercepts[dat["g"].cat.codes] + slopes[dat["g"].cat.codes] * dat["x"]
                + rng.normal(size=len(dat))).round(3)
    dat = dat.drop(index=[2, 5, 30, 31, 62, 77]).reset_index(drop=True)
    g, cells = dummies(dat["g"]), dummies(dat["g"].astype(str) + ":" + dat["x"].astype(str))
    return Case("a numeric interaction", "y ~ x", dat, [["g"], ["g", "x"]],
                "x is a number: the block g:x has one slope for each g, as model.matrix(~ g:x - 1) has",
                rivals=(("x is taken as a factor in the block g:x, where it is a number: one slope for each g", (g, cells)),
                        ("x is ignored in the block g:x, which has its values where g's block has ones", (g, g))))


def missing():
    """Rows with missing values, in y and in a variable of X."""
    dat, ref = two(crossed(50, 14))
    dat.loc[[3, 17, 40], "y"] = np.nan
    dat.loc[[8, 30], "x"] = np.nan
    kept = len(dat.dropna())
    first = tuple(dummies(dat[name])[:kept] for name in "ab")
    return Case("missing values", "y ~ x", dat, ref, "five rows lack y or x; they are left out of y, X and Z together",
                rivals=(("the rows of Z are not those of y and X: rows with missing values are to be left out of all", first),))


def integers():
    """Groups whose categories are integers."""
    dat, ref = two(crossed(45, 14))
    dat["a"] = pd.Categorical(dat["a"].cat.codes.astype(int) * 3 + 1)
    misread = dat["a"].astype(float).to_numpy()[:, None], dummies(dat["b"])
    return Case("categories that are integers", "y ~ x", dat, ref, "a is a factor whose levels are 1, 4, 7, 10, 13",
                rivals=(("a, a factor with integer levels, is taken as a number", misread),))


def dummies(groups):
    """A column of zeros and ones for each group."""
    return pd.get_dummies(groups).to_numpy(float)
