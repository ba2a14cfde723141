"""Mistakes in adding up (4), and the log-determinant (2) in it."""

from functools import partial

import numpy as np

from .model import Mistake


def mistaken_sums(model, columns_counted=()):
    """The mistakes in adding up the criterion d + q / 2.

    d is 1/2 log|V|, q the weighted sum of squares, and x, of REML, 1/2 log|X' V^-1 X|.

    Parameters
    ----------
    model : Model
    columns_counted : sequence of (str, int)
        How else the columns of Z are counted, in words, and their number.
    """
    n, p = model.n, model.p
    parts = model.remembered_parts

    def mistake(sentence, combine):
        def evaluate(theta):
            d, q, x, beta = parts(theta)
            return combine(d, q, x), beta

        return Mistake(sentence, evaluate, n)

    yield mistake(
        "REML, not ML: the criterion holds 1/2 log|X'WX|",
        lambda d, q, x: d + q / 2 + x,
    )
    yield mistake(
        "REML, not ML, and log|X'WX| is not halved in it",
        lambda d, q, x: d + q / 2 + 2 * x,
    )
    yield mistake(
        "1/2 log|X'WX| is subtracted from the criterion, which has none of it",
        lambda d, q, x: d + q / 2 - x,
    )
    yield mistake(
        "log|V| is not halved",
        lambda d, q, x: 2 * d + q / 2,
    )
    yield mistake(
        "log|V| is halved twice",
        lambda d, q, x: d / 2 + q / 2,
    )
    yield mistake(
        "the weighted sum of squares is not halved",
        lambda d, q, x: d + q,
    )
    yield mistake(
        "the weighted sum of squares is halved twice",
        lambda d, q, x: d + q / 4,
    )
    yield mistake(
        "the weighted sum of squares is not squared: it is its root",
        lambda d, q, x: d + q**0.5 / 2,
    )
    yield mistake(
        "log|V| is missing from the criterion",
        lambda d, q, x: q / 2,
    )
    yield mistake(
        "log|V| has the wrong sign",
        lambda d, q, x: q / 2 - d,
    )
    yield mistake(
        "the weighted sum of squares is missing from the criterion",
        lambda d, q, x: d,
    )
    yield mistake(
        "the weighted sum of squares has the wrong sign",
        lambda d, q, x: d - q / 2,
    )
    if p == 0:
        yield from _sums_of_none(model)
    elif n > p:
        yield from _sums_of_two(model)
    else:
        yield from _sums_of_many_columns(model)
    if p > 0:
        yield from _sums_of_relative(model)
        yield from _counted(model, columns_counted)


def _adding(model, sentence, add):
    """The mistake of `add` to the criterion, a function of theta and the weighted squares."""
    def evaluate(theta):
        d, q, _, beta = model.remembered_parts(theta)
        return d + q / 2 + add(theta, q), beta

    return Mistake(sentence, evaluate, model.n)


def _sums_of_none(model):
    """Without random effects: least squares."""
    def not_divided(theta, q):
        """The squares as they are, in place of those over sigma^2."""
        sigma2 = _sigma2(theta)
        return q * (sigma2 - 1) / 2

    def divided_by_sigma(theta, q):
        sigma = _sigma2(theta) ** 0.5
        return q * (sigma - 1) / 2

    yield _adding(
        model,
        "the sum of squares is not divided by sigma^2 where there are no random effects",
        not_divided,
    )
    yield _adding(
        model,
        "the sum of squares is divided by sigma, not by its square",
        divided_by_sigma,
    )


def _sigma2(theta):
    return np.exp(2 * theta[0])


def _sums_of_many_columns(model):
    """Where Z has as many columns as rows, or more: then R has n rows, and (2) no second part."""
    r = min(model.n, model.p)
    yield _adding(
        model,
        "log|V| has (n - p) log sigma^2 though p > n: R has min(n, p) rows, as many as count",
        lambda theta, q: (model.n - model.p) * theta[0],
    )
    yield _adding(
        model,
        "log|V| has (p - n) log sigma^2 though R has min(n, p) rows, as many as count",
        lambda theta, q: (model.p - r) * theta[0],
    )
    yield _adding(
        model,
        "log|V| has n log sigma^2 beside log|R psi R' + sigma^2 I|, whose R has n rows",
        lambda theta, q: model.n * theta[0],
    )


def _sums_of_two(model):
    """Mistakes in (2), where 1/2 log|V| = a + b.

    a is the sum of the logs of the diagonal of the Cholesky triangle of R psi R' + sigma^2 I, and
    b is (n - p) log sigma.
    """
    n, p = model.n, model.p

    def mistake(sentence, combine):
        def evaluate(theta):
            half_logdet, q, _, beta = model.remembered_parts(theta)
            b = (n - p) * theta[0]
            return combine(half_logdet - b, b) + q / 2, beta

        return Mistake(sentence, evaluate, n)

    diagonal = "1/2 log|R psi R' + sigma^2 I| is to be the sum of the logs of L's diagonal"
    yield mistake(
        "log|V| lacks (n - p) log sigma^2",
        lambda a, b: a,
    )
    yield mistake(
        "log|V| has n log sigma^2 where (n - p) log sigma^2 is due",
        lambda a, b: a + b * n / (n - p),
    )
    yield mistake(
        "log|V| has p log sigma^2 where (n - p) log sigma^2 is due",
        lambda a, b: a + b * p / (n - p),
    )
    yield mistake(
        "log|V| has (n - p) log sigma where (n - p) log sigma^2 is due",
        lambda a, b: a + b / 2,
    )
    yield mistake(
        "(n - p) log sigma^2 is subtracted from log|V|",
        lambda a, b: a - b,
    )
    yield mistake(
        "(n - p) log sigma^2 is not halved with the rest of log|V|",
        lambda a, b: a + 2 * b,
    )
    yield mistake(
        "log|V| lacks log|R psi R' + sigma^2 I|",
        lambda a, b: b,
    )
    yield mistake(
        f"{diagonal}, and is half of that",
        lambda a, b: a / 2 + b,
    )
    yield mistake(
        f"{diagonal}, and is twice that",
        lambda a, b: 2 * a + b,
    )


def _sums_of_relative(model):
    """Mistakes in log|V| = n log sigma^2 + log|I + Z psi Z' / sigma^2|, as lme4 has it."""
    n, k = model.X.shape
    relative = "in a criterion relative to sigma, as lme4's"
    yield _adding(
        model,
        f"log|V| lacks n log sigma^2, {relative}",
        lambda theta, q: -n * theta[0],
    )
    yield _adding(
        model,
        f"log|V| has n log sigma where n log sigma^2 is due, {relative}",
        lambda theta, q: -n * theta[0] / 2,
    )
    yield _adding(
        model,
        f"log|V| has (n - k) log sigma^2 where n log sigma^2 is due, {relative}",
        lambda theta, q: -k * theta[0],
    )


def _counted(model, columns_counted):
    """Another number of columns p in (n - p) log sigma^2."""
    r = min(model.n, model.p)

    def more(count, theta, q):
        return (r - count) * theta[0]

    for words, count in columns_counted:
        if count != r:
            yield _adding(model, words, partial(more, count))
