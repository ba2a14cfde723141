"""Comparison of nested models by likelihood ratio tests.

Source: the chi-squared distribution, Wilks (1938); where a variance is tested, which may not be negative, the mixture of
Self and Liang (1987) and Stram and Lee (1994).
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from ..errors import LMMError
from ..fit import by_likelihood
from ..fitting import NLL_ERROR
from ..model import linear_parts, trace_product, trace_products
from ..result import LMMResult, tables
from .simulation import checked_seed, draws

SAME = 1e-11            # of the squared length of V, below which what other covariances leave of it is nothing
ZERO = 1e-10            # of a variance, the effects being orthonormal, below which it is 0 but for rounding
INSIDE = 1e3            # rounding errors of the length of a column of X, below which what others leave of it is nothing


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(tables.Shown):
    """What `anova` returns; printing it shows the table and the notes.

    Attributes
    ----------
    table : DataFrame
        By model (``m0`` is the first argument), in the order of npar: ``npar aic bic llf deviance chisq df pvalue``,
        each row compared with the one above; ``pvalue_mixture`` where a variance is tested, and after simulations
        ``pvalue_boot``.
    models : dict
        By the same names: formula, and the names of the random-effect terms or, where the formula has bars, None.
    notes : tuple of str
        What to know about the p-values.
    simulated : dict
        By the same names: the simulated values of chisq.
    """

    table: pd.DataFrame
    models: dict
    notes: tuple
    simulated: dict = field(default_factory=dict)

    __repr__ = tables.Shown.__str__

    def _tables(self):
        return tables.of_comparison(self)


def anova(*fits, nsim=0, seed=None, processes=1, progress=True):
    """Compare nested models by likelihood ratio tests.

    Parameters
    ----------
    *fits : LMMResult
        Two or more fits of the same response on the same rows, in any order; REML fits are refitted by maximum
        likelihood, for REML's criteria with different fixed effects cannot be compared.
    nsim : int, optional
        If not 0: how many responses to simulate from the smaller of each two models, by maximum likelihood, for a p-value
        that needs no asymptotics: the share of simulated chisq that reach the one found, counting it among them.
    seed : int, optional
        For the simulations: the same seed, the same result.
    processes : int, optional
        Over how many processes to spread the simulations.
    progress : bool, optional
        Whether to show a progress bar, if tqdm is installed.

    Returns
    -------
    Comparison
        Printing it shows the table.

    Raises
    ------
    LMMError
        If there are fewer than two fits, or they are of different data.

    Notes
    -----
    chisq is twice the difference of the log-likelihoods. Where the larger model has another variance, the null hypothesis
    lies on the boundary and the chi-squared p-value is conservative, too large; with one variance the 50:50 mixture of
    chi-squared with and without its degree of freedom is the asymptotic distribution, given as ``pvalue_mixture``.

    Examples
    --------
    >>> small = lmm("strength ~ 1", load_data("Pastes"), ["sample"])
    >>> large = small.update(ref=["batch", "sample"])
    >>> float(anova(small, large).table.pvalue["m1"].round(4))
    0.5234
    """
    names = _checked(fits)
    if nsim != 0:
        checked_seed(nsim, seed)
    by_reml = [name for name, fit in zip(names, fits) if fit.reml]
    notes = [f"{', '.join(by_reml)}: refitted by maximum likelihood, being by REML"] if by_reml else []
    ordered = sorted(zip(names, map(by_likelihood, fits)), key=lambda pair: pair[1].npar)
    rows, simulated = {}, {}
    for i, (name, fit) in enumerate(ordered):
        row = {"npar": fit.npar, "aic": fit.aic, "bic": fit.bic, "llf": fit.llf, "deviance": fit.deviance}
        if i:
            below, smaller = ordered[i - 1]
            row |= {"chisq": ratio(smaller, fit), "df": fit.npar - smaller.npar}
            values, remark = test(row["chisq"], row["df"], below, smaller, name, fit)
            row |= values
            notes += remark
            if nsim and "pvalue" in row:
                values = draws(smaller, [smaller, fit], ratio, nsim, seed, processes, progress)
                simulated[name] = np.array([value for value in values if not isinstance(value, str)])
                notes.append(f"bootstrap p-value of {name} from {len(simulated[name])} simulations of {below}")
                row["pvalue_boot"] = (1 + np.sum(simulated[name] >= row["chisq"])) / (1 + len(simulated[name]))
                if failed := len(values) - len(simulated[name]):
                    notes.append(f"{failed} of {len(values)} simulations for {name} failed and are left out")
        rows[name] = row
    models = {name: (design.form, None if any(term.bar for term in design.terms) else list(design.term_names))
              for name, design in ((name, fit.setup.design) for name, fit in ordered)}
    return Comparison(pd.DataFrame.from_dict(rows, orient="index"), models, tuple(notes), simulated)


def ratio(smaller, larger):
    """Twice the log of the likelihood ratio, 0 where it is nothing but the errors of the two optima."""
    gap = smaller.nll - larger.nll
    return 2 * gap if abs(gap) > NLL_ERROR * max(1.0, abs(larger.nll)) else 0.0


def test(chisq, df, below, smaller, name, larger):
    """The p-values of one comparison, by column of the table, and a list of remarks about them."""
    if df == 0:
        return {}, [f"{name} has as many parameters as {below}, so there is no p-value for this row"]
    if not nested(smaller, larger):
        return {}, [f"{name} does not contain {below}, so there is no p-value for this row"]
    if chisq < 0:
        return {}, [f"{name} contains {below} but fits worse, so its optimum was missed; fit it again with another start="]
    p = {"pvalue": float(chdtrc(df, chisq))}
    tested, dimensions = on_the_boundary(smaller, larger)
    if not tested:
        return p, []
    better = "give nsim= for a p-value by simulation"
    if dimensions == 1:
        without = float(chdtrc(df - 1, chisq)) if df > 1 else float(chisq == 0)
        p["pvalue_mixture"] = 0.5 * (p["pvalue"] + without)
        better = "the 50:50 mixture is beside it"
    return p, [f"{name} against {below} tests {' and '.join(tested)} on the boundary: p is conservative (too large); {better}"]


def expressed(smaller, larger):
    """V of the smaller model in terms of the larger one's entries of psi, the effects of each term made orthonormal in both.

    Returns psi of the larger model where the smaller one's effects are independent with the variance 1, (J, J), and how much is
    left of the matrices that V is linear in, relative to their length.
    """
    n = smaller.nobs
    known, wanted = [(None, None), *linear_parts(larger.setup.design)], linear_parts(smaller.setup.design)
    G, rhs = trace_products(known, known, n), trace_products(known, wanted, n)
    lengths = np.sqrt(G.diagonal())
    solution = np.linalg.lstsq(G / lengths / lengths[:, None], rhs / lengths[:, None], rcond=1e-14)[0] / lengths[:, None]
    left = [abs(trace_product(a, a, n) - x @ r) / trace_product(a, a, n) for a, x, r in zip(wanted, solution.T, rhs.T)]
    own = smaller.setup.covariance.entries
    return larger.setup.covariance.entries.psi_of(solution[:, own.rows == own.columns].sum(axis=1)), max(left, default=0.0)


def on_the_boundary(smaller, larger):
    """What the larger model lets vary that is 0 in the smaller one: texts, and how many dimensions they are together."""
    psi, covariance, design = expressed(smaller, larger)[0], larger.setup.covariance, larger.setup.design
    texts, dimensions = [], 0
    for name, b in zip(design.term_names, covariance.spans):
        zero = psi[b, b].diagonal() < ZERO
        others = psi[b, b][~zero][:, ~zero]
        scale = np.sqrt(others.diagonal())
        singular = len(others) - (np.linalg.matrix_rank(others / scale / scale[:, None], tol=ZERO) if len(others) else 0)
        texts += [f"the variance of {one.name}" for one, at_zero in zip(design.blocks[b], zero) if at_zero]
        texts += [f"{singular} more dimension{'s' if singular > 1 else ''} of {name}"] * bool(singular)
        dimensions += zero.sum() + singular
    return texts, dimensions


def nested(smaller, larger):
    """Whether the columns of X of one model are among those of the other, and its V among the other's."""
    X, Q = smaller.setup.design.weighted(smaller.setup.design.X), larger.setup.Q_X
    left = np.linalg.norm(X - Q @ (Q.T @ X), axis=0)
    nothing = INSIDE * np.sqrt(len(X)) * np.finfo(float).eps * np.linalg.norm(X, axis=0)
    return bool(np.all(left <= nothing)) and expressed(smaller, larger)[1] < SAME


def _checked(fits):
    """The models' names; an LMMError if they cannot be compared."""
    for i, fit in enumerate(fits):
        if not isinstance(fit, LMMResult):
            raise LMMError(f"argument {i} of anova is of type {type(fit).__name__}; it compares what lmm returns")
    if len(fits) < 2:
        raise LMMError("anova compares two fits or more; for the tests within one, see its summary()")
    for i, fit in enumerate(fits[1:], 1):
        one, other = fits[0].setup.design, fit.setup.design
        if len(one.y) != len(other.y):
            raise LMMError(f"m0 was fitted to {len(one.y)} rows and m{i} to {len(other.y)}; fit both to the rows where no "
                           f"variable of either is missing: dat = dat.dropna(subset={list(one.data | other.data)})")
        if not np.array_equal(one.weighted(np.ones(len(one.y))), other.weighted(np.ones(len(one.y)))):
            raise LMMError(f"m0 and m{i} were fitted with different weights; their likelihoods cannot be compared")
        if not np.array_equal(one.y, other.y):
            what = (f"responses, {one.response!r} and {other.response!r}" if one.response != other.response
                    else f"values of {one.response!r}, or other rows, or the same in another order")
            raise LMMError(f"m0 and m{i} were fitted to different {what}; their likelihoods cannot be compared")
    return [f"m{i}" for i in range(len(fits))]
