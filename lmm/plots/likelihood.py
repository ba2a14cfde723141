"""Pictures of the likelihood: the profile of one parameter, and the surface over two, with the way to its top."""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..errors import LMMError, shorten
from ..practical import LMMprof
from ..result import check_level
from .canvas import DASHED, QUIET, as_text, check_fit, first_pair, new_axes

GRID = 40               # points along each side of a likelihood surface
FLAT = 4.0              # log units below sigma's scale, where a standard deviation is as good as zero
CONTOURS = np.outer(10.0 ** np.arange(9), [1, 2, 5]).ravel()


def profiles(profile, kind=None, name=None, level=0.95, ax=None):
    """The profile of one parameter: zeta, the signed root of twice the drop of the log-likelihood, against its value.

    The confidence interval lies between the crossings with the horizontal lines, the normal quantiles. Where the curve is
    straight, the log-likelihood is a parabola and Wald's interval is right; where it bends, it is not.

    Parameters
    ----------
    profile : DataFrame
        As ``fit.profile()`` returns it.
    kind, name : str, optional
        Of the parameter, as in `profile`: ``"sd"``, ``"sigma"``. By default the first that fits.
    level : float, optional
        Of the confidence interval, between 0 and 1.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    check_level(level)
    if not isinstance(profile, pd.DataFrame) or not {"kind", "name", "value", "zeta"} <= set(profile.columns):
        raise LMMError(f"profile, of type {type(profile).__name__}, has not the columns kind, name, value and zeta; it is what "
                       "fit.profile() returns")
    kind, name = first_pair(list(zip(profile["kind"], profile["name"])), "kind name", (kind, name))
    curve = profile[(profile["kind"] == kind) & (profile["name"] == name)]
    ax = new_axes(ax)
    for z in ndtri([0.5 - level / 2, 0.5 + level / 2]):
        ax.axhline(z, **DASHED, label=f"{100 * level:g} % interval" if z > 0 else None)
    ax.axvline(curve["value"].to_numpy()[np.argmin(np.abs(curve["zeta"]))], **QUIET)
    ax.plot(curve["value"].to_numpy(), curve["zeta"].to_numpy(), ".-", color="C0")
    ax.legend()
    of = "correlation of " if kind == "corr" else "sd of " if kind == "sd" and name != "sigma" else ""
    ax.set(xlabel=of + as_text(name), ylabel="zeta")
    return ax


def surface(fit, first=None, second=None, ax=None):
    """The likelihood over two elements of theta, and the way the fit took to its optimum.

    Contours of twice the drop of the log-likelihood (or of REML's criterion), the other elements of theta being at their
    estimates; and each evaluation by Nelder-Mead and by Newton's iteration, where the others were elsewhere. Where
    the estimate is a standard deviation of zero, -inf on this scale, the picture ends where the surface has become flat.

    Parameters
    ----------
    fit : LMMResult
    first, second : str, optional
        Elements of theta, as in ``fit.setup.labels``: ``"sigma"`` or a block. By default the first two blocks, or sigma
        and the only one.
    ax : Axes, optional

    Returns
    -------
    Axes

    Notes
    -----
    Costs 1600 evaluations of the likelihood.
    """
    check_fit(fit)
    setup, labels, trace = fit.setup, list(fit.setup.labels), fit.trace
    covariance = setup.covariance
    if len(labels) == 1:
        raise LMMError("the fit has no random effects, so theta is log sigma alone and has no surface; name a block in ref")
    usual = [label for label in (labels[1:3] if len(labels) > 2 else labels) if label not in (first, second)]
    first, second = first or usual.pop(0), second or usual.pop(0)
    if not {first, second} <= set(labels) or first == second:
        raise LMMError(f"first and second are {first!r} and {second!r}; they are two of {shorten(labels)}")
    chosen = [labels.index(first), labels.index(second)]
    estimate = fit.theta[chosen]
    edge = np.full(len(labels), -np.inf)
    edge[covariance.directions] = fit.theta[0] + setup.units - FLAT
    edge = edge[chosen]
    edge = np.where(np.isfinite(estimate), np.minimum(edge, estimate - 1), edge)
    best = np.maximum(estimate, edge)
    axes = [setup.log_labels[i] for i in chosen]
    paths = [np.maximum(trace.loc[trace["phase"] == phase, axes], edge).to_numpy()
             for phase in ("simplex", "newton")]
    reach = 3 * np.sqrt(np.diag(fit.cov_theta())[chosen])
    reach = np.where(covariance.logs[chosen], np.fmin(reach, FLAT + 1), np.nan_to_num(reach, nan=fit.sigma))
    ends = np.vstack([*paths, best - reach, best + reach])
    x, y = np.linspace(np.maximum(ends.min(axis=0) - 0.2, edge), ends.max(axis=0) + 0.2, GRID).T
    theta, drop = fit.theta.copy(), np.full((GRID, GRID), np.nan)
    for i, j in np.ndindex(drop.shape):
        theta[chosen] = x[j], y[i]
        drop[i, j] = 2 * (LMMprof(theta, setup) - fit.nll)
    highest = drop[np.isfinite(drop)].max()
    levels = [level for level in CONTOURS if level < highest] or [highest / 2]
    ax = new_axes(ax)
    lines = ax.contour(x, y, drop, levels, colors="0.6", linewidths=0.8)
    ax.clabel(lines, fontsize="small", fmt="%g", colors="0.4")
    for path, color, label in zip(paths, ("C0", "C1"), ("Nelder-Mead", "Newton")):
        if len(path):
            ax.plot(*path.T, ".-", color=color, lw=0.6, ms=4, label=label)
    if len(trace):
        start = np.maximum(trace[axes].to_numpy()[0], edge)
        ax.plot(*start, "s", color="C0", ms=5, label="start")
    label = "optimum" if np.isfinite(estimate).all() else "optimum (sd 0, at the edge)"
    ax.plot(*best, "kx", ms=9, mew=2, clip_on=False, zorder=3, label=label)
    ax.plot([], [], color="0.6", lw=0.8, label=f"{'REML criterion' if fit.reml else '-2 log-likelihood'} above its least")
    ax.set(xlabel=as_text(axes[0]), ylabel=as_text(axes[1]))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize="small")
    return ax
