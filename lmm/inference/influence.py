"""What each level of a grouping does to a fit: refits without it; and robust covariances by it.

Sources: Cook (1977), Belsley, Kuh and Welsch (1980); for mixed models Demidenko and Stukel (2005).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten, warn
from ..fit import without_rows
from ..model import Matrices
from .batches import Batches

ROWS_WITHOUT = 2_000_000      # of the responses without each level


def influence(fit, by=None):
    """Refits without each level of a grouping, and how far they are from this fit.

    Parameters
    ----------
    by : str, optional
        A grouping of the random effects, such as ``"Subject"`` or ``"Worker:Machine"``, or a column
        of `dat`; by default the only grouping.

    Returns
    -------
    DataFrame
        By level: ``cooks_distance``; ``dfbetas[...]`` by fixed effect; ``change[...]`` of sigma and
        of each sd, units of y; ``converged``. nan where the model without the level is none that
        can be fitted.

    Raises
    ------
    LMMError
        If there is no such grouping, or several and none is named; for a fit of matrices.

    Warns
    -----
    LMMWarning
        About the levels without which the model cannot be fitted, and why.

    Notes
    -----
    With beta_(i) from the fit without level i, of k fixed effects, and C = (X'WX)^-1 of this fit,

        cooks_distance = (beta - beta_(i))' C^-1 (beta - beta_(i)) / k,

    to which lme4 adds a factor (G - k) / G for G levels. dfbetas is beta_(i) - beta over the
    standard errors of the fit without the level, as in lme4. All changes are from this fit to the
    other one. A refit for each level, all of them together where the design allows it, as by
    `lmm_many`.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> fit.influence().cooks_distance.round(3).nlargest(2).to_dict()
    {'309': 0.149, '335': 0.129}
    """
    design = fit.setup.design
    if isinstance(design.formula, Matrices):
        raise LMMError(
            "this is a fit of matrices, whose rows belong to no data to leave out; fit without "
            "them, and compare"
        )
    codes, levels = levels_of(fit, by)
    C = fit.cov_params().to_numpy()
    sds = np.array([fit.sigma, *fit.sd])
    k = len(fit.beta)
    rows = []
    lost = {}
    for level, less in zip(levels, _without_each(fit, codes, len(levels))):
        if isinstance(less, str):
            lost[level] = less
            rows.append([np.nan] * (1 + k + len(sds)) + [False])
            continue
        d = less.beta - fit.beta
        distance = d @ np.linalg.solve(C, d) / k if k else np.nan
        rows.append([distance, *(d / less.bse), *(less.sds - sds), less.converged])
    if lost:
        first, why = next(iter(lost.items()))
        warn(
            f"the model cannot be fitted without {shorten(list(lost))}, which is nan; "
            f"without {first!r}: {why}"
        )
    names = [f"dfbetas[{name}]" for name in design.x_names]
    names += [f"change[{name}]" for name in ("sigma", *fit.sd.index)]
    index = pd.Index(levels, name=by if by is not None else design.blocks[0].group)
    return pd.DataFrame(rows, index, ["cooks_distance", *names, "converged"])


class _Less(NamedTuple):
    """The estimates without a level."""

    beta: np.ndarray        # (k,)
    bse: np.ndarray         # (k,)
    sds: np.ndarray         # (1 + J,) sigma's, and those of the blocks
    converged: bool


def _without_each(fit, codes, n_levels):
    """The `_Less` without each level, or why there is none: a text.

    All together, as responses with missing values.
    """
    setup = fit.setup
    design = setup.design
    start = setup.covariance.rescaled(fit.theta, -fit.theta[0])
    batches = Batches(setup, fit.plan, start)
    at_a_time = max(1, ROWS_WITHOUT // len(codes))
    for first in range(0, n_levels, at_a_time):
        numbers = np.arange(first, min(first + at_a_time, n_levels))
        Y = np.where(codes[:, None] == numbers, np.nan, design.y[:, None])

        def alone(y):
            return without_rows(fit, ~np.isnan(y))

        found = batches.fit(Y, alone)
        log_sds = setup.covariance.log_sds(found.theta)
        sds = np.exp(np.column_stack([found.theta[:, 0], log_sds]))
        for b in range(len(numbers)):
            if np.isnan(found.nll[b]):
                yield found.reasons[b]
            else:
                bse = np.sqrt(found.variance[b])
                yield _Less(found.beta[b], bse, sds[b], bool(found.converged[b]))


def levels_of(fit, by):
    """``(codes (n,), levels)`` of a grouping, or of a column of the data."""
    design = fit.setup.design
    groups = {block.group: block for block in design.blocks if block.group}
    if by is None:
        if len(groups) != 1:
            found = ", ".join(map(repr, groups)) or "none"
            raise LMMError(f"by is None, where there are several groupings or none: {found}; "
                           "name one")
        (by,) = groups
    if not isinstance(by, str):
        raise LMMError(f"by is {by!r}; it is the name of a grouping, or of a column of dat")
    if by in groups:
        return groups[by].codes, list(groups[by].levels)
    if by not in design.dat.columns:
        found = ", ".join(map(repr, groups)) or "none"
        raise LMMError(f"by is {by!r}, which is no grouping of the fit, {found}, nor a column of "
                       "dat")
    column = design.dat[by].iloc[design.rows]
    if column.isna().any():
        raise LMMError(f"by is {by!r}, which is missing in rows of the fit")
    codes, levels = pd.factorize(column, sort=True)
    return codes, list(levels)
