"""The criterion and its derivatives at a fixed theta, by each engine, against the definition.

No optimiser: theta is chosen, and what equations (2) to (4), (6) and (7) give there is compared
with the definition of nll in sixty digits, and with its differences.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache

import numpy as np
import pandas as pd

from ..datasets import load_data
from ..engines import set_up
from ..errors import LMMError
from ..fit import derivatives
from ..fitting import Criterion
from ..model import make_design
from ..practical import LMMprof
from .definition import Definition
from .rows import row_of_digits

LIKELIHOOD = "The likelihood at a fixed theta"
DEFINITION = "the definition: V formed, its Cholesky triangle in sixty decimal digits"
DIFFERENCES = "differences of the definition's nll in sixty decimal digits"
QUANTITIES = {              # requirement, reference, digits: what linear algebra leaves of sixteen
    "nll": ("the criterion (4) in double precision", DEFINITION, 13.0),
    "beta": ("the fixed effects (3)", DEFINITION, 13.0),
    "gradient": ("the gradient (6)", DIFFERENCES, 12.0),
    "hessian": ("the second derivatives (7)", DIFFERENCES, 11.0),
}


N_CROSSED = 40          # rows


@dataclass(frozen=True)
class Place:
    """A model, and the theta at which it is looked at: no optimum, so that no derivative is 0."""

    form: str
    dat: pd.DataFrame
    theta: tuple
    weights: tuple | None = None


def places():
    """One of each kind, by name: nested, crossed, two slopes, weighted, no random effects."""
    return {
        "Machines, unbalanced": Place(
            form="score ~ Machine + (1 | Worker) + (1 | Worker:Machine)",
            dat=load_data("MachinesUnbalanced"),
            theta=(0.125, 1.25, 0.75),
        ),
        "two crossed factors": Place(
            form="y ~ x + (1 | a) + (1 | b)",
            dat=crossed(),
            theta=(-0.25, 0.5, -0.75),
        ),
        "slopes of six subjects": Place(
            form="Reaction ~ Days + (Days | Subject)",
            dat=load_data("sleepstudy").iloc[:60].reset_index(drop=True),
            theta=(3.25, 3.0, 0.75, 1.5),
        ),
        "weights over two decades": Place(
            form="y ~ x + (1 | a)",
            dat=crossed(),
            theta=(-0.25, 0.5),
            weights=tuple(10 ** np.random.default_rng(1).uniform(-1, 1, N_CROSSED)),
        ),
        "no random effects": Place(
            form="score ~ Machine",
            dat=load_data("MachinesUnbalanced"),
            theta=(1.5,),
        ),
    }


def crossed(n=N_CROSSED):
    """Rows of two crossed factors of 6 and 4 levels, unbalanced, with numbers that are doubles."""
    rng = np.random.default_rng(20261127)
    return pd.DataFrame({
        "y": rng.normal(size=n).round(3),
        "x": rng.normal(size=n).round(3),
        "a": pd.Categorical([f"a{i}" for i in rng.integers(0, 6, n)]),
        "b": pd.Categorical([f"b{i}" for i in rng.integers(0, 4, n)]),
    })


def rows(quick):
    """A row for each engine and quantity, quick or not."""
    for engine, of_designs in (("dense", "five"), ("blocked", "four")):
        for quantity, (what, reference, least) in QUANTITIES.items():
            yield row_of_digits(
                LIKELIHOOD,
                f"{what}, {engine} engine",
                f"at a chosen theta of {of_designs} designs, ML and REML",
                reference,
                least,
                _pairs(engine, quantity),
            )
    yield row_of_digits(
        LIKELIHOOD,
        "average information (8), blocked engine",
        "at a chosen theta of three designs whose terms have one effect, ML and REML",
        "1/2 y'P V_a P V_b P y of the definition, and its gradient, in sixty decimal digits",
        11.0,
        _averaged(),
    )


def _pairs(engine, quantity):
    """The numbers of a quantity, and what is right."""
    for name, place in places().items():
        if engine == "blocked" and "|" not in place.form:
            continue                                        # it takes at least one term
        for reml, method in ((False, "ML"), (True, "REML")):
            setup = set_up_of(place, reml, engine)
            theta = np.array(place.theta)
            if quantity in ("nll", "beta"):
                value = LMMprof(theta, setup)
                found = [value] if quantity == "nll" else value.beta
            else:
                found = getattr(derivatives(theta, setup), quantity)
            exact = _right(name, reml)[quantity]
            for number, truth in zip(np.ravel(found).tolist(), exact):
                yield f"{name}, {method}", number, truth


def _averaged():
    """What the blocked engine has in place of (7), where that will do."""
    for name, place in places().items():
        theta = np.array(place.theta)
        for reml, method in ((False, "ML"), (True, "REML")):
            exact = _right(name, reml)["averaged"]
            if exact:
                criterion = Criterion(LMMprof, set_up_of(place, reml, "blocked"))
                found = criterion.derivatives(theta, averaged=True)
                if not found.averaged:
                    raise LMMError(f"the second derivatives of {name} are exact")
                for number, truth in zip(np.ravel(found.hessian).tolist(), exact):
                    yield f"{name}, {method}", number, truth


def set_up_of(place, reml, engine=None):
    """The `Setup` of a place."""
    weights = None if place.weights is None else np.array(place.weights)
    design = make_design(place.form, place.dat, (), weights, bars="|" in place.form)
    return set_up(design, reml, engine)


@cache
def _right(name, reml):
    """The right numbers by quantity, which are those of both engines."""
    place = places()[name]
    definition = Definition.of(set_up_of(place, reml), place.weights)
    theta = [Decimal(t) for t in place.theta]
    nll, beta = definition(theta)
    gradient, hessian = definition.derivatives(theta)
    averaged = []
    if definition.sizes and max(definition.sizes) == 1:
        # psi = exp(2 theta) adds to second derivatives twice the gradient
        rows_of_a = enumerate(definition.average_information(theta))
        averaged = [
            value + 2 * gradient[a] if a == b else value
            for a, row in rows_of_a
            for b, value in enumerate(row)
        ]
    return {
        "nll": [nll],
        "beta": beta,
        "gradient": gradient,
        "hessian": [value for row in hessian for value in row],
        "averaged": averaged,
    }
