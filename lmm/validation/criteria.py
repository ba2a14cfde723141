"""-2 log L, AIC and BIC by what is left out, what is counted, and whose log is taken."""

import numpy as np

from ..practical import LMMprof

ML_AT_REML = "-2 log-likelihood of ML at the estimates of REML"
MULTIPLES = {           # of -2 log L, what it is called
    1.0: "-2 log L",
    -1.0: "2 log L",
    -0.5: "log L",
    0.5: "-log L",
}


def deviance_of(nll, rows):
    """-2 log L of a value of `LMMprof`; the constant is of n rows, of n - k by REML."""
    return 2 * float(nll) + rows * float(np.log(2 * np.pi))


def deviances(bases):
    """(parts, -2 log L, fit) with and without constants, by each criterion in `bases`."""
    two_pi = float(np.log(2 * np.pi))
    for base, fit in bases:
        k = len(fit.beta)
        D = fit.deviance
        yield base, D, fit
        df = fit.setup.df
        words = "(n - k) log 2 pi" if fit.reml else "n log 2 pi"
        yield (*base, f"without the constant {words} of -2 log L"), D - df * two_pi, fit
        if fit.reml and k:
            logdet = 2 * float(np.log(np.abs(np.diag(fit.setup.R_X))).sum())
            yield (*base, "REML's constant with n log 2 pi, not n - k"), D + k * two_pi, fit
            yield (*base, "REML's criterion with log |X'X| taken off"), D - logdet, fit
            yield (*base, "REML's criterion with log |X'X| taken off, without the constant "
                          "(n - k) log 2 pi"), D - logdet - df * two_pi, fit
    for _, fit in bases:
        if fit.reml:
            nll = LMMprof(fit.theta, fit.setup, reml=False)
            yield (ML_AT_REML,), deviance_of(nll, fit.nobs), fit


def multiples(bases, own):
    """(parts, number) of -2 log L times what it may be printed as; `own` is what is meant."""
    for parts, D, _ in deviances(bases):
        for factor, said in MULTIPLES.items():
            which = () if factor == own else (f"{said}, where {MULTIPLES[own]} is meant",)
            yield parts + which, factor * D


def _parameter_counts(fit):
    """(parts, how many parameters a criterion counts)."""
    k, q = len(fit.beta), len(fit.theta)
    yield (), k + q
    yield ("the variance parameters alone counted, as SAS after REML",), q
    yield ("sigma not counted",), k + q - 1
    yield ("the fixed effects alone counted",), k
    yield ("the fixed effects and sigma counted",), k + 1


def aics(bases):
    """(parts, AIC)."""
    for parts, D, fit in deviances(bases):
        for counted, npar in _parameter_counts(fit):
            yield parts + counted, D + 2 * npar


def bics(bases):
    """(parts, BIC)."""
    for parts, D, fit in deviances(bases):
        for counted, npar in _parameter_counts(fit):
            for number, N in _sample_sizes(fit):
                yield parts + counted + number, D + npar * float(np.log(N))


def _sample_sizes(fit):
    """(parts, N of BIC's log N)."""
    yield (), fit.nobs
    k = len(fit.beta)
    if k and fit.nobs > k:
        yield ("log(n - k) in BIC",), fit.nobs - k
    seen = set()
    for block in fit.setup.design.blocks:
        count = len(block.levels)
        if block.group and block.group not in seen and count > 1:
            seen.add(block.group)
            yield (f"the log of the {count} levels of {block.group} in BIC",), count
