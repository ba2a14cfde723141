"""What is computed after a fit, each beside its formula: p-values, predictions, tests.

p-values have closed forms where degrees of freedom are two:

    P(F(2, m) > x) = (1 + 2 x / m)^(-m / 2),    P(chi2(2) > x) = exp(-x / 2),
    P(|t(2)| > x) = 1 - x / sqrt(2 + x^2).

Errors of predictions follow from V, R being sigma^2 I, P = V^-1 - V^-1 X (X'V^-1 X)^-1 X'V^-1,

    Var[b | y, beta] = psi - psi^2 z'V^-1 z,            z a level's column,
    Var of the error of X beta + Z E[b | y] = R - R P R.

Kenward and Roger's F (1997, equations (1) to (9)) takes V and its derivatives, (n, n), in doubles.
"""

from decimal import Decimal
from functools import cache

import numpy as np

from ..datasets import load_data
from ..fit import lmer
from ..inference import anova
from .definition import Definition, in_sixty_digits
from .rows import row_of_digits, row_of_truth

MACHINES = "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)"
NORMAL_QUANTILE = "1.959963984540054235524594430520551"        # of 0.975
ENGINES = ("dense", "blocked")
INTERVAL = Decimal("0.95")


def rows(section, least):
    """The rows, of the section's title, of so many digits."""
    for requirement, test, reference, find in (
        (
            "p-values and intervals where degrees of freedom are two",
            "F, t, and likelihood ratio, of Machines, unbalanced, and three batches of Dyestuff",
            "closed forms of the F, t and chi-squared distributions",
            _p_values,
        ),
        (
            "standard deviations of conditional modes",
            "Machines, unbalanced: of workers and of their machines",
            "psi - psi^2 z'V^-1 z in sixty decimal digits, at the optimum",
            _errors_of_modes,
        ),
        (
            "errors of predictions, and their intervals",
            "Machines, unbalanced: of each row the mean, and a new observation",
            "R - R P R in sixty decimal digits, at the optimum",
            _errors_of_predictions,
        ),
        (
            "F and degrees of freedom by Kenward and Roger, unbalanced",
            "Machines, unbalanced, and days of sleepstudy left out: terms of two degrees",
            "the formulas of Kenward and Roger (1997) with V, (n, n)",
            _kenward_roger,
        ),
    ):
        yield row_of_digits(section, requirement, test, reference, least, find())
    yield row_of_truth(
        section,
        "how many parameters, and degrees of freedom of the residual",
        "Machines, unbalanced: 44 rows, 3 fixed effects, 3 variances",
        "counted",
        _counted,
    )


def machines(reml=True, engine=None):
    """The fit of Machines, unbalanced."""
    return lmer(MACHINES, load_data("MachinesUnbalanced"), reml=reml, engine=engine)


def _counted():
    fit = machines()
    found = fit.nobs, fit.npar, fit.df_resid
    return found == (44, 6, 44 - 6), ", ".join(map(str, found))


# -- p-values --------------------------------------------------------------------------------------


def _p_values():
    fit = machines()
    for method in ("satterthwaite", "kr"):
        test = anova(fit, df=method).table.loc["Machine"]
        yield f"F, {method}", test["pvalue"], p_of_f(test["F"], test["den_df"])
    batches = load_data("Dyestuff").iloc[:15].astype({"Batch": str})
    test = lmer("Yield ~ 1 + (1 | Batch)", batches).contrast(np.eye(1), rhs=1500).iloc[0]
    yield "t", test["pvalue"], p_of_t(test["t"])
    half = half_of_t() * Decimal(test["se"])
    for side, sign in (("lower", -1), ("upper", 1)):
        yield f"{side} end", test[side], Decimal(test["estimate"]) + sign * half
    form = "score ~ 1 + (1 | Worker) + (1 | Worker:Machine)"
    smaller = lmer(form, load_data("MachinesUnbalanced"), reml=False)
    test = anova(smaller, machines(reml=False)).table.iloc[-1]
    yield "likelihood ratio", test["pvalue"], p_of_chi_squared(test["chisq"])


@in_sixty_digits
def p_of_f(F, m):
    """P(F(2, m) > F)."""
    return (-Decimal(m) / 2 * (1 + 2 * Decimal(F) / Decimal(m)).ln()).exp()


@in_sixty_digits
def p_of_t(t):
    """P(|t(2)| > |t|)."""
    return 1 - abs(Decimal(t)) / (2 + Decimal(t) ** 2).sqrt()


@in_sixty_digits
def half_of_t():
    """What of t(2) has INTERVAL between - it and it."""
    return INTERVAL * (2 / (1 - INTERVAL**2)).sqrt()


@in_sixty_digits
def p_of_chi_squared(x):
    """P(chi2(2) > x)."""
    return (-Decimal(x) / 2).exp()


# -- predictions -----------------------------------------------------------------------------------


@cache
def _right():
    """By REML, at the optimum of the definition: variances of modes by block, and of rows."""
    fit = machines()
    definition = Definition.of(fit.setup)
    theta, _, _ = definition.optimum(fit.theta)
    of_modes = {}
    for block, t in zip(fit.setup.design.blocks, theta[1:]):
        psi = _exp(2 * t)
        lengths = definition.lengths(theta, block.matrix.toarray().T)
        of_modes[block.name] = [_less(psi, psi**2 * length) for length in lengths]
    sigma2 = _exp(2 * theta[0])
    of_P = definition.lengths(theta, np.eye(fit.nobs), projected=True)
    return of_modes, [_less(sigma2, sigma2**2 * length) for length in of_P], sigma2


def _errors_of_modes():
    of_modes, _, _ = _right()
    for engine in ENGINES:
        for name, found in machines(engine=engine).ranef(tidy=True).groupby("group"):
            for row, variance in zip(found.itertuples(), of_modes[name]):
                yield f"{engine}, {name} {row.level}", row.sd**2, variance


def _errors_of_predictions():
    _, of_rows, sigma2 = _right()
    quantile = Decimal(NORMAL_QUANTILE)
    for engine in ENGINES:
        fit = machines(engine=engine)
        means = fit.predict(se=True)["se"]
        new = fit.predict(interval="prediction")
        halves = (new["upper"] - new["lower"]) / 2
        for i, (se, half, variance) in enumerate(zip(means, halves, of_rows)):
            yield f"{engine}, mean of row {i + 1}", se**2, variance
            yield f"{engine}, observation {i + 1}", half**2, quantile**2 * (variance + sigma2)


@in_sixty_digits
def _exp(value):
    return value.exp()


@in_sixty_digits
def _less(a, b):
    return a - b


# -- Kenward and Roger's F -------------------------------------------------------------------------


def _kenward_roger():
    for name, fit, L in (
        ("Machines", machines(), np.eye(3)[1:]),
        ("sleepstudy", lmer("Reaction ~ Days + (Days | Subject)", few_days()), np.eye(2)),
    ):
        found = fit.contrast(L, df="kr", joint=True).iloc[0]
        F, df = kenward_roger_of(fit, L)
        yield f"F of {name}", found["F"], F
        yield f"df of {name}", found["den_df"], df


def few_days():
    """Five subjects of sleepstudy, many of their days left out: unbalanced."""
    subjects = load_data("sleepstudy").iloc[:50].iloc[::2]
    return subjects.drop(index=[4, 12, 48]).reset_index(drop=True)


def kenward_roger_of(fit, L):
    """F and its degrees of freedom of L beta = 0, from V and its derivatives."""
    X, y = fit.setup.design.X, fit.setup.design.y
    derivatives = [np.eye(len(y))]
    V = fit.sigma**2 * derivatives[0]
    psi = iter(_entries(fit))
    for span in fit.setup.covariance.spans:
        Z = [block.matrix.toarray() for block in fit.setup.design.blocks[span]]
        for i in range(len(Z)):
            for j in range(i + 1):
                V_a = Z[i] @ Z[j].T
                derivatives.append(V_a if i == j else V_a + V_a.T)
                V = V + next(psi) * derivatives[-1]

    # -- Phi, P_a, Q_ab, and W, the inverse of expected information
    V_inverse = np.linalg.inv(V)
    Phi = np.linalg.inv(X.T @ V_inverse @ X)
    P = V_inverse - V_inverse @ X @ Phi @ X.T @ V_inverse
    weighted = [V_inverse @ V_a @ V_inverse for V_a in derivatives]
    P_a = [-X.T @ G @ X for G in weighted]
    PV = [P @ V_a for V_a in derivatives]
    W = np.linalg.inv([[0.5 * np.sum(a * b.T) for b in PV] for a in PV])
    pairs = [(a, b) for a in range(len(W)) for b in range(len(W))]
    added = sum(
        W[a, b] * (X.T @ weighted[a] @ derivatives[b] @ V_inverse @ X - P_a[a] @ Phi @ P_a[b])
        for a, b in pairs
    )
    adjusted = Phi + 2 * Phi @ added @ Phi

    # -- A_1, A_2, and the F whose two moments are matched
    r = len(L)
    Theta = L.T @ np.linalg.inv(L @ Phi @ L.T) @ L
    M = [Theta @ Phi @ one @ Phi for one in P_a]
    A1 = sum(W[a, b] * np.trace(M[a]) * np.trace(M[b]) for a, b in pairs)
    A2 = sum(W[a, b] * np.trace(M[a] @ M[b]) for a, b in pairs)
    B = (A1 + 6 * A2) / (2 * r)
    g = ((r + 1) * A1 - (r + 4) * A2) / ((r + 2) * A2)
    whole = 3 * r + 2 * (1 - g)
    c1, c2, c3 = g / whole, (r - g) / whole, (r + 2 - g) / whole
    mean = 1 / (1 - A2 / r)
    variance = 2 / r * (1 + c1 * B) / ((1 - c2 * B) ** 2 * (1 - c3 * B))
    m = 4 + (r + 2) / (r * variance / (2 * mean**2) - 1)
    beta = Phi @ X.T @ V_inverse @ y
    wald = L @ beta @ np.linalg.solve(L @ adjusted @ L.T, L @ beta)
    return float(m / (mean * (m - 2)) * wald / r), float(m)


def _entries(fit):
    """The lower triangles of the covariances of the terms, row by row."""
    root = fit.setup.covariance.root(fit.theta)
    for span in fit.setup.covariance.spans:
        T = root[span, span]
        psi = T @ T.T
        for i in range(len(psi)):
            yield from psi[i, : i + 1]
