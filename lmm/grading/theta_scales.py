"""A theta that is right but for its scale or its order."""

import numpy as np

# -- scales: from what theta holds to log standard deviations ------------------------------------

def _halved_logs(theta):
    return np.log(theta) / 2


def _halved(theta):
    return theta / 2


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


def in_another_scale_or_order(theta, is_right):
    """The sentence on a theta that is right in another order or scale, or "".

    `is_right` judges log standard deviations, log sigma first.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        for order, arranged in THETA_ORDERS:
            moved = arranged(theta)
            if order and is_right(moved):
                return f"theta is right but for its order: {order}"
            for scale, word, to_log in THETA_SCALES:
                logs = to_log(moved)
                if is_right(logs):
                    sentence = f"theta holds {scale}: {_shown(moved, logs, word)}"
                    return f"{sentence}; and {order}" if order else sentence
    return ""


def _shown(theta, logs, word):
    """The first block's element beside what was asked, or sigma's where there is no block."""
    i = min(1, len(logs) - 1)
    return f"{word} = {theta[i]:.3g} where log sd = {logs[i]:.3g} was asked"
