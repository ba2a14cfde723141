"""Which structure a term's covariance has, by the word of its formula."""

from .compound_symmetry import CompoundSymmetry
from .covariance import Covariance, Independent
from .unstructured import Unstructured

STRUCTURES = {
    "unstructured": Unstructured,
    "diagonal": Independent,
    "compound symmetry": CompoundSymmetry,
}


def covariance_of(terms, sizes):
    """The `Covariance` of terms with so many effects each; one effect alone is independent of
    nothing."""
    structures = []
    for term, c in zip(terms, sizes):
        kind = STRUCTURES[term.structure] if c > 1 else Independent
        structures.append(kind(c))
    return Covariance(structures)
