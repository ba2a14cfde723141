"""The picture of a profile: zeta against the value of a parameter."""

import numpy as np
import pandas as pd
from scipy.special import ndtri

from ..errors import LMMError
from ..result import check_level
from .canvas import DASHED, QUIET, as_text, new_axes
from .choices import first_match

COLUMNS = {"kind", "name", "value", "zeta"}


def profiles(profile, kind=None, name=None, level=0.95, ax=None):
    """The profile of one parameter: zeta against its value.

    zeta is the signed root of twice the drop of the log-likelihood.

    Parameters
    ----------
    profile : DataFrame
        As ``fit.profile()`` returns it.
    kind, name : str, optional
        Of the parameter, as in `profile`: ``"sd"``, ``"sigma"``. By default the first that fits.
    level : float, optional
        Of the confidence interval, between 0 and 1.
    ax : matplotlib Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib Axes
        The curve over the parameter's value, in natural units (standard deviations, not logs).

    Raises
    ------
    LMMError
        If `profile` is no profile or has no such parameter, `level` is no probability, or
        matplotlib is not installed.

    Notes
    -----
    The confidence interval lies between the crossings with the horizontal lines, the normal
    quantiles. Where the curve is straight, the log-likelihood is a parabola and Wald's interval is
    right; where it bends, it is not.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker"])
    >>> ax = plots.profiles(fit.profile(), "sd", "Worker")             # doctest: +SKIP
    """
    check_level(level)
    if not isinstance(profile, pd.DataFrame) or COLUMNS.difference(profile):
        raise LMMError(
            f"profile, of type {type(profile).__name__}, has not the columns kind, name, value "
            "and zeta; it is what fit.profile() returns"
        )
    known = list(zip(profile["kind"], profile["name"]))
    found = first_match(known, ("kind", "name"), (kind, name))
    curve = profile[[parameter == found for parameter in known]]
    value = curve["value"].to_numpy()
    zeta = curve["zeta"].to_numpy()
    estimate = value[np.argmin(np.abs(zeta))]
    low, high = ndtri([0.5 - level / 2, 0.5 + level / 2])

    ax = new_axes(ax)
    ax.axhline(low, **DASHED)
    ax.axhline(high, **DASHED, label=f"{100 * level:g} % interval")
    ax.axvline(estimate, **QUIET)
    ax.plot(value, zeta, ".-", color="C0")
    ax.legend()
    ax.set_xlabel(_called(*found))
    ax.set_ylabel("zeta")
    return ax


def _called(kind, name):
    """The name of a parameter below its profile."""
    name = as_text(name)
    if kind == "corr":
        return f"correlation of {name}"
    if kind == "sd" and name != "sigma":
        return f"sd of {name}"
    return name
