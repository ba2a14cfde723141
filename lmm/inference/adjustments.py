"""p-values and critical values of several tests at once, and letters for what they tell apart.

Sources: Tukey (1953), Kramer (1956); Holm (1979); Sidak (1967); Benjamini and Hochberg (1995) for
"fdr"; for the letters Piepho (2004), "An algorithm for a letter-based representation of
all-pairwise comparisons", J. Comput. Graph. Stat. 13.
"""

from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln, ndtr, stdtrit

from ..errors import LMMError
from .satterthwaite import p_of_t

ADJUSTMENTS = ("tukey", "bonferroni", "holm", "sidak", "fdr", "none")
NODES = 160             # of each quadrature
Z_RANGE = 9.0           # beyond which the normal density is nothing
SD_RANGE = 10.0         # likewise for the chi, in its own standard deviations
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def adjusted(t, df, method, n_means):
    """The adjusted two-sided p-values of a family of tests t, (r,); nan where t is.

    All r tests count, those that are nan too, as in R's emmeans: what cannot be estimated from
    these data was meant to be asked.
    """
    p = np.asarray(p_of_t(t, df), float)
    found = np.full(len(p), np.nan)
    there = np.isfinite(p)
    r = len(p)
    known = int(there.sum())
    if not known:
        return found
    p = p[there]
    if method == "tukey":
        pairs = zip(np.asarray(t)[there], np.asarray(df)[there])
        found[there] = [studentized_range(np.sqrt(2) * abs(one), n_means, nu) for one, nu in pairs]
    elif method == "bonferroni":
        found[there] = np.minimum(1.0, r * p)
    elif method == "sidak":
        with np.errstate(divide="ignore"):          # p = 1, of an estimate that is 0, stays 1
            found[there] = -np.expm1(r * np.log1p(-p))
    elif method == "holm":
        order = np.argsort(p)
        steps = np.maximum.accumulate((r - np.arange(known)) * p[order])
        found[np.flatnonzero(there)[order]] = np.minimum(1.0, steps)
    elif method == "fdr":
        order = np.argsort(p)[::-1]
        steps = np.minimum.accumulate(r / (known - np.arange(known)) * p[order])
        found[np.flatnonzero(there)[order]] = np.minimum(1.0, steps)
    else:
        found[there] = p
    return found


def critical_values(df, level, method, n_means, r):
    """How many standard errors an interval is to each side, (r,), so that all cover at `level`.

    Those of Holm's and "fdr" are Bonferroni's.
    """
    df = np.asarray(df, float)
    if method == "tukey":
        return np.array([_tukey_quantile(level, n_means, nu) for nu in df])
    if method == "none":
        tail = 0.5 * (1 - level)
    elif method == "sidak":
        tail = -0.5 * np.expm1(np.log(level) / r)
    else:
        tail = 0.5 * (1 - level) / r
    return -stdtrit(df, tail)


@lru_cache(maxsize=256)
def _tukey_quantile(level, n_means, df):
    """The t whose p-value by Tukey's method is 1 - level."""
    if not np.isfinite(level) or np.isnan(df):
        return np.nan

    def excess(t):
        return studentized_range(np.sqrt(2) * t, n_means, df) - (1 - level)

    upper = 2.0
    while excess(upper) > 0:
        upper *= 2
    return brentq(excess, 0.0, upper, xtol=1e-12, rtol=1e-12)


def studentized_range(q, n_means, df):
    """P(range of n_means normals > q s), s^2 an independent chi-squared over its df.

    By quadrature over the largest, z, and s: m int phi(z) {Phi(z)^(m-1) - [Phi(z) - Phi(z - q
    s)]^(m-1)} dz, the difference without cancellation, so that small ones have their digits too.
    scipy's has the same value to 1e-12, in some three times as long.
    """
    if np.isnan(q) or np.isnan(df):
        return np.nan
    if n_means < 2:
        return 1.0
    s, weights = _chi_nodes(float(df))
    z, of_z = _normal_nodes()
    below = ndtr(z)
    power = n_means - 1
    with np.errstate(divide="ignore"):                  # log 0 where q is 0
        lost = -np.expm1(power * np.log1p(-ndtr(z - q * s[:, None]) / below))
    inner = n_means * (below**power * lost) @ of_z
    return float(np.clip(weights @ inner, 0.0, 1.0))


@lru_cache(maxsize=1)
def _normal_nodes():
    """Nodes z and weights with the normal density."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    z = Z_RANGE * nodes
    return z, Z_RANGE * weights * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)


@lru_cache(maxsize=256)
def _chi_nodes(df):
    """Nodes s and weights with the density of the root of chi-squared over its df."""
    if np.isinf(df):
        return np.ones(1), np.ones(1)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    x = 0.5 * (nodes + 1)
    weights = 0.5 * weights
    sd = 1 / np.sqrt(2 * df)
    lower = 1 - SD_RANGE * sd
    upper = 1 + SD_RANGE * sd
    if lower > 0:
        s = lower + (upper - lower) * x
        weights = weights * (upper - lower)
    else:                                       # s^(df - 1) is not smooth at 0; in x it is
        s = upper * x**4
        weights = weights * upper * 4 * x**3
    log_density = (
        0.5 * df * np.log(df) - (0.5 * df - 1) * np.log(2) - gammaln(0.5 * df)
        + (df - 1) * np.log(s) - 0.5 * df * s**2
    )
    weights = weights * np.exp(log_density)
    return s, weights / weights.sum()


def checked_adjustment(method):
    """The name of an adjustment; an LMMError if there is none of that name."""
    if method not in ADJUSTMENTS:
        raise LMMError(
            f"adjust is {method!r}; it is one of {', '.join(map(repr, ADJUSTMENTS))} "
            "('fdr' is Benjamini and Hochberg's)"
        )
    return method


def letters_of(differ, order):
    """Strings of letters, (m,): two means share none if and only if they differ.

    Parameters
    ----------
    differ : ndarray of bool, shape (m, m)
    order : sequence of int
        In which the means get their letters.

    Notes
    -----
    Piepho's: begin with one letter for all; for each pair that differs, each letter of both becomes
    two, one without either; a letter whose means are all in another one goes.
    """
    m = len(differ)
    sets = [frozenset(range(m))]
    for i in range(m):
        for j in range(i):
            if not differ[i, j]:
                continue
            split = []
            for one in sets:
                split += [one - {i}, one - {j}] if {i, j} <= one else [one]
            distinct = list(dict.fromkeys(split))
            sets = [one for one in distinct if not any(one < other for other in distinct)]
    place = {mean: rank for rank, mean in enumerate(order)}
    sets.sort(key=lambda one: sorted(place[mean] for mean in one))
    if len(sets) > len(ALPHABET):
        raise LMMError(f"{len(sets)} letters are needed, more than there are")
    return ["".join(ALPHABET[k] for k, one in enumerate(sets) if i in one) for i in range(m)]
