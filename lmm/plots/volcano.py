"""The picture of one effect over many responses: how large it is, and how surely it is there."""

import numpy as np

from ..errors import LMMError, unknown_name
from ..inference import Fits
from .canvas import QUIET, as_text, new_axes

SMALLEST = 1e-300       # of a p-value, that its logarithm is a number


def volcano(fits, effect, rate=0.05, names=5, ax=None):
    """The p-value of a fixed effect against its estimate, a point for each response.

    Parameters
    ----------
    fits : Fits
        As `lmm_many`, `lmer_many` or ``fit.refit`` of several responses returns them.
    effect : str
        A fixed effect, such as ``"treated[T.yes]"``.
    rate : float, optional
        The false discovery rate: responses with a q-value below it are coloured.
    names : int, optional
        How many of these are named, those with the smallest p-values.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        -log10 p over the estimate, units of y.

    Raises
    ------
    LMMError
        If `fits` are none, have no such effect, or matplotlib is not installed.

    Examples
    --------
    >>> fits = lmm_many("~ Days", load_data("sleepstudy"), "Subject", ["Reaction"])
    >>> ax = plots.volcano(fits, "Days")                               # doctest: +SKIP
    """
    if not isinstance(fits, Fits):
        kind = type(fits).__name__
        raise LMMError(f"fits is of type {kind}; it is what lmm_many or lmer_many returns")
    if effect not in fits.params:
        raise unknown_name("fixed effect", effect, list(fits.params))
    if isinstance(rate, (str, bool)) or not 0 < rate < 1:
        raise LMMError(f"rate is {rate!r}; it is a share between 0 and 1, such as 0.05")
    estimate = fits.params[effect]
    p = fits.pvalues[effect]
    height = -np.log10(np.maximum(p, SMALLEST))
    found = fits.qvalues[effect] < rate

    ax = new_axes(ax)
    ax.axvline(0, **QUIET)
    ax.plot(estimate[~found], height[~found], ".", color="0.6", label="others")
    label = f"q < {rate:g}: {int(found.sum())} of {int(p.notna().sum())}"
    ax.plot(estimate[found], height[found], "^", color="C3", markersize=4, label=label)
    for name in p[found].nsmallest(names).index:
        place = (estimate[name], height[name])
        offset = {"xytext": (3, 2), "textcoords": "offset points"}
        ax.annotate(as_text(name), place, fontsize="x-small", **offset)
    ax.set_xlabel(as_text(effect))
    ax.set_ylabel("-log10 p")
    ax.legend()
    return ax
