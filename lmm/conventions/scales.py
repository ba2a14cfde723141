"""A theta that is right but for its scale or its order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# -- scales: from what theta holds to log standard deviations ------------------------------------

def _halved_logs(theta):
    return np.log(theta) / 2


def _halved(theta):
    return theta / 2


def _first_halved(theta):
    return np.append(theta[:1] / 2, theta[1:])


def _log_then_sds(theta):
    return np.append(theta[:1], np.log(theta[1:]))


def _log_then_relative_sds(theta):
    return np.append(theta[:1], np.log(theta[1:]) + theta[:1])


def _sd_then_relative_sds(theta):
    log_sigma = np.log(theta[:1])
    return np.append(log_sigma, np.log(theta[1:]) + log_sigma)


def _log_then_log_relative_sds(theta):
    return np.append(theta[:1], theta[1:] + theta[:1])


# what theta holds, what its elements are called, and how it becomes log standard deviations
THETA_SCALES = (
    (
        "the standard deviations themselves",
        "sd",
        np.log,
    ),
    (
        "variances",
        "variance",
        _halved_logs,
    ),
    (
        "log variances",
        "log variance",
        _halved,
    ),
    (
        "log sigma^2, then log standard deviations",
        "log variance",
        _first_halved,
    ),
    (
        "log sigma, then standard deviations",
        "sd",
        _log_then_sds,
    ),
    (
        "log sigma, then standard deviations relative to sigma, as in lme4",
        "relative sd",
        _log_then_relative_sds,
    ),
    (
        "sigma, then standard deviations relative to it, as in lme4",
        "relative sd",
        _sd_then_relative_sds,
    ),
    (
        "log sigma, then logs of standard deviations relative to sigma",
        "log relative sd",
        _log_then_log_relative_sds,
    ),
)


# -- orders: to log sigma first, then the blocks as in ref ---------------------------------------

def _as_it_is(theta):
    return theta


def _blocks_reversed(theta):
    return np.append(theta[:1], theta[:0:-1])


def _last_first(theta):
    return np.roll(theta, 1)


def _reversed(theta):
    return theta[::-1]


THETA_ORDERS = (
    ("", _as_it_is),
    ("its blocks are in reverse order; they follow ref", _blocks_reversed),
    ("log sigma is last, where it is to be first", _last_first),
    ("it is in reverse order: log sigma is first, then the blocks as in ref", _reversed),
)


@dataclass(frozen=True)
class Misread:
    """A theta that is right but for its scale or its order.

    Attributes
    ----------
    words : str
        How it is to be read, as it is said of any case.
    shown : str
        The same with an element of this theta.
    to_logs : function
        From such a theta to log standard deviations, log sigma first.
    """

    words: str
    shown: str
    to_logs: Callable


def in_another_scale_or_order(theta, is_right, n, k):
    """The `Misread` for each scale and order in which theta is right.

    `is_right` judges log standard deviations, log sigma first; n rows and k columns of X are what
    a standard deviation may have been multiplied for.
    """
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for order, arranged in THETA_ORDERS:
            moved = arranged(theta)
            if order and is_right(moved):
                words = f"theta is right but for its order: {order}"
                yield Misread(words, words, arranged)
            for scale, word, to_log in THETA_SCALES:
                logs = to_log(moved)
                if is_right(logs):
                    yield _scaled(moved, logs, scale, word, order, arranged, to_log)
        yield from _multiplied(theta, is_right, n, k)


def _scaled(moved, logs, scale, word, order, arranged, to_log):
    """The `Misread` of a scale, and perhaps of an order as well."""
    words = f"theta holds {scale}"
    shown = f"{words}: {_shown(moved, logs, word)}"
    if order:
        words, shown = (f"{said}; and {order}" for said in (words, shown))
    return Misread(words, shown, lambda theta: to_log(arranged(np.asarray(theta, float))))


def _multiplied(theta, is_right, n, k):
    """Standard deviations times sqrt(n / (n - k)): sigma's, or all."""
    if n == k:
        return
    larger = np.log(n / (n - k)) / 2
    for what, elements in (("sigma is", slice(0, 1)), ("the standard deviations are", slice(None))):
        shift = np.zeros(len(theta))
        shift[elements] = larger
        if is_right(theta - shift):
            words = (
                f"{what} multiplied by sqrt(n / (n - k)), as for REML; the estimates of maximum "
                "likelihood are asked"
            )
            yield Misread(words, words, lambda given, shift=shift: given - shift)


def _shown(theta, logs, word):
    """The first block's element beside what was asked, or sigma's where that is the one to tell."""
    differs = theta != logs
    i = 1 if len(logs) > 1 and differs[1] else 0
    return f"{word} = {theta[i]:.3g} where log sd = {logs[i]:.3g} was asked"
