"""Wrong answers at random, of which no cause is to be named."""

import numpy as np

from lmm import LMMprof
from lmm.grading.diagnosis import STOPPED, UNKNOWN, Likelihood


def answer(beta, theta):
    """What a process says of a dict."""
    items = {}
    for name, values in (("beta", beta), ("theta", theta)):
        numbers = list(map(float, values))
        items[name] = {"type": "ndarray", "kind": "array", "shape": [len(numbers)], "values": numbers, "items": {}}
    return {"returned": {"type": "dict", "kind": "mapping", "items": items}}


def invented(judges, count, seed):
    """(case, causes) wherever a wrong answer at random is told a cause."""
    rng = np.random.default_rng(seed)
    told = []
    for _ in range(count):
        judge = judges[rng.integers(len(judges))]
        beta, theta = wrong_numbers(rng, judge)
        likelihood = wrong_likelihood(rng, judge)
        verdict = judge.fit(answer(beta, theta), likelihood)
        vague = any(UNKNOWN in cause or STOPPED in cause for cause in verdict.causes)
        if likelihood.mistakes or not (verdict.passed or vague):
            told.append((judge.case.name, likelihood.mistakes, verdict.causes))
    return told


def wrong_numbers(rng, judge):
    """beta and theta: theta moved, or any; beta moved, right, that of theta, or any."""
    case = judge.case
    theta = np.where(np.isfinite(case.theta), case.theta, case.theta[0] - 9)
    if rng.random() < 0.25:
        theta = rng.uniform(-2, 3, len(theta))
    else:
        theta = theta + rng.normal(0, rng.choice([0.03, 0.1, 0.5, 2.0]), len(theta))
    betas = (
        case.beta + rng.normal(size=len(case.beta)) * judge.se,
        case.beta,
        LMMprof(theta, judge.setup).beta,
        rng.normal(size=len(case.beta)) * np.abs(case.beta),
    )
    return betas[rng.integers(len(betas))], theta


def wrong_likelihood(rng, judge):
    """Mostly none; else right values, or values times a number at random, or disturbed as well."""
    kind = rng.integers(10)
    if kind > 2:
        return Likelihood(None, "")
    values = np.array([judge.nll(theta) for theta in judge.case.thetas])
    if kind > 0:
        values = values * (1 + rng.normal(0, 0.1))
    if kind > 1:
        values = values + rng.normal(size=len(values))
    described = [
        {"returned": {"type": "float", "kind": "number", "value": float(value)}} for value in values
    ]
    return judge.likelihood({"values": described})
