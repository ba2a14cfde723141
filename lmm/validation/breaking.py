"""The package broken on purpose, to show that the dossier can fail: `lmm validate --break`.

Each break replaces one function for a while by a wrong one.
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import log
from types import SimpleNamespace

import numpy as np

from ..datasets import load_data
from ..engines import Setup
from ..errors import unknown_name
from ..fit import lmer
from ..fitting import certify
from ..inference import contrast, df
from ..practical import LMMsetup


@dataclass(frozen=True)
class Break:
    """One thing made wrong.

    Attributes
    ----------
    what : str
    fails : tuple of str
        How the requirements begin that are not met then.
    replaced : callable
        Returns the places: (object, name of its attribute, wrong function).
    """

    what: str
    fails: tuple
    replaced: object


# -- the wrong functions ---------------------------------------------------------------------------


def _engine(name):
    """The class of an engine."""
    return type(LMMsetup("Yield ~ 1", load_data("Dyestuff"), "Batch", engine=name).engine)


def _module(function):
    """The module in which a function of the package is."""
    return sys.modules[function.__module__]


def _wrong_sign_in_logdet():
    """(2) with - (n - p) log sigma^2."""
    dense = _engine("dense")
    right = dense.__call__

    def wrong(self, phi):
        found = right(self, phi)
        return found._replace(logdet=found.logdet - 2 * (self.n - self.p) * log(phi[0]))

    return [(dense, "__call__", wrong)]


def _wrong_sign_in_hessian():
    """(7) with + 1/2 tr(W V_i W V_j)."""
    dense = _engine("dense")
    right = dense.information

    def wrong(self, phi, state, pulled, reml, averaged=False):
        found = right(self, phi, state, pulled, reml, averaged)
        M, N = self._products(phi, state)
        _, F = pulled(N)
        squares = self.pairs.squares(M - F.T @ F if reml else M)
        return found._replace(hessian=found.hessian + squares)

    return [(dense, "information", wrong)]


def _single_precision():
    """U'WU rounded to float32."""
    dense = _engine("dense")
    right = dense.__call__

    def wrong(self, phi):
        found = right(self, phi)
        return found._replace(cross=found.cross.astype(np.float32).astype(float))

    return [(dense, "__call__", wrong)]


def _wrong_df():
    """Satterthwaite's without its factor of two."""
    right = _module(df).satterthwaite
    return everywhere(right, lambda fit, L=None: right(fit, L) / 2)


def everywhere(right, wrong):
    """The places in the package's modules, but for this one, that have a function."""
    return [
        (module, name, wrong)
        for module in list(sys.modules.values())
        if module.__name__.startswith("lmm.") and module.__name__ != __name__
        for name, value in list(vars(module).items())
        if value is right
    ]


def _wrong_df_of_reml():
    """n in place of n - k."""
    return [(Setup, "df", property(lambda self: self.design.n))]


def _wrong_log_of_blocked():
    """log|V| of the blocked engine without a part of it."""
    blocked = _engine("blocked")
    right = blocked.__call__

    def wrong(self, phi):
        found = right(self, phi)
        return found._replace(logdet=found.logdet + log(phi[0]))

    return [(blocked, "__call__", wrong)]


def _wrong_kenward_roger():
    """F without its scale."""
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff"))
    errors = type(_module(contrast).kenward_roger(fit))
    right = errors.f_test

    def wrong(self, L, difference):
        F, r, m, scale = right(self, L, difference)
        return F / scale, r, m, scale

    return [(errors, "f_test", wrong)]


def _worthless_certificate():
    """Every theta is certified."""
    return everywhere(
        certify, lambda *given: replace(certify(*given), certified=True, reasons=())
    )


def _wrong_modes():
    """Their standard deviations, twice as large."""
    def doubling(right):
        def wrong(self, phi, Lambda):
            N, posterior = right(self, phi, Lambda)
            forms = posterior.quadratic_forms
            return N, SimpleNamespace(sds=lambda: 2 * posterior.sds(), quadratic_forms=forms)

        return wrong

    engines = [_engine("dense"), _engine("blocked")]
    return [(engine, "conditional", doubling(engine.conditional)) for engine in engines]


def _wrong_p_values():
    """Of the F distribution with a degree of freedom too many."""
    right = _module(contrast).p_of_f
    return everywhere(right, lambda F, num_df, den_df: right(F, num_df + 1, den_df))


CRITERION = "the criterion (4) in double precision, dense engine"
BREAKS = {
    "sign": Break(
        "the sign of (n - p) log sigma^2 in (2)",
        (CRITERION, "SmLs01: the fit of the doubles", "Dyestuff:"),
        _wrong_sign_in_logdet,
    ),
    "hessian": Break(
        "the sign of tr(W V_i W V_j) in (7)",
        ("the second derivatives (7), dense engine", "the covariance of log standard deviations"),
        _wrong_sign_in_hessian,
    ),
    "float32": Break(
        "U'WU in single precision",
        (CRITERION, "the fixed effects (3), dense engine"),
        _single_precision,
    ),
    "df": Break(
        "Satterthwaite's degrees of freedom, half of them",
        ("degrees of freedom by Satterthwaite", "a split plot: F and degrees of freedom by Satt"),
        _wrong_df,
    ),
    "reml": Break(
        "REML with n in place of n - k",
        ("sigma^2 without random effects",),
        _wrong_df_of_reml,
    ),
    "blocked": Break(
        "log|V| of the blocked engine",
        ("the criterion (4) in double precision, blocked engine",),
        _wrong_log_of_blocked,
    ),
    "kr": Break(
        "Kenward and Roger's F without its scale",
        ("F and degrees of freedom by Kenward and Roger, unbalanced",),
        _wrong_kenward_roger,
    ),
    "certificate": Break(
        "the certificate, which every theta has",
        ("no certificate",),
        _worthless_certificate,
    ),
    "modes": Break(
        "standard deviations of conditional modes, twice as large",
        ("standard deviations of conditional modes",),
        _wrong_modes,
    ),
    "p": Break(
        "p-values of F with a degree of freedom too many",
        ("p-values and intervals",),
        _wrong_p_values,
    ),
}


# -- while it is broken ----------------------------------------------------------------------------


@contextmanager
def broken(name):
    """A context in which the package is wrong as `BREAKS[name]` says."""
    if name not in BREAKS:
        raise unknown_name("break", name, BREAKS)
    places = BREAKS[name].replaced()
    inherited = [attribute not in vars(owner) for owner, attribute, _ in places]
    right = [getattr(owner, attribute) for owner, attribute, _ in places]
    try:
        for owner, attribute, wrong in places:
            setattr(owner, attribute, wrong)
        yield BREAKS[name]
    finally:
        for (owner, attribute, _), function, was_inherited in zip(places, right, inherited):
            if was_inherited:
                delattr(owner, attribute)
            else:
                setattr(owner, attribute, function)


def not_caught(name, dossier):
    """The requirements that should have failed and did not, of those that were tested."""
    return [
        row.requirement
        for row in dossier.rows
        if row.passed and row.requirement.startswith(BREAKS[name].fails)
    ]


def is_caught(name, dossier):
    """Whether rows that name what is wrong were tested, and all of them failed."""
    named = [row for row in dossier.rows if row.requirement.startswith(BREAKS[name].fails)]
    return bool(named) and not not_caught(name, dossier)
