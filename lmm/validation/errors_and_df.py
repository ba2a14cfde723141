"""Standard errors and degrees of freedom against the definition, in unbalanced designs.

There neither has a closed form. At the optimum of the definition, in sixty digits:

    Var beta = C(theta) = (X' V^-1 X)^-1,    A = the inverse of nll's Hessian in theta,
    fitted values = y - sigma^2 V^-1 (y - X beta),
    df of l'beta = 2 c^2 / (g' A g),    c = l' C(theta) l,    g = dc / dtheta       [Satterthwaite],

with Hessian and g by differences.
"""

from decimal import Decimal
from functools import cache

import numpy as np
import pandas as pd

from ..datasets import load_data
from ..fit import lmer
from ..practical import lmm
from . import after_the_fit
from .after_the_fit import few_days
from .closed_forms import sums_of
from .definition import DECIMAL_STEP, Definition, in_sixty_digits, solve
from .likelihood import crossed
from .rows import row_of_digits

ERRORS = "Errors and degrees of freedom"
BY_DEFINITION = "the definition and its differences in sixty decimal digits"
OF_ERRORS = 11.0            # of a ratio of second derivatives


def designs():
    """Unbalanced ones by name: formula and data."""
    lopsided = crossed(36).assign(y=lambda dat: dat["y"] + dat["a"].cat.codes - dat["b"].cat.codes)
    return {
        "Machines, unbalanced": (
            "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)",
            load_data("MachinesUnbalanced"),
        ),
        "two crossed factors": ("y ~ x + (1 | a) + (1 | b)", lopsided),
        "correlated slopes": ("Reaction ~ Days + (Days | Subject)", few_days()),
        "correlated and crossed": ("y ~ x + (x | a) + (1 | b)", with_slopes()),
        "fewer rows than columns": ("y ~ x + (x | a)", of_pairs()),
    }


def of_pairs(levels=14):
    """Two rows for each level, and one more: X and Z have as many columns, or more."""
    rng = np.random.default_rng(0)
    a = np.append(np.repeat(np.arange(levels), 2), 0)
    x = rng.normal(size=len(a)).round(2)
    effects = 3 * rng.normal(size=(levels, 2))
    y = effects[a, 0] + effects[a, 1] * x + rng.normal(size=len(a))
    return pd.DataFrame({"y": y.round(2), "x": x, "a": [f"a{i}" for i in a]})


def with_slopes():
    """Rows of two crossed factors, with an intercept and a slope by the first one."""
    dat = crossed(36)
    intercepts, slopes = np.array([0, 2, -1, 1, -2, 0.5]), np.array([1.5, -1, 0.25, 2, -2, 0.5])
    of_a = intercepts[dat["a"].cat.codes] + slopes[dat["a"].cat.codes] * dat["x"]
    return dat.assign(y=dat["y"] + of_a + 2 * dat["b"].cat.codes)


def rows(quick):
    """Rows of unbalanced designs, of what is known in closed form, of tests; quick or not."""
    for quantity, requirement in (
        ("se", "standard errors of fixed effects"),
        ("cov_theta", "the covariance of log standard deviations"),
        ("df", "degrees of freedom by Satterthwaite"),
        ("fitted", "fitted values, with the conditional modes (5)"),
    ):
        yield row_of_digits(
            ERRORS,
            requirement,
            "of five unbalanced designs, by REML, at the optimum",
            BY_DEFINITION,
            OF_ERRORS,
            _pairs(quantity),
        )
    yield row_of_digits(
        ERRORS,
        "sigma^2 without random effects is RSS / n, by REML RSS / (n - k)",
        "score ~ Machine, 54 rows, 3 fixed effects",
        "sums of squares in exact rationals of the doubles",
        OF_ERRORS,
        _least_squares(),
    )
    yield row_of_digits(
        ERRORS,
        "degrees of freedom by Kenward and Roger",
        "the mean of Dyestuff and of Rail: one less than the number of groups",
        "the analysis of variance of a balanced design",
        OF_ERRORS,
        _df_of_means(),
    )
    yield from after_the_fit.rows(ERRORS, OF_ERRORS)


def _pairs(quantity):
    for name, (form, dat) in designs().items():
        fit = lmer(form, dat)
        if quantity == "cov_theta":
            found = np.ravel(fit.cov_theta().to_numpy())
        else:
            views = {"se": fit.bse**2, "df": fit.df, "fitted": fit.fittedvalues}
            found = np.asarray(views[quantity])
        for i, (number, truth) in enumerate(zip(found.tolist(), right(name)[quantity])):
            yield f"{name}, number {i + 1}", number, truth


def _least_squares():
    dat = load_data("Machines")
    machines = dat.groupby("Machine", observed=True)["score"]
    sums = sums_of([list(map(float, scores)) for _, scores in machines])
    n = sums.k * sums.r
    for reml, df in ((False, n), (True, n - sums.k)):
        fit = lmm("score ~ Machine", dat, reml=reml)
        yield "REML" if reml else "ML", fit.sigma**2, sums.within / df


def _df_of_means():
    for form, data, groups in (
        ("Yield ~ 1 + (1 | Batch)", "Dyestuff", 6),
        ("travel ~ 1 + (1 | Rail)", "Rail", 6),
    ):
        table = lmer(form, load_data(data)).contrast(np.eye(1), df="kr")
        yield data, table["df"].iloc[0], groups - 1


@cache
@in_sixty_digits
def right(name):
    """What the definition says: variances of beta, the covariance of theta, df, fitted values."""
    form, dat = designs()[name]
    fit = lmer(form, dat)
    definition = Definition.of(fit.setup)
    theta, _, beta = definition.optimum(fit.theta)
    _, hessian = definition.derivatives(theta)
    size = len(theta)
    A = [solve(hessian, [Decimal(i == j) for j in range(size)]) for i in range(size)]
    variances = definition.covariance_of_beta(theta)

    # -- dC / dtheta, by differences
    slopes = []
    for i in range(size):
        up, down = list(theta), list(theta)
        up[i] += DECIMAL_STEP
        down[i] -= DECIMAL_STEP
        upper, lower = map(definition.covariance_of_beta, (up, down))
        slopes.append([(upper[j][j] - lower[j][j]) / (2 * DECIMAL_STEP) for j in range(len(beta))])

    # -- 2 c^2 / (g' A g) of each fixed effect
    df = []
    for j in range(len(beta)):
        g = [slope[j] for slope in slopes]
        form = sum(g[a] * A[a][b] * g[b] for a in range(size) for b in range(size))
        df.append(2 * variances[j][j] ** 2 / form)
    return {
        "se": [variances[j][j] for j in range(len(beta))],
        "cov_theta": [value for row in A for value in row],
        "df": df,
        "fitted": definition.fitted(theta),
    }
