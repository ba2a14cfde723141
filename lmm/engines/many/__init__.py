"""One design, many responses: log|V| and U'WU, profiled over beta and sigma, for stacks of them.

V is taken relative to sigma^2 here, and so is psi: rho are its entries over sigma^2,

    V = sigma^2 (I + sum over the entries a of rho_a V_a).

A `Family` knows the design, and turns a block of responses into what stands for them (`respond`).
Then `look` evaluates the criterion for each of B responses at a rho of its own, (B, q), or for all
at one, (1, q), and `slopes` differentiates it. What differs between designs is how V is taken
apart: `by_level.py`, `stacks.py`; `families.py` chooses.
"""

from .by_level import ByLevel
from .families import (
    Family,
    Unsuitable,
    families_of_patterns,
    family_of,
    family_of_rows,
    padded_pieces,
    taken,
)
from .profile import Look, Slopes, look, look_around, slopes, told_apart

__all__ = [
    "ByLevel",
    "Family",
    "Look",
    "Slopes",
    "Unsuitable",
    "families_of_patterns",
    "family_of",
    "family_of_rows",
    "look",
    "look_around",
    "padded_pieces",
    "slopes",
    "taken",
    "told_apart",
]
