"""Pictures of a fit, those of Bates's slides on lme4 and a few more: ``from lmm import plots; plots.caterpillar(fit)``."""

from .pictures import *  # noqa: F403
from .pictures import __all__  # noqa: F401
