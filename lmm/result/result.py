"""The fitted model: data and one-line views of it.

What takes more than a line to work out is a function of a fit, in the file where its numerics are;
`lmm/methods.py` makes these functions methods and properties of `LMMResult`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..engines import Setup
from . import tables


@dataclass(frozen=True, eq=False, repr=False)
class LMMResult(tables.Shown, Mapping):
    """What `lmm` returns: a mapping with keys ``"beta"`` and ``"theta"``, and these attributes.

    Attributes
    ----------
    beta : ndarray, shape (k,)
        The fixed effects, in the order of X's columns; `params` has them with their names.
    theta : ndarray, shape (1 + number of blocks,)
        log sigma, then the log standard deviation of each block in the order of `ref`; for a term
        with several effects its T, see `LMMprof`.
    nll : float
        The criterion at the optimum: minus the log-likelihood without n/2 log(2 pi).
    optimum : Optimum
        How good the optimum is: gradient, curvature, remaining errors, evaluations by phase,
        ``certified``.
    message : str
        How Nelder-Mead ended.
    setup : Setup
        The model, as `LMMsetup` built it; ``LMMprof(fit.theta, fit.setup)`` evaluates its
        likelihood.
    """

    beta: np.ndarray
    theta: np.ndarray
    nll: float
    triangle: np.ndarray = field(repr=False)    # G with G'G = [Q_X e]' W [Q_X e] at theta
    setup: Setup
    optimum: object                             # an Optimum
    message: str
    evaluated: tuple = field(repr=False)        # (phase, nll, theta) of every evaluation
    plan: object = field(repr=False)            # how it was asked for, a Plan

    # -- the practical's mapping

    def __getitem__(self, key):
        if key not in ("beta", "theta"):
            raise KeyError(
                f"{key!r}: the keys are 'beta' and 'theta'; everything else is an attribute, "
                "such as fit.sigma"
            )
        return getattr(self, key)

    def __iter__(self):
        return iter(("beta", "theta"))

    def __len__(self):
        return 2

    __eq__ = object.__eq__      # a mapping of arrays cannot be compared item by item
    __hash__ = object.__hash__

    # -- what was fitted, and how

    @property
    def sigma(self):
        """The residual standard deviation, units of y."""
        return float(np.exp(self.theta[0]))

    @property
    def reml(self):
        """Whether the criterion was REML's."""
        return self.setup.reml

    @property
    def engine(self):
        """Which linear algebra was used, and on how many columns of Z."""
        return self.setup.engine.describe()

    @property
    def converged(self):
        """Whether the optimum is certified."""
        return self.optimum.certified

    @property
    def nfev(self):
        """How many times the likelihood was evaluated; ``optimum.evaluations`` has it by phase."""
        return len(self.evaluated)

    # -- counts

    @property
    def nobs(self):
        """The number of rows used."""
        return self.setup.design.n

    @property
    def n_dropped(self):
        """The number of rows left out because a variable of the model is missing there."""
        return self.setup.design.n_dropped

    @property
    def dropped(self):
        """The names of the columns of X that were left out, those before them making them."""
        return self.setup.design.left_out.names

    @property
    def npar(self):
        """The number of parameters: beta's and theta's."""
        return len(self.beta) + len(self.theta)

    @property
    def df_resid(self):
        """nobs - npar."""
        return self.nobs - self.npar

    # -- criteria

    @property
    def llf(self):
        """The log-likelihood, with its constant; after a REML fit, the REML criterion's."""
        return -self.nll - 0.5 * self.setup.df * float(np.log(2 * np.pi))

    @property
    def deviance(self):
        """-2 times `llf`."""
        return -2 * self.llf

    @property
    def aic(self):
        """Akaike's criterion, deviance + 2 npar."""
        return self.deviance + 2 * self.npar

    @property
    def bic(self):
        """Schwarz's criterion, deviance + npar log(nobs); nobs also after REML, as in lme4."""
        return self.deviance + self.npar * float(np.log(self.nobs))

    # -- display

    def __repr__(self):
        form = self.setup.design.form
        sds = ", ".join(f"{name} {value:.4g}" for name, value in self.sd.items())
        if sds:
            sds = f", sd: {sds}"
        return (
            f"LMMResult({form!r}, sigma {self.sigma:.4g}{sds}; "
            f"logLik {self.llf:.4f}, {self.nobs} obs)"
        )

    def _tables(self):
        return tables.of_fit(self)
