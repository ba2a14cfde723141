"""Which effects can be told from the residual: judged with the weights, and within the levels; lme4 counts them."""

import numpy as np
import pandas as pd
import pytest
from helpers import CRITERION, THETA, lmer_setup
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from lmm import LMMError, LMMsetup, lmer, lmm


def studies(k, seed=21):
    """A mean of each of k studies, its variance known up to a factor."""
    rng = np.random.default_rng(seed)
    v = np.exp(rng.uniform(-4, 1, k))
    dat = pd.DataFrame({"study": [f"s{i}" for i in range(k)], "w": 1 / v, "x": rng.normal(size=k)})
    return dat.assign(y=0.3 + 0.5 * dat["x"] + rng.normal(size=k) * 0.6 + rng.normal(size=k) * np.sqrt(v))


def optimum(dat, reml):
    """theta and nll by another optimiser, V being diagonal: sigma^2 / w + sd^2."""
    X = np.column_stack([np.ones(len(dat)), dat["x"]])
    y = dat["y"].to_numpy()

    def nll(theta):
        variances = np.exp(2 * theta[0]) / dat["w"].to_numpy() + np.exp(2 * theta[1])
        A = X.T / variances @ X
        e = y - X @ np.linalg.solve(A, X.T @ (y / variances))
        penalty = np.linalg.slogdet(A)[1] if reml else 0.0
        return 0.5 * (np.log(variances).sum() + e @ (e / variances) + penalty)

    starts = [minimize(nll, start, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 4000})
              for start in ([0.0, 0.0], [-0.5, -1.0], [-1.0, -0.5])]
    return min(starts, key=lambda found: found.fun)


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("k", [40, 150, 1200])
def test_a_weighted_mean_of_each_group(k, reml):
    dat = studies(k)
    fit = lmer("y ~ x + (1 | study)", dat, weights="w", reml=reml)
    right = optimum(dat, reml)
    assert fit.converged and fit.setup.engine.name == ("blocked" if k > 1000 else "dense")
    assert_allclose(fit.nll, right.fun, atol=CRITERION)
    assert_allclose(fit.theta, right.x, atol=10 * THETA + 1e-7)
    X = np.column_stack([np.ones(k), dat["x"]])
    for other in (lmm("y ~ x", dat, "study", reml=reml, weights=dat["w"].tolist()),
                  lmm(dat["y"], X, {"study": np.eye(k)}, weights=dat["w"], reml=reml)):
        assert_allclose(other.nll, fit.nll, rtol=1e-12)


# R 4.2.2, lme4 1.1-31, its checks of numbers ignored: lmer(y ~ x + (1 | study), studies(40), weights = w)
def test_a_weighted_mean_of_each_group_is_lme4s():
    fit = lmer("y ~ x + (1 | study)", studies(40), weights="w")
    assert_allclose([fit.sd["study"], fit.sigma, fit.llf], [0.73492349, 0.74298751, -52.30886331], rtol=1e-5)


@pytest.mark.parametrize("weights, tells", [
    (None, False), (np.full(30, 3.3), False), (np.where(np.arange(30) == 7, 1 + 1e-14, 1.0), False),
    (np.where(np.arange(30) == 7, 2.0, 1.0), True), (np.arange(1.0, 31), True)])
def test_a_level_a_row_is_told_from_the_residual_by_weights_that_differ(weights, tells):
    dat = studies(30).assign(h=np.arange(30) // 5)
    calls = [lambda: LMMsetup("y ~ x", dat, "study", weights=weights), lambda: lmer_setup("y ~ x + (1 | h / study)", dat, weights=weights),
             lambda: LMMsetup(dat["y"], np.ones((30, 1)), {"study": np.eye(30)}, weights=weights)]
    for call in calls:
        if tells:
            assert call().design.p >= 30
        else:
            with pytest.raises(LMMError, match=r"30 levels for 30 observations, so its variance .* cannot be told|told from the residual's"):
                call()


def test_a_slope_a_row_is_the_residual_where_its_square_is_the_variance():
    dat = studies(30).assign(z=lambda d: 1 + d["x"] ** 2)
    assert LMMsetup("y ~ x", dat, [["study", "z"]]).design.p == 30
    for ref in ([["study", "z"]], ["study", ["study", "z"]]):
        with pytest.raises(LMMError, match="block 'study:z' has 30 levels for 30 observations"):
            LMMsetup("y ~ x", dat, ref, weights=1 / dat["z"] ** 2)
    assert LMMsetup("y ~ x", dat, ["study"], weights=1 / dat["z"] ** 2).design.p == 30


def seasons(rows):
    dat = pd.DataFrame([(f"P{i}", s) for i in range(20) for s in ("spring", "fall", "winter")], columns=["Plot", "Season"]).iloc[:rows]
    weights = dat["Season"].map({"spring": 1.0, "fall": 2.0, "winter": 0.5})
    rng = np.random.default_rng(12)
    return dat.assign(y=rng.normal(size=rows), w=weights, u=rng.uniform(1, 3, rows), z=rng.normal(size=rows))


BAR = r"the \(co\)variances of \(.*\), {} effects in each of .* levels for {} observations, and the residual's cannot be told apart"


@pytest.mark.parametrize("rows", [60, 59, 58, 57, 56, 40])
def test_as_many_effects_as_rows_of_a_level_are_refused_complete_or_not(rows):
    dat = seasons(rows)
    for bar, count in ("Season | Plot", 3), ("0 + Season | Plot", 3), ("Season || Plot", 4), ("diag(0 + Season | Plot)", 3), \
                      ("cs(0 + Season | Plot)", 3), ("Season + z | Plot", 4):
        bar = bar if bar.endswith(")") else f"({bar})"
        with pytest.raises(LMMError, match=BAR.format(count, rows)):
            lmer(f"y ~ Season + {bar}", dat)
    for bar in "(Season | Plot)", "diag(0 + Season | Plot)":
        with pytest.raises(LMMError, match=BAR.format(3, rows)):
            lmer(f"y ~ Season + {bar}", dat, weights="w")
    Z = np.column_stack([(dat["Plot"] == p) & (dat["Season"] == s) for p in dat["Plot"].unique() for s in dat["Season"].unique()])
    levels = np.repeat(dat["Plot"].unique(), 3)
    if rows % 3 == 0:
        with pytest.raises(LMMError, match=r"levels of 3 effects for .* observations, so its variance and the residual's cannot be told apart"):
            lmm(dat["y"], np.ones((rows, 1)), {"Plot": (Z, levels)})
    separate = dat.assign(**{s: (dat["Season"] == s) * 1.0 for s in ("spring", "fall", "winter")})
    with pytest.raises(LMMError, match="'sigma', 'Plot:spring', 'Plot:fall', 'Plot:winter' cannot be told apart"):
        lmer("y ~ 1 + (0 + spring | Plot) + (0 + fall | Plot) + (0 + winter | Plot)", separate)


def test_as_many_effects_that_differ_are_a_model():
    dat = seasons(58)
    for form, options in [("y ~ 1 + (0 + Season | Plot)", {"weights": "u"}), ("y ~ 1 + cs(0 + Season | Plot)", {"weights": "w"}),
                          ("y ~ 1 + (1 | Plot)", {}), ("y ~ 1 + (z | Plot)", {})]:
        assert lmer_setup(form, dat, **options).design.p >= 20
    again = pd.concat([dat, dat.head(1).assign(y=1.0)])                         # one plot has a season twice
    assert lmer_setup("y ~ 1 + (0 + Season | Plot)", again).design.p == 60
