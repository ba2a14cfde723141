"""The arbiter: what any program printed, beside the exact fit of the same model.

Each claimed number is compared with the fit's to the digits that were printed. Where a quantity
differs, a convention is named if it gives every claimed number of that quantity. Who is right about
the variances is said by the criterion, evaluated at the claimed ones, and by nothing else.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from ..result import LMMResult, tables
from .claims import BY_BLOCK, BY_COEFFICIENT, ROUNDING, bare_name, read_claims
from .conventions import Facts
from .verdicts import Verdict, verdict_on_deviance

LEAST_PRINTED = 5       # significant digits that a convention has to explain, to be no chance
MOST_SHOWN = 5          # explanations of a quantity
SAME_LOG = 1e-6         # of log standard deviations: two searches have found the same optimum
NONE = "no convention that is known here explains it"
NOBODYS = "the program"


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
        How many significant digits were printed of numbers that have these conventions.
    """

    quantity: str
    conventions: tuple
    printed: float

    @property
    def sure(self):
        """Whether so many digits were printed that this is no chance."""
        return self.printed >= LEAST_PRINTED

    def __str__(self):
        if not self.conventions:
            return f"{self.quantity}: {NONE}"
        said = ["; ".join(parts) for parts in self.conventions[:MOST_SHOWN]]
        more = len(self.conventions) - len(said)
        text = ", or ".join(said) + (f", or {more} more" if more else "")
        if len(self.conventions) > 1:
            text = f"any of {len(self.conventions)} conventions: {text}"
        perhaps = "" if self.sure else "perhaps, for few digits were printed, "
        return f"{self.quantity}: {perhaps}{text}"


@dataclass(frozen=True, eq=False, repr=False)
class Arbitration(tables.Shown):
    """What `compare` returns; printing it shows the table, the conventions and the verdict.

    Attributes
    ----------
    table : DataFrame
        A row for each claimed number: ``quantity term claimed exact digits printed agrees``.
        ``claimed`` is text, ``digits`` the log relative error, ``printed`` how many significant
        digits were claimed.
    explanations : tuple of Explanation
        For each quantity that differs.
    verdict : Verdict
        Whose deviance is lower.
    program : str
        Whose numbers they are.
    """

    table: pd.DataFrame
    explanations: tuple
    verdict: Verdict
    program: str
    criterion: str = field(default="")

    __repr__ = tables.Shown.__str__

    @property
    def agrees(self):
        """Whether all claimed numbers are the fit's."""
        return bool(self.table["agrees"].all())

    @property
    def explained(self):
        """Whether each quantity that differs is explained by a convention."""
        return all(one.conventions and one.sure for one in self.explanations)

    def _tables(self):
        frame = self.table
        columns = {
            "<": frame["quantity"],
            "< ": frame["term"],
            "claimed": frame["claimed"],
            "exact": [_shown(row.exact, row.printed) for row in frame.itertuples()],
            "digits": [f"{value:.1f}" for value in frame["digits"]],
            "printed": frame["printed"].map(str),
            "<agrees": ["yes" if agrees else "no" for agrees in frame["agrees"]],
        }
        title = f"Claimed by {self.program}, beside the fit by {self.criterion}:"
        yield tables.Table(title, tuple(columns), tables.rows_of(*columns.values()))
        if not self.explanations:
            yield tables.Table("All claimed numbers are the fit's, to the digits claimed.")
        else:
            yield tables.Table("What explains the numbers that differ:")
        for one in self.explanations:
            yield tables.Table(f"- {one}")
        yield tables.Table(f"Deviance: {self.verdict}")

    def to_dict(self):
        """All of it as plain Python, for JSON: numbers that are not finite are text."""
        rows = self.table.astype(object).to_dict("records")
        for row in rows:
            row.update({name: _plain(row[name]) for name in ("exact", "digits")})
            row["printed"], row["agrees"] = int(row["printed"]), bool(row["agrees"])
        return {
            "program": self.program,
            "criterion": self.criterion,
            "agrees": self.agrees,
            "explained": self.explained,
            "numbers": rows,
            "explanations": [
                {
                    "quantity": one.quantity,
                    "conventions": [list(parts) for parts in one.conventions],
                    "sure": one.sure,
                }
                for one in self.explanations
            ],
            "deviance": self.verdict.to_dict(),
        }


def compare(fit, claimed, program=NOBODYS):
    """Compare what a program printed with the exact fit of the same model.

    Parameters
    ----------
    fit : LMMResult
        What `lmm` or `lmer` returns.
    claimed : dict
        Any of ``beta``, ``se``, ``df``, ``pvalue`` (lists in the order of X, or dicts by
        coefficient), ``sd``, ``var`` (lists in the order of the blocks, sigma last if at all, or
        dicts by block), ``corr``, ``theta``, ``sigma``, ``llf``, ``deviance``, ``aic``, ``bic``,
        ``nobs``. A number may be text, such as ``"1.230"``: its digits are those that were printed.
    program : str, optional
        Whose numbers they are.

    Returns
    -------
    Arbitration
        Printing it shows each number beside the fit's, which convention explains those that
        differ, and whose deviance is lower.

    Raises
    ------
    LMMError
        If `claimed` has an unknown key or name, a list of a wrong length, or what is no number.

    Notes
    -----
    A convention is named only if it gives all claimed numbers of a quantity, to the digits printed
    or to six; where several do, all are named. It refits by the other criterion where numbers
    differ. Names may be those of R: ``(Intercept)``, ``MachineB``.

    Examples
    --------
    >>> fit = lmm("Yield ~ 1", load_data("Dyestuff"), "Batch")
    >>> print(compare(fit, {"sd": {"Batch": "42.00"}, "sigma": "49.51"}).explanations[0])
    sd: perhaps, for few digits were printed, REML, where this fit is by maximum likelihood
    """
    if not isinstance(fit, LMMResult):
        kind = type(fit).__name__
        raise LMMError(f"fit is of type {kind}; it is what lmm or lmer returns")
    if not isinstance(program, str) or not program.strip():
        raise LMMError(f"program is {program!r}; it is text, such as 'lme4 1.1-31'")
    facts, claims, own = read(fit, claimed)
    table = pd.DataFrame([_row(claim, own(claim)) for claim in claims])
    different = table.loc[~table["agrees"], "quantity"].unique()
    found = {name: _explained(claims.of(name), facts) for name in different}
    explanations = tuple(pooled([explanation for explanation, _ in found.values()]))
    scales = {name: alternative for name, (_, alternative) in found.items()}
    verdict = verdict_on_deviance(fit, claims, scales, facts)
    criterion = "REML" if fit.reml else "maximum likelihood"
    return Arbitration(table, explanations, verdict, program, criterion)


def read(fit, claimed):
    """The `Facts` of a fit, the `Claims`, and the function that gives the fit's number of each."""
    facts = Facts(fit)
    claims = read_claims(claimed, _names(fit, claimed, facts))
    by_quantity = {}

    def own(claim):
        quantity = claim.quantity
        if claim.term == "Residual":
            return fit.sigma**2 if quantity == "var" else fit.sigma
        if quantity not in by_quantity:
            by_quantity[quantity] = _own_values(quantity, fit)
        values = by_quantity[quantity]
        return float(values[claim.term]) if claim.term in values.index else np.nan

    return facts, claims, own


def _names(fit, claimed, facts):
    """By quantity the names of its numbers, in order; of other codings where one is claimed."""
    design = fit.setup.design
    own = list(design.x_names)
    names = {quantity: own for quantity in BY_COEFFICIENT}
    names.update({name: [block.name for block in design.blocks] for name in BY_BLOCK})
    names["corr"] = list(fit.corr.index)
    names["theta"] = list(design.labels)
    names["other"] = []
    known = set(map(bare_name, own))
    if isinstance(claimed, dict):
        for quantity in BY_COEFFICIENT:
            given = claimed.get(quantity)
            if hasattr(given, "keys") and any(bare_name(one) not in known for one in given):
                names["other"] = [name for _, _, other in facts.codings for name in other]
    return names


# -- number by number ------------------------------------------------------------------------------


def _own_values(quantity, fit):
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


def _row(claim, exact):
    """The row of the table for a claim."""
    return {
        "quantity": claim.quantity,
        "term": claim.term,
        "claimed": claim.text,
        "exact": exact,
        "digits": claim.digits(exact) if not np.isnan(exact) else 0.0,
        "printed": claim.printed,
        "agrees": claim.agrees(exact),
    }


def _shown(value, printed):
    """An exact number with three more digits than were claimed."""
    return f"{value:.{min(max(printed + 3, 6), 15)}g}"


def _plain(value):
    """A number for JSON."""
    return float(value) if np.isfinite(value) else str(float(value))


# -- conventions -----------------------------------------------------------------------------------


def _explained(claims, facts):
    """The `Explanation` of a quantity that differs, and the first `Alternative` that gives it.

    Of conventions the simplest are named: those of the fewest parts.
    """
    quantity = claims[0].quantity
    printed = sum(np.inf if np.isinf(one.value) else one.printed for one in claims)
    fewest = np.inf
    found = {}
    for one in _with_orders(claims, facts):
        if not one.parts or len(one.parts) > fewest or not gives(one, claims, facts.fit):
            continue
        if len(one.parts) < fewest:
            fewest = len(one.parts)
            found = {}
        found.setdefault(one.parts, one)
    if printed < LEAST_PRINTED and fewest > 1:
        found = {}                                  # of few digits something can always be made
    first = next(iter(found.values()), None)
    return Explanation(quantity, tuple(found), printed), first


def pooled(explanations):
    """The explanations; of few digits, by the conventions that explain other quantities as well.

    Digits of two quantities count together where one convention explains both.
    """
    for one in explanations:
        if one.sure or not one.conventions:
            yield one
            continue
        together = {
            parts: sum(other.printed for other in explanations if parts in other.conventions)
            for parts in one.conventions
        }
        most = max(together.values())
        kept = tuple(parts for parts, printed in together.items() if printed == most)
        yield Explanation(one.quantity, kept if most > one.printed else one.conventions, most)


def _with_orders(claims, facts):
    """The alternatives of a quantity; of lists also the fit's own numbers in other orders."""
    for one in facts.alternatives(claims[0].quantity):
        yield one
        in_order = all(claim.place is not None for claim in claims)
        if not one.parts and in_order and one.logs is None and 1 < len(claims) == len(one.values):
            order = _order_of(claims, one.values)
            if order is not None:
                names = shorten([claims[place].term for place in order])
                words = f"another order: {names}"
                yield type(one)((words,), one.values[order])


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
        return _gives_logs(one, claims, fit)
    names = one.names or _own_names(claims[0].quantity, fit)
    by_name = {bare_name(name): value for name, value in zip(names, one.values)}
    for claim in claims:
        if claim.place is not None:
            if len(one.values) != _length(claims, claim):
                return False
            value = one.values[claim.place]
        else:
            value = by_name.get(bare_name(claim.term))
        if value is None or not claim.agrees(float(value)):
            return False
    return True


def _length(claims, claim):
    """How many numbers the list had that a claim came in."""
    return sum(one.place is not None for one in claims) if claim.place is not None else 0


def _own_names(quantity, fit):
    """The names of the fit's own numbers."""
    if quantity in BY_COEFFICIENT:
        return fit.setup.design.x_names
    return list(_own_values(quantity, fit).index)


def _gives_logs(one, claims, fit):
    """Whether claimed numbers, made log standard deviations, are the fit's within the rounding."""
    exact = one.values
    sigma = None
    if claims[0].quantity == "theta":
        if len(claims) != len(exact):
            return False
    else:
        names = [block.name for block in fit.setup.design.blocks]
        residual = [claim for claim in claims if claim.term == "Residual"]
        of_blocks = [claim for claim in claims if claim.term != "Residual"]
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
        near = np.abs(middle - exact) <= slack * (1 + ROUNDING) + SAME_LOG
    return bool(np.where(is_zero, np.isneginf(middle) | np.isinf(slack),
                         near & np.isfinite(slack)).all())
