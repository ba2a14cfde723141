"""Pictures of a fit, those of Bates's slides on lme4 and a few more: ``plots.caterpillar(fit)``.

Each function draws on the Axes it is given, `ax`, or on a new figure, and returns the Axes; nothing
is shown, and no setting of matplotlib is changed. matplotlib is an optional extra, imported when a
figure is made. A name that the fit does not have is an `LMMError` that lists those it has.
"""

from .checking import check
from .data import panels
from .diagnostics import influence, quantiles, residuals
from .likelihood import surface
from .marginal import effects, means
from .modes import caterpillar, pairs
from .proving import proof
from .volcano import volcano
from .within import shrinkage
from .zeta import profiles

__all__ = [
    "caterpillar",
    "check",
    "effects",
    "influence",
    "means",
    "pairs",
    "panels",
    "profiles",
    "proof",
    "quantiles",
    "residuals",
    "shrinkage",
    "surface",
    "volcano",
]
