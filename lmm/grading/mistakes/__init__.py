"""The likelihood with one mistake each, so that a wrong number can be told by what it is.

A submission's `LMMprof` is compared with these at fixed thetas; where it has none, its theta is
compared with their minima. All is n x n algebra written from the definition, for the small cases.

One file for each kind: how the criterion is added up (`sums`), what theta's elements are
(`thetas`, `scales`), the sheet's own algebra (`triangles`), the model that is fitted in place of
the one asked (`readings`). Another mistake is a sentence and what it makes of theta, yielded there.
"""

from .betas import wrong_beta
from .comparing import is_flat, is_minimum, matches
from .model import Mistake, Model
from .readings import columns_as_products, mistaken_readings
from .scales import in_another_scale_or_order
from .sums import mistaken_sums
from .thetas import mistaken_thetas
from .triangles import mistaken_triangles

__all__ = [
    "Mistake",
    "Model",
    "in_another_scale_or_order",
    "is_flat",
    "is_minimum",
    "matches",
    "mistakes",
    "wrong_beta",
]


def mistakes(case, model):
    """The usual mistakes in the likelihood of a case, each a `Mistake`."""
    yield from mistaken_readings(case, model)
    yield from mistaken_sums(model, columns_as_products(case))
    if model.p:
        yield from mistaken_thetas(model)
        yield from mistaken_triangles(model)
