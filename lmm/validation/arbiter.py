"""The arbiter: what any program printed, beside the exact fit of the same model.

Each claimed number is compared with the fit's to the digits that were printed. Where a quantity
differs, a convention is named if it gives every claimed number of that quantity. Who is right about
the variances is said by the criterion, evaluated at the claimed ones, and by nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..errors import LMMError
from ..result import LMMResult, tables
from .claims import BY_BLOCK, BY_COEFFICIENT, as_mapping, read_claims, same_names
from .conventions import Facts
from .explaining import explained, own_values, pooled
from .verdicts import Verdict, verdict_on_deviance

NOBODYS = "the program"
ALL_AGREE = "All claimed numbers are the fit's, to the digits claimed or to six."


@dataclass(frozen=True, eq=False, repr=False)
class Arbitration(tables.Shown):
    """What `compare` returns; printing it shows the table, the conventions and the verdict.

    Attributes
    ----------
    table : DataFrame
        A row for each claimed number: ``quantity term claimed exact digits printed agrees``.
        ``claimed`` is text, ``digits`` the log relative error, nan of bounds as ``<.0001``,
        ``printed`` how many significant digits were claimed.
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
            "digits": tables.rounded(frame["digits"], 1, missing=""),
            "printed": frame["printed"].map(str),
            "<agrees": ["yes" if agrees else "no" for agrees in frame["agrees"]],
        }
        title = f"Claimed by {self.program}, beside the fit by {self.criterion}:"
        yield tables.Table(title, tuple(columns), tables.rows_of(*columns.values()))
        if not self.explanations:
            yield tables.Table(ALL_AGREE)
        else:
            yield tables.Table("What explains the numbers that differ:")
        by_words = {}
        for one in self.explanations:
            by_words.setdefault(str(one), []).append(one.quantity)
        for words, quantities in by_words.items():
            yield tables.Table(f"- {', '.join(quantities)}: {words}")
        yield tables.Table(f"Deviance: {self.verdict}")

    def to_dict(self):
        """All of it as plain Python, for JSON: infinity is text, and nan is None."""
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
    >>> found = compare(fit, {"sd": {"Batch": "42.0006"}, "sigma": "49.51"})
    >>> print(found.explanations[0])
    REML, where this fit is by maximum likelihood
    """
    if not isinstance(fit, LMMResult):
        kind = type(fit).__name__
        raise LMMError(f"fit is of type {kind}; it is what lmm or lmer returns")
    if not isinstance(program, str) or not program.strip():
        raise LMMError(f"program is {program!r}; it is text, such as 'lme4 1.1-31'")
    facts, claims, own = read(fit, claimed)
    table = pd.DataFrame([_row(claim, own(claim)) for claim in claims])
    different = table.loc[~table["agrees"], "quantity"].unique()
    found = {name: explained(claims.of(name), facts, own) for name in different}
    explanations = tuple(pooled([explanation for explanation, _ in found.values()]))
    named = {
        one.quantity: [found[one.quantity][1][parts] for parts in one.conventions]
        for one in explanations
    }
    verdict = verdict_on_deviance(claims, named, facts)
    criterion = "REML" if fit.reml else "maximum likelihood"
    return Arbitration(table, explanations, verdict, program, criterion)


def read(fit, claimed):
    """The `Facts` of a fit, the `Claims`, and the function that gives the fit's number of each."""
    facts = Facts.of(fit)
    claims = read_claims(claimed, _names(fit, claimed, facts))
    by_quantity = {}

    def own(claim):
        quantity = claim.quantity
        if claim.of_sigma:
            return fit.sigma**2 if quantity == "var" else fit.sigma
        if quantity not in by_quantity:
            by_quantity[quantity] = own_values(quantity, fit)
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
    if isinstance(claimed, Mapping):
        for quantity in BY_COEFFICIENT:
            given = as_mapping(claimed.get(quantity))
            named = given if isinstance(given, Mapping) else ()
            if any(not same_names(one, own) for one in named):
                names["other"] = [name for _, _, other in facts.codings for name in other]
    return names


# -- number by number ------------------------------------------------------------------------------


def _row(claim, exact):
    """The row of the table for a claim."""
    return {
        "quantity": claim.quantity,
        "term": claim.term,
        "claimed": claim.text,
        "exact": exact,
        "digits": np.nan if claim.below or np.isnan(exact) else claim.digits(exact),
        "printed": claim.printed,
        "agrees": claim.agrees(exact),
    }


def _shown(value, printed):
    """An exact number with three more digits than were claimed."""
    return f"{value:.{min(max(printed + 3, 6), 15)}g}"


def _plain(value):
    """A number for JSON."""
    if np.isnan(value):
        return None
    return float(value) if np.isfinite(value) else str(float(value))
