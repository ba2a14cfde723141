"""What is said of an optimum: its certificate, the errors in it, and whether it is proved global.

What is no optimum must have no certificate: points where the definition's gradient is not zero,
where its Hessian has a negative eigenvalue, or where nll falls as a variance leaves zero. Proofs
are held to seven rows with two optima (lmm/guide/proof.md) and to models that `prove` cannot take.
"""

from decimal import Decimal
from functools import cache

import numpy as np
import pandas as pd

from ..datasets import load_data
from ..fit import certify, lmer
from ..fitting import NLL_ERROR, Plan
from ..practical import LMMprof, fit_of
from .definition import Definition
from .likelihood import Place, crossed, places, set_up_of
from .rows import row_of_truth

CERTIFICATES = "Certificates and proofs"
BESIDE_MACHINES = "Machines, unbalanced, two variances, near the optimum of the definition"
BY_DERIVATIVES = "gradient and Hessian of the definition in sixty decimal digits"
ENGINES = ("dense", "blocked")
OFF = 1e-3              # of theta, log units: a point that is no optimum
OF_SECOND_ORDER = 0.02    # share by which such an error may differ from the distance
LEAST_DEPTH = 0.05      # of nll, by which the worse of the two optima is worse
NEAR_THE_SADDLE = (-0.41, 0.06)       # theta from which Newton's iteration ends in it
NEWTON_STEPS = 6        # of that iteration


def rows(quick):
    """Rows of the certificate by each engine, and of the proof; quick or not."""
    for engine in ENGINES:
        for requirement, test, find in (
            ("an optimum has a certificate", BESIDE_MACHINES, _certified),
            (f"no certificate {OFF:g} beside an optimum", BESIDE_MACHINES, _off),
            ("no certificate in a saddle", "seven rows, between their two optima", _at_saddle),
            ("no certificate where a variance should leave zero", BESIDE_MACHINES, _at_zero),
            ("errors of nll and theta are the distances to the optimum", BESIDE_MACHINES, _errors),
        ):
            yield row_of_truth(
                CERTIFICATES,
                f"{requirement}, {engine} engine",
                test,
                BY_DERIVATIVES,
                lambda find=find, engine=engine: find(engine),
            )
    for requirement, test, find in (
        ("the worse of two optima is refuted", "seven rows, the fit at the worse one", _refuted),
        ("what is global is proved", "Dyestuff; the better of two optima", _proved),
        ("what the proof does not know is left open", "two correlated terms, or three", _open),
    ):
        yield row_of_truth(CERTIFICATES, requirement, test, "lmm/guide/proof.md", find)


# -- the certificate -------------------------------------------------------------------------------


@cache
def _right(reml):
    """The definition's optimum, its nll, and nll where one element is moved."""
    setup = set_up_of(places()["Machines, unbalanced"], reml, "dense")
    definition = Definition.of(setup)
    theta, least, _ = definition.optimum(fit_of(setup, Plan(engine="dense")).theta)
    best = np.array(theta, float)
    beside = [best + OFF * unit for unit in np.eye(len(best))]
    return best, least, [definition([Decimal(t) for t in at.tolist()])[0] for at in beside]


def _machines(engine):
    """The set-ups by ML and REML, the optimum of each, and what is right there and near by."""
    for reml in (False, True):
        yield set_up_of(places()["Machines, unbalanced"], reml, engine), *_right(reml)


def _certified(engine):
    for setup, best, *_ in _machines(engine):
        found = certify(best, setup)
        if not found.certified:
            return False, "; ".join(found.reasons)
    return True, ""


def _off(engine):
    """Each element of theta in turn moved away from the optimum, both ways."""
    for setup, best, *_ in _machines(engine):
        for i, unit in enumerate(np.eye(len(best))):
            for step in (-OFF, OFF):
                found = certify(best + step * unit, setup)
                if found.certified or not found.reasons:
                    return False, f"element {i} moved by {step:g} is certified"
    return True, ""


def _at_saddle(engine):
    """The point between two optima where the gradient is zero."""
    setup = set_up_of(Place(TWO_OPTIMA, two_optima(), ()), False, engine)
    theta, gradient, hessian = _saddle()
    if not (np.abs(gradient).max() < 1e-12 and np.linalg.eigvalsh(hessian)[0] < 0):
        return False, "the search for the saddle did not end in one"
    found = certify(theta, setup)
    return not found.certified and found.smallest_eigenvalue < 0, "; ".join(found.reasons)


def _at_zero(engine):
    """The optimum without workers, whose variance is not zero at the optimum with them."""
    machines = places()["Machines, unbalanced"]
    without = set_up_of(
        Place("score ~ Machine + (1 | Worker:Machine)", machines.dat, ()), True, engine
    )
    alone = fit_of(without, Plan(engine=engine)).theta
    setup = set_up_of(machines, True, engine)
    names = [block.name for block in setup.design.blocks]
    theta = np.full(3, -np.inf)
    theta[[0, 1 + names.index("Worker:Machine")]] = alone
    found = certify(theta, setup)
    return not found.certified and found.multipliers["Worker"] < 0, "; ".join(found.reasons)


def _errors(engine):
    """At points near by the errors of the certificate are the distances, to second order."""
    for setup, best, least, beside in _machines(engine):
        for unit, nll in zip(np.eye(len(best)), beside):
            found = certify(best + OFF * unit, setup)
            if not np.isclose(found.nll_error, float(nll - least), rtol=OF_SECOND_ORDER, atol=0):
                return False, f"nll is {float(nll - least):.3g} off, not {found.nll_error:.3g}"
            if not np.allclose(found.theta_error, OFF * unit, rtol=0, atol=OF_SECOND_ORDER * OFF):
                return False, f"theta is {OFF:g} off, not {found.theta_error.max():.3g}"
        # -- and where nothing is left but rounding
        found = certify(best, setup)
        off = abs(float(Decimal(float(LMMprof(best, setup))) - least))
        last_place = float(np.spacing(abs(float(least))))
        if not off - last_place <= found.nll_error <= 2 * NLL_ERROR * max(1.0, abs(float(least))):
            return False, f"nll is {off:.3g} off, and said to be by {found.nll_error:.3g}"
    return True, ""


@cache
def _saddle():
    """theta, gradient and Hessian where Newton's iteration between the two optima ends."""
    definition = Definition.of(set_up_of(Place(TWO_OPTIMA, two_optima(), ()), False))
    theta = np.array(NEAR_THE_SADDLE)
    for _ in range(NEWTON_STEPS):
        found = definition.derivatives([Decimal(t) for t in theta.tolist()])
        gradient, hessian = (np.array(one, float) for one in found)
        theta = theta - np.linalg.solve(hessian, gradient)
    return theta, gradient, hessian


# -- the proof -------------------------------------------------------------------------------------

TWO_OPTIMA = "y ~ 1 + (0 + x | a)"


def two_optima():
    """Seven rows of which the likelihood has two optima, as in lmm/guide/proof.md."""
    return pd.DataFrame({
        "y": [3, 2, 1, 2, 0, 2, 1.0],
        "x": [1.9, -0.7, -0.1, 1.6, 0.4, 0.5, -0.9],
        "a": ["a1", "a1", "a1", "a1", "a0", "a1", "a1"],
    })


def _refuted():
    best = lmer(TWO_OPTIMA, two_optima(), reml=False)
    other = fit_of(best.setup, Plan(elsewhere=False), np.array([0.0, 0.0]))
    proof = other.prove()
    is_worse = other.converged and other.nll > best.nll + LEAST_DEPTH
    says_so = proof.refuted and not proof.proved
    is_better = abs(proof.better().nll - best.nll) <= 2 * NLL_ERROR * max(1.0, abs(best.nll))
    return is_worse and says_so and is_better, proof.verdict


def _proved():
    fits = (
        lmer("Yield ~ 1 + (1 | Batch)", load_data("Dyestuff")),
        lmer(TWO_OPTIMA, two_optima(), reml=False),
    )
    found = [fit.prove() for fit in fits]
    verdicts = ", ".join(one.verdict for one in found)
    return all(one.proved and not one.refuted for one in found), verdicts


def _open():
    """Models that the proof does not take: neither proved nor refuted, and with a reason."""
    dat = crossed(60)
    for form in ("y ~ x + (x | a) + (x | b)", "y ~ x + (x | a) + (1 | b)"):
        proof = lmer(form, dat).prove()
        if proof.proved or proof.refuted or not proof.reason:
            return False, f"{form}: {proof.verdict}"
    return True, ""
