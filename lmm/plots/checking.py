"""The diagnostics of a fit on one page."""

import numpy as np
from scipy.special import ndtri

from ..result import column_starts, modes_of
from .canvas import QUIET, as_text, new_axes
from .choices import check_fit
from .diagnostics import quantiles, residuals
from .smooth import smooth_line

SIMULATED = 20          # responses
BINS = 60               # of a density, at most


def check(fit, seed=1):
    """Six diagnostics on one page: what to look at before a fit is trusted.

    Parameters
    ----------
    fit : LMMResult
        Any fit.
    seed : int, optional
        Of the simulated responses.

    Returns
    -------
    ndarray of matplotlib Axes, shape (2, 3)
        Residuals against fitted values, and the roots of their sizes, with smooth lines that should
        be flat; normal quantiles of the residuals, and of the conditional modes of each term, that
        should lie on lines; the response beside simulated ones; leverage beside residuals, where
        the far corners are what moves the fit.

    Raises
    ------
    LMMError
        If `fit` is no fit, or matplotlib is not installed.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> axes = plots.check(fit)                                        # doctest: +SKIP
    """
    check_fit(fit)
    axes = new_axes(None, 2, 3, figsize=(11, 6.5))
    fitted = fit.fittedvalues.to_numpy()
    scaled = fit.resid_scaled.to_numpy()

    residuals(fit, ax=axes[0, 0])
    axes[0, 0].set_title("Residuals: no pattern?", fontsize="medium")

    sizes = np.sqrt(np.abs(scaled))
    axes[0, 1].plot(fitted, sizes, ".", color="C0")
    axes[0, 1].plot(*smooth_line(fitted, sizes), color="C1")
    axes[0, 1].set_xlabel(f"fitted {as_text(fit.setup.design.response)}")
    axes[0, 1].set_ylabel("root of |scaled residual|")
    axes[0, 1].set_title("Spread: the same everywhere?", fontsize="medium")

    quantiles(fit, ax=axes[0, 2])
    axes[0, 2].set_title("Residuals: normal?", fontsize="medium")

    _modes(fit, axes[1, 0])
    axes[1, 0].set_title("Random effects: normal?", fontsize="medium")

    _simulated(fit, seed, axes[1, 1])
    axes[1, 1].set_title("Simulated data: like the response?", fontsize="medium")

    axes[1, 2].axhline(0, **QUIET)
    axes[1, 2].plot(fit.leverage.to_numpy(), scaled, ".", color="C0")
    axes[1, 2].set_xlabel("leverage")
    axes[1, 2].set_ylabel("scaled residual")
    axes[1, 2].set_title("Influence: rows far to the right?", fontsize="medium")
    return axes


def _modes(fit, ax):
    """Normal quantiles of each block's conditional modes, over their standard deviation."""
    blocks = fit.setup.design.blocks
    starts = column_starts(blocks)
    modes = modes_of(fit).b
    drawn = 0
    for number, block in enumerate(blocks):
        values = np.sort(modes[starts[number] : starts[number + 1]])
        spread = values.std()
        if len(values) > 2 and spread > 0:
            z = ndtri((np.arange(len(values)) + 0.5) / len(values))
            ax.plot(z, values / spread, ".", color=f"C{number}", label=as_text(block.name))
            drawn += 1
    if not drawn:
        why = "no random effects" if not blocks else "all random effects are 0"
        ax.text(0.5, 0.5, why, ha="center", va="center", transform=ax.transAxes)
        return
    ax.axline((0, 0), slope=1, **QUIET)
    ax.legend(fontsize="small", frameon=False)
    ax.set_xlabel("standard normal quantile")
    ax.set_ylabel("conditional mode / its sd")


def _simulated(fit, seed, ax):
    """The density of the response over those of simulated ones, all by the same bins."""
    y = fit.setup.design.y
    draws = fit.simulate(SIMULATED, seed=seed).to_numpy()
    bins = min(BINS, max(8, int(np.sqrt(len(y)))))
    edges = np.histogram_bin_edges(np.concatenate([y, draws.ravel()]), bins)
    centres = 0.5 * (edges[:-1] + edges[1:])
    for column in draws.T:
        density, _ = np.histogram(column, edges, density=True)
        ax.plot(centres, density, color="grey", lw=0.6, alpha=0.6)
    density, _ = np.histogram(y, edges, density=True)
    ax.plot(centres, density, color="C0", lw=2)
    ax.set_xlabel(f"{as_text(fit.setup.design.response)} (blue), simulated (grey)")
    ax.set_ylabel("density")
