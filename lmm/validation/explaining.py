"""Which conventions give what is claimed of a quantity."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..errors import shorten
from .claims import BY_BLOCK, BY_COEFFICIENT, OF_HALF, SINGLE, name_in_r

LEAST_PRINTED = 5       # significant digits that a convention has to explain, to be no chance ...
MORE_PRINTED = 2        # ... and how many more for each part of it after the first
MOST_SHOWN = 5          # explanations of a quantity
SAME_LOG = 1e-6         # of log standard deviations: two searches have found the same optimum
NONE = "no convention that is known here"


@dataclass(frozen=True)
class Explanation:
    """What explains the claimed numbers of a quantity that are not the fit's.

    Attributes
    ----------
    quantity : str
        Which one.
    conventions : tuple of tuple of str
        Each convention that gives all claimed numbers, as its parts in words; none known if empty.
    printed : int
        How many significant digits were printed of numbers that have these conventions, and are
        not the fit's; those of equal numbers count once.
    needed : int
        How many have to be, so that it is no chance.
    """

    quantity: str
    conventions: tuple
    printed: float
    needed: int = LEAST_PRINTED

    @property
    def sure(self):
        """Whether so many digits were printed that this is no chance."""
        return self.printed >= self.needed

    def __str__(self):
        if not self.conventions:
            return NONE
        said = ["; ".join(parts) for parts in self.conventions[:MOST_SHOWN]]
        more = len(self.conventions) - len(said)
        text = ", or ".join(said) + (f", or {more} more" if more else "")
        if len(self.conventions) > 1:
            text = f"any of {len(self.conventions)} conventions: {text}"
        perhaps = "" if self.sure else "perhaps, for few digits were printed, "
        return f"{perhaps}{text}"


def own_values(quantity, fit):
    """The fit's own numbers of a quantity: a Series by name."""
    getters = {
        "beta": lambda: fit.params,
        "se": lambda: fit.bse,
        "df": lambda: fit.df,
        "pvalue": lambda: fit.pvalues,
        "sd": lambda: fit.sd,
        "var": lambda: fit.sd**2,
        "corr": lambda: fit.corr,
        "theta": lambda: pd.Series(fit.theta, list(fit.setup.design.labels)),
    }
    if quantity in getters:
        return getters[quantity]()
    return pd.Series({"": float(getattr(fit, quantity))})


def explained(claims, facts, own):
    """The `Explanation` of a quantity that differs, and by its parts each `Alternative` it names.

    Of conventions the simplest are named: those of the fewest parts. `own` is the function that
    gives the fit's number of a claim.
    """
    quantity = claims[0].quantity
    printed = _telling_digits(claims, own)
    fewest = np.inf
    found = {}
    for one in with_orders(claims, facts):
        if not one.parts or len(one.parts) > fewest or not gives(one, claims, facts.fit):
            continue
        if len(one.parts) < fewest:
            fewest = len(one.parts)
            found = {}
        found.setdefault(one.parts, one)
    digits = LEAST_PRINTED if not found else needed(int(fewest))
    return Explanation(quantity, tuple(found), printed, digits), found


def _telling_digits(claims, own):
    """How many digits were printed of the numbers that are not the fit's, equal ones once."""
    by_value = {}
    for one in claims:
        if not one.agrees(own(one)):
            digits = np.inf if np.isinf(one.value) else one.printed
            by_value[one.value] = max(digits, by_value.get(one.value, 0))
    return sum(by_value.values())


def needed(parts):
    """How many digits have to be printed so that a convention of so many parts is no chance."""
    return LEAST_PRINTED + MORE_PRINTED * (parts - 1)


def pooled(explanations):
    """The explanations, with what one quantity says of another.

    Of few digits, those of other quantities that have the same convention, or one of its parts
    alone, count too, and such a part is not to be proved again. What is then still of several parts
    and of few digits is dropped: something can always be made of few digits.
    """
    for one in explanations:
        if one.sure or not one.conventions:
            yield one
            continue
        evidence = {parts: _evidence(one, parts, explanations) for parts in one.conventions}
        most = max(printed - digits for printed, digits in evidence.values())
        kept = [parts for parts in evidence if evidence[parts][0] - evidence[parts][1] == most]
        printed, digits = evidence[kept[0]]
        if printed < digits and len(kept[0]) > 1:
            kept = []
        elif printed == one.printed:
            kept = one.conventions
        yield Explanation(one.quantity, tuple(kept), printed, digits)


def _evidence(one, parts, explanations):
    """(digits printed, digits needed) of a convention of a quantity, with those of others."""
    printed = one.printed
    known = set()
    for other in explanations:
        if other is one:
            continue
        alone = {part for part in parts if (part,) in other.conventions}
        if parts in other.conventions or alone or _holds(other, parts):
            printed += other.printed
            known |= alone
    return printed, needed(max(len(parts) - len(known), 1))


def _holds(other, parts):
    """Whether a convention of one part is a part of another quantity's."""
    return len(parts) == 1 and any(parts[0] in theirs for theirs in other.conventions)


def with_orders(claims, facts):
    """The alternatives of a quantity; of lists also the fit's own numbers in other orders."""
    quantity = claims[0].quantity
    is_list = len(claims) > 1 and all(claim.place is not None for claim in claims)
    for one in facts.alternatives(quantity):
        yield one
        if is_list and quantity in BY_BLOCK:
            yield from _blocks_in_orders(one, claims, facts.fit)
        elif is_list and not one.parts and one.logs is None and len(claims) == len(one.values):
            order = _order_of(claims, one.values)
            if order is not None:
                yield replace(one, parts=(_said_order(claims, order),), values=one.values[order])


def _blocks_in_orders(one, claims, fit):
    """Standard deviations as they are in any order, in other scales with sigma's first."""
    J = len(fit.sd)
    orders = [(J, *range(J))] if len(claims) > J else []
    if one.is_plain:
        power = 2 if claims[0].quantity == "var" else 1
        order = _order_of(claims, np.exp(power * np.roll(one.values, -1))[:len(claims)])
        orders = [] if order is None else [order]
    for order in orders:
        yield replace(one, parts=(*one.parts, _said_order(claims, order)), order=tuple(order))


def _said_order(claims, order):
    return f"another order: {shorten([claims[place].term for place in order])}"


def arranged(claims, order):
    """The claims of a list of standard deviations, each of the block that it is of."""
    if not order:
        return claims
    meant = [claims[place] for place in order]
    return [
        replace(claim, term=one.term, of_sigma=one.of_sigma)
        for claim, one in zip(claims, meant)
    ]


def _order_of(claims, values):
    """The order of the values that the claims are in; None if they are not the same numbers."""
    left = list(range(len(values)))
    order = []
    for claim in claims:
        match = next((i for i in left if claim.agrees(values[i])), None)
        if match is None:
            return None
        left.remove(match)
        order.append(match)
    return None if order == sorted(order) else order


def gives(one, claims, fit):
    """Whether an alternative gives all claimed numbers of its quantity."""
    if one.logs is not None:
        return _gives_logs(one, arranged(claims, one.order), fit)
    by_name = {}
    if any(claim.place is None for claim in claims):
        names = one.names or _own_names(claims[0].quantity, fit)
        if len(names) != len(one.values):
            return False                            # lme4's theta is no list of the fit's elements
        by_name = dict(zip(map(str, names), one.values))
    elif len(one.values) != len(claims):
        return False
    for claim in claims:
        by_place = claim.place is not None
        value = one.values[claim.place] if by_place else _named(claim.term, by_name)
        if value is None or not claim.agrees(float(value)):
            return False
    return True


def _named(name, by_name):
    """The number of a name, or of the only one that R writes so; None if there is none."""
    if name in by_name:
        return by_name[name]
    found = [one for one in by_name if name_in_r(one) == name_in_r(name)]
    return by_name[found[0]] if len(found) == 1 else None


def _own_names(quantity, fit):
    """The names of the fit's own numbers."""
    if quantity in SINGLE:
        return ("",)
    if quantity in BY_COEFFICIENT:
        return fit.setup.design.x_names
    return list(own_values(quantity, fit).index)


def _gives_logs(one, claims, fit):
    """Whether claimed numbers, made log standard deviations, are the fit's within the rounding."""
    exact = one.values
    sigma = None
    if claims[0].quantity == "theta":
        if len(claims) != len(exact):
            return False
        labels = list(fit.setup.design.labels)
        claims = sorted(claims, key=lambda claim: labels.index(claim.term))
    else:
        names = [block.name for block in fit.setup.design.blocks]
        residual = [claim for claim in claims if claim.of_sigma]
        of_blocks = [claim for claim in claims if not claim.of_sigma]
        places = [0] * len(residual) + [1 + names.index(claim.term) for claim in of_blocks]
        claims = residual + of_blocks
        exact = exact[places]
        sigma = len(residual)
    numbers = np.array([claim.value for claim in claims])

    @np.errstate(all="ignore")
    def logs(values):
        found = one.logs(values) if sigma is None else one.logs(values[sigma:], values[:sigma])
        return found if sigma is None or sigma else found[1:]

    # -- what half a unit of each last digit does to the logs; a log of zero has no distance
    middle = logs(numbers)
    slack = np.zeros(len(exact))
    for i, claim in enumerate(claims):
        step = claim.half * (np.arange(len(claims)) == i)
        with np.errstate(invalid="ignore"):
            change = np.abs(logs(numbers + step) - logs(numbers - step)) / 2
        slack += np.where(np.isfinite(middle), np.nan_to_num(change, nan=np.inf), 0)
    is_zero = np.isneginf(exact)
    with np.errstate(invalid="ignore"):
        near = np.abs(middle - exact) <= slack * (1 + OF_HALF) + SAME_LOG
    return bool(np.where(is_zero, np.isneginf(middle) | np.isinf(slack),
                         near & np.isfinite(slack)).all())
