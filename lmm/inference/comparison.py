"""Comparison of nested models by likelihood ratio tests; `anova` of one fit, or of several.

Source: the chi-squared distribution, Wilks (1938); where a variance is tested, which may not be
negative, the mixture of Self and Liang (1987) and Stram and Lee (1994).
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from ..errors import LMMError
from ..fit import by_likelihood
from ..fitting import NLL_ERROR
from ..result import LMMResult, tables
from ..translation import explained
from .nesting import nested, on_the_boundary
from .simulation import checked_seed, draws
from .term_tests import tests_of_terms

CRITERIA = ("npar", "aic", "bic", "llf", "deviance")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(tables.Shown):
    """What `anova` returns; printing it shows the table and the notes.

    Attributes
    ----------
    table : DataFrame
        By model (``m0`` is the first argument), in the order of npar: ``npar aic bic llf deviance
        chisq df pvalue``, each row compared with the one above; ``pvalue_mixture`` where a variance
        is tested, and after simulations ``pvalue_boot``.
    models : dict
        By the same names: formula, and the names of the random-effect terms or, where the formula
        has bars, None.
    notes : tuple of str
        What to know about the p-values.
    simulated : dict
        By the same names: the simulated values of chisq.
    """

    table: pd.DataFrame
    models: dict
    notes: tuple
    simulated: dict = field(default_factory=dict)

    __repr__ = tables.Shown.__str__

    def _tables(self):
        models = []
        for name, (form, terms) in self.models.items():
            random = "" if terms is None else f"; random effects: {', '.join(terms) or 'none'}"
            models.append(tables.Table(f"{name}: {form}{random}"))
        notes = [tables.Table(f"Note: {note}") for note in self.notes]
        return [tables.Table("Models:"), *models, self._criteria(), *notes]

    def _criteria(self):
        """The table as cells."""
        table = self.table
        by_heading = {
            "<": table.index,
            "npar": table["npar"].map(str),
            "AIC": tables.rounded(table["aic"], 2),
            "BIC": tables.rounded(table["bic"], 2),
            "logLik": tables.rounded(table["llf"], 2),
            "deviance": tables.rounded(table["deviance"], 2),
            "Chisq": tables.rounded(table["chisq"], 4, missing=""),
            "Df": tables.rounded(table["df"], 0, missing=""),
        }
        p_values = {
            "pvalue": "Pr(>Chisq)",
            "pvalue_mixture": "p (50:50)",
            "pvalue_boot": "p (bootstrap)",
        }
        for column, heading in p_values.items():
            if column in table:
                by_heading[heading] = map(tables.p_value, table[column])
        return tables.Table("", tuple(by_heading), tables.rows_of(*by_heading.values()))


@explained
def anova(
    *fits, type=3, df="satterthwaite", nsim=0, seed=None, processes=1, progress=True
):
    """Test the terms of one fit, by F; or compare nested models, by likelihood ratios.

    Parameters
    ----------
    *fits : LMMResult
        One fit; or two or more of the same response on the same rows, in any order: REML fits are
        refitted by maximum likelihood then, for REML's criteria with different fixed effects cannot
        be compared.
    type : {3, 2, 1}, optional
        Of one fit: which hypotheses. 1: each term after those before it, by degree and as written.
        2: after all that do not contain it. 3: with equal weights of the cells, however factors
        are coded. A term contains another if it has all its factors and the same covariates.
    df : {"satterthwaite", "kr", "normal"} or float, optional
        Of one fit: the degrees of freedom, as in `fit.contrast`.
    nsim : int, optional
        If not 0: how many responses to simulate from the smaller of each two models, by maximum
        likelihood, for a p-value that needs no asymptotics: the share of simulated chisq that
        reach the one found, counting it among them.
    seed : int, optional
        For the simulations: the same seed, the same result.
    processes : int, optional
        Over how many processes to spread the simulations.
    progress : bool, optional
        Whether to show a progress bar, if tqdm is installed.

    Returns
    -------
    TermTests or Comparison
        Of one fit, or of several; printing it shows the table.

    Raises
    ------
    LMMError
        If there is no fit, if fits are of different data, or an argument is none of the above.

    Notes
    -----
    chisq is twice the difference of the log-likelihoods. Where the larger model has another
    variance, the null hypothesis lies on the boundary and the chi-squared p-value is conservative,
    too large; with one variance the 50:50 mixture of chi-squared with and without its degree of
    freedom is the asymptotic distribution, given as ``pvalue_mixture``.

    Examples
    --------
    >>> small = lmm("strength ~ 1", load_data("Pastes"), ["sample"])
    >>> large = small.update(ref=["batch", "sample"])
    >>> float(anova(small, large).table.pvalue["m1"].round(4))
    0.5234
    """
    names = _checked(fits)
    if len(fits) == 1:
        return tests_of_terms(fits[0], type, df)
    if type != 3 or df != "satterthwaite":
        raise LMMError(
            "type and df belong to the tests within one fit, anova(fit); several are compared by "
            "likelihood ratios"
        )
    if nsim != 0:
        checked_seed(nsim, seed)

    # -- all by maximum likelihood, in the order of npar
    notes = []
    by_reml = [name for name, fit in zip(names, fits) if fit.reml]
    if by_reml:
        notes.append(f"{', '.join(by_reml)}: refitted by maximum likelihood, being by REML")
    by_ml = map(by_likelihood, fits)
    ordered = sorted(zip(names, by_ml), key=lambda model: model[1].npar)

    # -- each against the one before it
    rows = {}
    simulated = {}
    for place, (name, fit) in enumerate(ordered):
        row = {column: getattr(fit, column) for column in CRITERIA}
        rows[name] = row
        if place == 0:
            continue
        below, smaller = ordered[place - 1]
        row["chisq"] = ratio(smaller, fit)
        row["df"] = fit.npar - smaller.npar
        p_values, remarks = test(row["chisq"], row["df"], below, smaller, name, fit)
        row.update(p_values)
        notes += remarks
        if nsim and p_values:
            values = draws(smaller, [smaller, fit], Ratios(), nsim, seed, processes, progress)
            simulated[name], remarks = _done(values, below, name)
            notes += remarks
            reached = np.sum(simulated[name] >= row["chisq"])
            row["pvalue_boot"] = (1 + reached) / (1 + len(simulated[name]))

    models = {name: _model(fit.setup.design) for name, fit in ordered}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return Comparison(table, models, tuple(notes), simulated)


def _model(design):
    """The formula of a model, and its terms or, where the formula has bars, None."""
    has_bars = any(term.bar for term in design.terms)
    return design.form, None if has_bars else list(design.term_names)


def _done(values, below, name):
    """The simulated chisq among `values`, where a string is a failure, and remarks about them."""
    chisq = np.array([value for value in values if not isinstance(value, str)])
    remarks = [f"bootstrap p-value of {name} from {len(chisq)} simulations of {below}"]
    failed = len(values) - len(chisq)
    if failed:
        remarks.append(f"{failed} of {len(values)} simulations for {name} failed and are left out")
    return chisq, remarks


def ratio(smaller, larger):
    """Twice the log of the likelihood ratio; 0 where it is but the errors of the two optima.

    Of two fits, or of the `Estimates` of many.
    """
    gap = smaller.nll - larger.nll
    errors = NLL_ERROR * np.maximum(1.0, np.abs(larger.nll))
    return np.where(np.abs(gap) <= errors, 0.0, 2 * gap)[()]


class Ratios:
    """`ratio` of the refits of two models to replicates, from their estimates."""

    needs_fits = False

    def __call__(self, fits, estimates, Y, good):
        """The values of the replicates `good`."""
        return ratio(*estimates)[good]


def test(chisq, df, below, smaller, name, larger):
    """The p-values of one comparison, and what there is to say about them.

    Under the smaller model chisq has asymptotically the chi-squared distribution,

        (a)  p = P(chi2_df >= chisq);

    but where the larger model's additional variance is 0 in it, at the boundary, the estimate of
    that variance is 0 in half of all samples, and its degree of freedom is not used:

        (b)  p = 1/2 P(chi2_df >= chisq) + 1/2 P(chi2_{df - 1} >= chisq),

    chi2_0 being 0. With more than one dimension at the boundary there is no such simple mixture;
    (a) is too large in both cases.

    Parameters
    ----------
    chisq, df : float, int
        Twice the difference of the log-likelihoods, and of how many parameters.
    below, name : str
        What the smaller and the larger model are called.
    smaller, larger : LMMResult
        By maximum likelihood.

    Returns
    -------
    p_values : dict
        ``pvalue``, (a), and ``pvalue_mixture``, (b), by column of the table; empty where there is
        none.
    remarks : list of str
    """
    # -- no test: nothing to test, not nested, or an optimum that was missed
    if df == 0:
        return {}, [
            f"{name} has as many parameters as {below}, so there is no p-value for this row"
        ]
    if not nested(smaller, larger):
        return {}, [f"{name} does not contain {below}, so there is no p-value for this row"]
    if chisq < 0:
        return {}, [
            f"{name} contains {below} but fits worse, so its optimum was missed; "
            "fit it again with another start="
        ]

    # -- (a)
    p = float(chdtrc(df, chisq))
    p_values = {"pvalue": p}
    tested, dimensions = on_the_boundary(smaller, larger)
    if not tested:
        return p_values, []

    # -- (b)
    better = "give nsim= for a p-value by simulation"
    if dimensions == 1:
        without = float(chdtrc(df - 1, chisq)) if df > 1 else float(chisq == 0)
        p_values["pvalue_mixture"] = 0.5 * (p + without)
        better = "the 50:50 mixture is beside it"
    return p_values, [
        f"{name} against {below} tests {' and '.join(tested)} on the boundary: "
        f"p is conservative (too large); {better}"
    ]


def _checked(fits):
    """The models' names; an LMMError if they cannot be compared."""
    for i, fit in enumerate(fits):
        if not isinstance(fit, LMMResult):
            one_by_one = ", one by one: anova(*fits)" if isinstance(fit, (list, tuple)) else ""
            raise LMMError(
                f"argument {i} of anova is of type {fit.__class__.__name__}; it compares what lmm "
                f"returns{one_by_one}"
            )
    if not fits:
        raise LMMError("anova tests the terms of one fit, or compares several; give a fit")
    names = [f"m{i}" for i in range(len(fits))]
    first = fits[0].setup.design
    for name, fit in zip(names[1:], fits[1:]):
        check_same_data(first, fit.setup.design, "m0", name)
    return names


def check_same_data(first, other, m0, name):
    """Raise an LMMError unless two designs, of models of these names, have the same response."""
    if not (first.keeps_rows and other.keeps_rows):
        if first.keeps_rows or other.keeps_rows or first.source is not other.source:
            raise LMMError(
                f"{m0} and {name} were made from chunks, by passes of their own, so their rows "
                f"cannot be compared; make the smaller model of the larger one, by {name}.update()"
            )
        return
    n = len(first.y)
    if n != len(other.y):
        raise _other_rows(first, other, f"{m0} was fitted to {n} rows and {name} to {len(other.y)}")
    ones = np.ones(n)
    if not np.array_equal(first.weighted(ones), other.weighted(ones)):
        raise LMMError(
            f"{m0} and {name} were fitted with different weights; their likelihoods cannot be "
            "compared: fit both with the same weights="
        )
    if np.array_equal(first.y, other.y):
        return
    differ = f"{m0} and {name} were fitted to different"
    if first.response != other.response:
        raise LMMError(
            f"{differ} responses, {first.response!r} and {other.response!r}; their likelihoods "
            "cannot be compared"
        )
    if np.array_equal(np.sort(first.y), np.sort(other.y)):
        raise LMMError(
            f"{m0} and {name} were fitted to the same values of {first.response!r} in another "
            "order; fit both to the same dat"
        )
    if first.index.equals(other.index):
        raise LMMError(
            f"{differ} values of {first.response!r}; their likelihoods cannot be compared"
        )
    raise _other_rows(first, other, f"{differ} rows, {n} each")


def _other_rows(first, other, found):
    """The LMMError about other rows: of other data, or left out where values are missing."""
    dropped = first.n_dropped + other.n_dropped
    if not dropped:
        return LMMError(
            f"{found}, and neither left any out, so their data differ; fit both to the same dat"
        )
    if not first.dat.index.equals(other.dat.index):
        return LMMError(
            f"{found}, and their data differ, of {len(first.dat)} and {len(other.dat)} rows; "
            "fit both to the same dat"
        )
    return LMMError(
        f"{found}; fit both to the rows where no variable of either is missing: "
        f"dat = dat.dropna(subset={_with_missing(first, other)})"
    )


def _with_missing(first, other):
    """The columns of `dat` that the two designs use and that miss values."""
    missing = []
    for design in (first, other):
        by_row = (name for name in design.given.values() if isinstance(name, str))
        for name in [*design.data, *by_row]:
            if name in design.dat and design.dat[name].isna().any():
                missing.append(name)
    return list(dict.fromkeys(missing))
