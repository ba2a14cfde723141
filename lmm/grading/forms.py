"""A theta that is right but for its scale or its order."""

import numpy as np


def _rest(change):
    """Another first element, or the same, and a change of the rest: a function of theta by a function of sigma and blocks."""
    return lambda theta: np.concatenate(change(theta[:1], theta[1:]))


# name, what its elements are called, and how it becomes log standard deviations
FORMS = (
    ("the standard deviations themselves", "sd", np.log),
    ("variances", "variance", lambda theta: np.log(theta) / 2),
    ("log variances", "log variance", lambda theta: theta / 2),
    ("log sigma, then standard deviations", "sd", _rest(lambda sigma, blocks: (sigma, np.log(blocks)))),
    ("log sigma, then standard deviations relative to sigma, as in lme4", "relative sd",
     _rest(lambda sigma, blocks: (sigma, np.log(blocks) + sigma))),
    ("sigma, then standard deviations relative to it, as in lme4", "relative sd",
     _rest(lambda sigma, blocks: (np.log(sigma), np.log(blocks) + np.log(sigma)))),
    ("log sigma, then logs of standard deviations relative to sigma", "log relative sd",
     _rest(lambda sigma, blocks: (sigma, blocks + sigma))),
)
ORDERS = (
    ("", lambda theta: theta),
    ("its blocks are in reverse order; they follow ref", _rest(lambda sigma, blocks: (sigma, blocks[::-1]))),
    ("log sigma is last, where it is to be first", lambda theta: np.roll(theta, 1)),
    ("it is in reverse order: log sigma is first, then the blocks as in ref", lambda theta: theta[::-1]),
)


def in_another_form(theta, is_right):
    """The sentence on a theta that is right in another order or scale, or ""; `is_right` judges log standard deviations."""
    with np.errstate(invalid="ignore", divide="ignore"):
        for order, arranged in ORDERS:
            moved = arranged(theta)
            if order and is_right(moved):
                return f"theta is right but for its order: {order}"
            for form, word, to_log in FORMS:
                logs = to_log(moved)
                if is_right(logs):
                    i = min(1, len(logs) - 1)
                    sentence = f"theta holds {form}: {word} = {moved[i]:.3g} where log sd = {logs[i]:.3g} was asked"
                    return f"{sentence}; and {order}" if order else sentence
    return ""
