"""Mistakes in what the elements of theta are, and a theta that does not reach beta."""

import numpy as np

from .model import Mistake

TINY_SD = 1e-300            # whose log can be taken


def mistaken_thetas(model):
    """The mistakes, each a `Mistake`."""
    def moved(sentence, change):
        def evaluate(theta):
            return model.evaluate(change(np.array(theta, float)))

        return Mistake(sentence, evaluate, model.n)

    yield Mistake(
        "beta is that of OLS, whatever theta: theta does not reach its weights",
        lambda theta: model.evaluate(theta, beta=model.ols),
        model.n,
    )
    for sentence, change in _changes():
        yield moved(sentence, change)
    for sentence, change in SIGMAS:
        yield moved(sentence, _sigma_alone(change))
        yield Mistake(sentence, _in_matrix_alone(model, change), model.n)
    for sentence, change in _changes_of_blocks(len(model.blocks)):
        yield moved(sentence, change)
    yield moved(
        "log sigma is taken to be the last element of theta, where it is the first",
        lambda t: np.roll(t, 1),
    )


def _blocks_alone(change):
    """A change of theta, of the blocks' elements alone."""
    return lambda t: np.append(t[0], change(t[1:]))


def _sigma_alone(change):
    return lambda t: np.append(change(t[0]), t[1:])


def _halved(t):
    return t / 2


def _doubled(t):
    return 2 * t


def _half_squares(t):
    return t**2 / 2


def _logs(t):
    """Of standard deviations that are squared, so that their signs do not matter."""
    return np.log(np.maximum(np.abs(t), TINY_SD))


def _logs_of_variances(t):
    """nan of what is none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.log(t) / 2


def _zero(t):
    return 0.0


# what is wrong with sigma^2, and the log sigma that is used in place of theta's
SIGMAS = (
    ("sigma is not squared: sigma^2 is to be exp(2 theta[0])", _halved),
    ("sigma is squared twice: sigma^2 is to be exp(2 theta[0])", _doubled),
    ("exp(theta^2) stands for exp(2 theta) in sigma^2", _half_squares),
    ("sigma is fixed at 1: theta's first element is not used", _zero),
)


def _in_matrix_alone(model, change):
    """The criterion with another sigma in V, but theta's in the logarithm of (2)."""
    r = min(model.n, model.p)

    def evaluate(theta):
        moved = np.append(change(theta[0]), theta[1:])
        value, beta = model.evaluate(moved)
        return value + (model.n - r) * (theta[0] - moved[0]), beta

    return evaluate


def _changes():
    """(sentence, change of theta): the log standard deviations that are used in its place."""
    yield (
        "theta's standard deviations are not squared: psi and sigma^2 are to hold variances",
        _halved,
    )
    yield (
        "the blocks' standard deviations are not squared: psi is to hold variances",
        _blocks_alone(_halved),
    )
    yield (
        "the standard deviations are squared twice: psi and sigma^2 are to be exp(2 theta)",
        _doubled,
    )
    yield (
        "the blocks' standard deviations are squared twice: psi is to hold exp(2 theta)",
        _blocks_alone(_doubled),
    )
    yield (
        "exp(theta^2) stands for exp(2 theta), the square of exp(theta)",
        _half_squares,
    )
    yield (
        "exp(theta^2) stands for exp(2 theta) in psi",
        _blocks_alone(_half_squares),
    )
    yield (
        "theta is taken as standard deviations: its elements are their logs",
        _logs,
    )
    yield (
        "the blocks' elements of theta are taken as standard deviations: they are their logs",
        _blocks_alone(_logs),
    )
    yield (
        "theta is taken as variances: its elements are logs of standard deviations",
        _logs_of_variances,
    )
    yield (
        "the blocks' elements of theta are taken as variances: they are logs of sds",
        _blocks_alone(_logs_of_variances),
    )
    yield (
        "the blocks' standard deviations are taken relative to sigma, as in lme4",
        lambda t: np.append(t[0], t[1:] + t[0]),
    )


def _changes_of_blocks(J):
    """(sentence, change of theta) for what several blocks can be mistaken for."""
    if J < 2:
        return
    yield (
        "all blocks share one variance, the first block's",
        lambda t: np.append(t[0], np.full(J, t[1])),
    )
    yield (
        "all blocks share one variance, the last block's",
        lambda t: np.append(t[0], np.full(J, t[-1])),
    )
    yield (
        "theta's blocks are in reverse order: they follow ref",
        lambda t: np.append(t[0], t[:0:-1]),
    )
    for j in range(1, J + 1):
        yield f"block {j} of {J} is missing from V", _without(j)


def _without(j):
    """A change of theta: the j-th block's standard deviation is zero."""
    def change(theta):
        theta[j] = -np.inf
        return theta

    return change
