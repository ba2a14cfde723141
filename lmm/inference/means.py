"""Marginal means over a reference grid, slopes of covariates, and comparisons of them.

A mean is a row of X, averaged over the grid; so means, slopes and their differences are linear
hypotheses, tested as those of hypotheses.py are.
"""

import itertools
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import gcd, lcm

import numpy as np
import pandas as pd

from ..errors import LMMError, checked_flag, shorten
from ..result import check_level, tables
from ..translation import explained
from .adjustments import adjusted, checked_adjustment, critical_values, letters_of
from .grid import make_grid, rows_of_cells, unknown_variable, variables_of
from .hypotheses import errors_of, remark_on_reml, t_table
from .scales import scale_of

WEIGHTS = ("equal", "proportional", "cells")
SMALL_MOVE = 1e-3             # of a covariate's sd, by which it moves for a slope
MOST_DEGREES = 6        # of polynomial contrasts
HINT = "on the scale of"        # how the note begins that says that a response was transformed


@dataclass(frozen=True, eq=False, repr=False)
class Means(tables.Shown):
    """What `fit.means` and `fit.slopes` return; printing it shows the table and the notes.

    Attributes
    ----------
    table : DataFrame
        By levels of `by`, then of what the means are of: ``mean se df lower upper``, units of y,
        or ``slope ...`` in units of y by units of the covariate; nan where the data do not tell it.
    rows : ndarray, shape (m, k)
        What beta is multiplied by.
    of, by : tuple of str
        The variables whose levels the table has.
    title : str
    notes : tuple of str
    """

    table: pd.DataFrame
    rows: np.ndarray = field(repr=False)
    of: tuple
    by: tuple
    title: str
    notes: tuple
    offset: np.ndarray = field(repr=False)
    estimable: np.ndarray = field(repr=False)
    errors: object = field(repr=False)
    level: float = 0.95
    scale: object = None

    __repr__ = tables.Shown.__str__

    def _tables(self):
        return shown(self.title, self.table, self.notes)

    def __getattr__(self, name):
        raise missing(self, name)

    # -- comparisons

    @explained
    def pairs(self, adjust="tukey", reverse=False):
        """All pairwise differences, within each combination of levels of `by`.

        Parameters
        ----------
        adjust : {"tukey", "bonferroni", "holm", "sidak", "fdr", "none"}, optional
            How p-values and intervals allow for the number of comparisons in each family. The
            intervals of Holm's and of "fdr" are Bonferroni's.
        reverse : bool, optional
            Whether to subtract the earlier level from the later one.

        Returns
        -------
        Comparisons
        """
        checked_adjustment(adjust)
        checked_flag(reverse, "reverse")

        def weights(m):
            rows = []
            for i, j in itertools.combinations(range(m), 2):
                row = np.zeros(m)
                row[i], row[j] = (-1.0, 1.0) if reverse else (1.0, -1.0)
                rows.append(row)
            return np.array(rows).reshape(-1, m)

        def names(levels):
            pairs = itertools.combinations(levels, 2)
            return [f"{b} - {a}" if reverse else f"{a} - {b}" for a, b in pairs]

        return self._compared(weights, names, adjust, "Pairwise differences")

    @explained
    def contrast(self, method="trt.vs.ctrl", adjust="none", ref=None):
        """Other contrasts, within each combination of levels of `by`.

        Parameters
        ----------
        method : {"trt.vs.ctrl", "poly", "consec"} or dict, optional
            Each level less the first, or less the level `ref`; orthogonal polynomials of equally
            spaced levels, in whole numbers; each level less the one before; or weights of the
            levels by label, in their order or by level, as in ``{"A - mean of B, C": [1, -0.5,
            -0.5]}``, ``{"B - A": {"B": 1, "A": -1}}``.
        adjust : str, optional
            As in `pairs`; Tukey's is for pairwise differences alone.
        ref : optional
            The level to compare with, for "trt.vs.ctrl".

        Returns
        -------
        Comparisons
        """
        checked_adjustment(adjust)
        if adjust == "tukey":
            raise LMMError("adjust='tukey' is for all pairwise differences, .pairs(); "
                           "for other contrasts take 'holm' or 'sidak'")
        if ref is not None and method != "trt.vs.ctrl":
            raise LMMError("ref belongs to 'trt.vs.ctrl'")
        levels = self.levels_of_family()
        if not isinstance(method, (str, dict)):
            raise LMMError(
                f"method is of type {type(method).__name__}; it is 'trt.vs.ctrl', 'poly', "
                "'consec', or a dict from labels to weights of the levels"
            )
        if isinstance(method, dict):
            rows = _given_weights(method, levels)
            labels = [str(label) for label in method]
        elif method == "poly":
            rows = polynomials(len(levels))
            labels = ["linear", "quadratic", "cubic", "quartic"][: len(rows)]
            labels += [f"degree {degree}" for degree in range(5, len(rows) + 1)]
        elif method == "consec":
            rows = np.diff(np.eye(len(levels)), axis=0)
            labels = [f"{b} - {a}" for a, b in itertools.pairwise(levels)]
        elif method == "trt.vs.ctrl":
            first = 0 if ref is None else _place(str(ref), levels)
            others = [i for i in range(len(levels)) if i != first]
            rows = np.eye(len(levels))[others]
            rows[:, first] = -1.0
            labels = [f"{levels[i]} - {levels[first]}" for i in others]
        else:
            raise LMMError(
                f"method is {method!r}; it is 'trt.vs.ctrl', 'poly', 'consec', or a dict from "
                "labels to weights of the levels"
            )
        return self._compared(lambda m: rows, lambda levels: labels, adjust, "Contrasts")

    @explained
    def letters(self, adjust="tukey", alpha=0.05):
        """Letters by mean, a Series: two that share none differ at the level `alpha`.

        Within each combination of levels of `by`, by `pairs`; the largest mean has an "a".
        """
        check_level(alpha)
        compared = self.pairs(adjust)
        p = compared.table["pvalue"].to_numpy()
        found = []
        start = 0
        for family in self._families():
            m = len(family)
            differ = np.zeros((m, m), bool)
            for number, (i, j) in enumerate(itertools.combinations(range(m), 2)):
                differ[i, j] = differ[j, i] = p[start + number] < alpha
            start += m * (m - 1) // 2
            values = self.table.iloc[family, 0].to_numpy()
            found += letters_of(differ, np.argsort(-values, kind="stable"))
        letters = pd.Series(found, self.table.index, name="letters")
        return letters.where(self.estimable, "")

    def on_original_scale(self):
        """The means where the response was transformed, as in ``log(y) ~ ...``, back in its units.

        Returns
        -------
        Means
            Its table has the means and bounds transformed, and errors by the delta method.
            Comparisons of it are still those on the scale of the model.

        Raises
        ------
        LMMError
            If the response is not log, log2, log10, log1p, sqrt or exp of something.
        """
        response = self.errors.fit.setup.design.response
        scale = scale_of(response)
        if self.scale is not None:
            return self
        if "mean" not in self.table:
            raise LMMError("slopes have no original scale; take means at two values")
        table = self.table.copy()
        table["se"] = table["se"] * np.abs(scale.slope(table["mean"]))
        bounds = np.sort(scale.inverse(table[["lower", "upper"]].to_numpy()), axis=1)
        table["lower"], table["upper"] = bounds.T
        table["mean"] = scale.inverse(table["mean"])
        notes = [note for note in self.notes if not note.startswith(HINT)]
        notes.append(f"transformed back from {scale.name}; errors by the delta method")
        title = self.title.replace(response, scale.inside, 1)
        return replace(self, table=table, notes=tuple(notes), title=title, scale=scale)

    @property
    def response(self):
        """What the means are of, as it is written: the response, or what was transformed in it."""
        return self.errors.fit.setup.design.response if self.scale is None else self.scale.inside

    # -- what they share

    def levels_of_family(self):
        """The levels of one family, as text."""
        family = self._families()[0]
        index = self.table.index[family]
        if len(self.of) == 1:
            level = index.get_level_values(self.of[0])
            return [_text(value) for value in level]
        parts = [index.get_level_values(name) for name in self.of]
        return [":".join(map(_text, values)) for values in zip(*parts)]

    def _families(self):
        """The numbers of the rows of each combination of levels of `by`."""
        m = int(np.prod([len(self.table.index.unique(name)) for name in self.of]))
        return [np.arange(start, start + m) for start in range(0, len(self.table), m)]

    def families(self):
        """The numbers of the rows of each combination of levels of `by`, by its text."""
        found = {}
        for rows in self._families():
            levels = [self.table.index.get_level_values(name)[rows[0]] for name in self.by]
            found[":".join(map(_text, levels))] = rows
        return found

    def _compared(self, weights, names, adjust, what):
        """The `Comparisons` with these weights and names, in each family."""
        if len(self.of) == 0 or len(self.levels_of_family()) < 2:
            raise LMMError("there is one mean in each family; comparisons take two or more")
        levels = self.levels_of_family()
        labels = names(levels)
        C = weights(len(levels))
        found = []
        for family in self._families():
            used = np.abs(C) > 0
            bad = used @ ~self.estimable[family] > 0
            table = t_table(self.errors, C @ self.rows[family], -C @ self.offset[family],
                            self.level, labels)
            table["estimate"] += C @ self.offset[family]
            table[bad] = np.nan
            there = ~bad
            df = table["df"].to_numpy()
            n_means = len(family)
            half = np.full(len(table), np.nan)
            if there.any():
                half[there] = critical_values(df[there], self.level, adjust, n_means, len(labels))
            half = half * table["se"]
            table["pvalue"] = adjusted(table["t"].to_numpy(), df, adjust, n_means)
            table["lower"] = table["estimate"] - half
            table["upper"] = table["estimate"] + half
            found.append(table)
        table = pd.concat(found)
        if self.by:
            index = self.table.index.droplevel(list(self.of)) if self.of else self.table.index
            firsts = [index[family[0]] for family in self._families()]
            firsts = [one if isinstance(one, tuple) else (one,) for one in firsts]
            tuples = [(*one, label) for one in firsts for label in labels]
            table.index = pd.MultiIndex.from_tuples(tuples, names=[*self.by, "contrast"])
        else:
            table.index.name = "contrast"
        r = len(labels)
        how = "not adjusted" if adjust == "none" else f"adjusted by {ADJUSTED[adjust]}"
        design = self.errors.fit.setup.design
        notes = [note for note in self.notes if not note.startswith((HINT, "transformed back"))]
        notes.append(f"p-values and intervals {how}, for a family of {r}")
        scale = None if "slope" in self.table else scale_of_or_none(design)
        title = f"{what} of {self.title[0].lower()}{self.title[1:]}"
        if scale is not None:
            ratios = "; .on_original_scale() gives ratios" if scale.base else ""
            notes.append(f"{HINT} {scale.name}{ratios}")
            if self.scale is not None:
                title = title.replace(scale.inside, scale.name, 1)
        return Comparisons(title, table, tuple(notes), scale)


ADJUSTED = {
    "tukey": "Tukey's method",
    "bonferroni": "Bonferroni's method",
    "holm": "Holm's method (intervals by Bonferroni's)",
    "sidak": "Sidak's method",
    "fdr": "Benjamini and Hochberg's method (intervals by Bonferroni's)",
}


@dataclass(frozen=True, eq=False, repr=False)
class Comparisons(tables.Shown):
    """What `Means.pairs` and `Means.contrast` return; printing it shows the table and the notes.

    Attributes
    ----------
    title : str
    table : DataFrame
        By levels of `by` and contrast: ``estimate se df t pvalue lower upper``.
    notes : tuple of str
    """

    title: str
    table: pd.DataFrame
    notes: tuple
    scale: object = None

    __repr__ = tables.Shown.__str__

    def on_original_scale(self):
        """Ratios, where the response is a logarithm: its differences, transformed back.

        Returns
        -------
        Comparisons
            Its table has ``ratio`` in place of ``estimate``, without unit, and bounds of it; errors
            by the delta method; t and p are those of the differences.

        Raises
        ------
        LMMError
            If the response is no logarithm: differences have no other scale then.
        """
        scale = self.scale
        if scale is None or scale.base is None:
            raise LMMError(
                "the response is no logarithm, whose differences are ratios; "
                "take .on_original_scale() of the means"
            )
        if "ratio" in self.table:
            return self
        table = self.table.copy()
        for column in ("estimate", "lower", "upper"):
            table[column] = scale.base ** table[column]
        table["se"] *= np.log(scale.base) * table["estimate"]
        table = table.rename(columns={"estimate": "ratio"})
        notes = [note for note in self.notes if not note.startswith(HINT)]
        notes.append(
            f"ratios of {scale.inside}, back from {scale.name}; errors by the delta method"
        )
        title = f"Ratios by {self.title[0].lower()}{self.title[1:]}"
        return replace(self, title=title, table=table, notes=tuple(notes))

    def _tables(self):
        return shown(self.title, self.table, self.notes)

    def __getattr__(self, name):
        raise missing(self, name)


THEIR_WORDS = {
    "cld": "write .letters()",
    "conf_int": "its .table has the bounds, lower and upper",
    "confint": "its .table has the bounds, lower and upper",
    "summary": "print it, or take its .table",
    "test": "comparisons have t and p in their .table",
    "plot": "write plots.means(...)",
    "contrasts": "write .contrast(...)",
    "emmeans": "its .table has the means",
}


def missing(of, name):
    """The AttributeError about a name that means or comparisons have not."""
    kind = type(of).__name__
    own = [one for one in dir(type(of)) if not one.startswith("_")]
    advice = THEIR_WORDS.get(name) or f"it has {', '.join(own)}, table, notes"
    return AttributeError(f"{kind} has no attribute {name!r}; {advice}")


def shown(title, table, notes):
    """The tables of means or comparisons, as cells."""
    index = table.index.to_frame(index=False)
    headings = [f"<{name}" for name in index.columns]
    columns = [[_text(value) for value in index[name]] for name in index.columns]
    for name in table:
        values = table[name].to_numpy(float)
        headings.append(HEADINGS.get(name, name))
        if name == "pvalue":
            columns.append([tables.p_value(p) for p in values])
        elif name in ("df", "t"):
            columns.append(tables.rounded(values, 2))
        else:
            columns.append(tables.numbers(values))
    remarks = [tables.Table(f"Note: {note}") for note in notes]
    return [tables.Table(f"{title}:", tuple(headings), tables.rows_of(*columns)), *remarks]


HEADINGS = {
    "mean": "Mean", "slope": "Slope", "estimate": "Estimate", "se": "Std. Error", "t": "t value",
    "pvalue": "Pr(>|t|)", "lower": "Lower", "upper": "Upper", "ratio": "Ratio",
}


# -- means -----------------------------------------------------------------------------------------


def means(fit, of, by=None, at=None, weights="equal", *, df="satterthwaite", level=0.95):
    """Marginal means of the response: averages over a grid of the other variables.

    Parameters
    ----------
    of : str or list of str
        The factors whose levels have a mean each; numeric variables if `at` gives their values.
    by : str or list of str, optional
        Factors within whose levels means are compared.
    at : dict, optional
        Values of variables, by name: of numeric ones in place of their mean, of factors some of
        their levels.
    weights : {"equal", "proportional", "cells"}, optional
        Of the combinations of levels that a mean is over: all alike; by how many rows have them;
        or by how many have them within the mean's own levels.
    df : {"satterthwaite", "kr", "normal"} or float, optional
        As in `contrast`.
    level : float, optional
        Of the intervals, between 0 and 1.

    Returns
    -------
    Means
        With ``.table``, ``.pairs()``, ``.contrast()``, ``.letters()``.

    Raises
    ------
    LMMError
        If a variable is in no fixed effect, or numeric without `at`; if an argument is none of the
        above.

    Notes
    -----
    Searle, Speed and Milliken (1980); R's emmeans has the same means, but for numeric variables
    with two values, which are at their mean here. Offsets are at their mean. Rows are counted, not
    weighted, as there: the fit's weights are precisions.

    Examples
    --------
    >>> fit = lmer("Yield ~ Variety + (1 | Block) + (1 | Block:Variety)", load_data("Oats"))
    >>> fit.means("Variety").table["mean"].round(2).to_dict()
    {'Golden Rain': 104.5, 'Marvellous': 109.79, 'Victory': 97.62}
    """
    check_level(level)
    errors = errors_of(fit, df)
    of, by = _named(of, "of"), _named(by, "by")
    factors, covariates = variables_of(fit)
    grid = make_grid(fit, at)
    _check_names(fit, of, by, factors, covariates, at, grid)
    share = _shares(fit, grid, [*by, *of], factors, weights)
    title = f"Marginal means of {fit.setup.design.response} by {', '.join(of)}"
    if by:
        title += f" within {', '.join(by)}"
    return _averaged(fit, errors, grid.X, grid.offset, grid, share, of, by, title, "mean", level)


def slopes(fit, of, by=None, at=None, weights="equal", *, df="satterthwaite", level=0.95):
    """Slopes of the response in a numeric variable, averaged over a grid of the others.

    Parameters
    ----------
    of : str
        The numeric variable.
    by : str or list of str, optional
        Factors with a slope for each of their levels.
    at : dict, optional
        As in `means`: the slope is at the variable's mean, or at its values here.
    weights : {"equal", "proportional", "cells"}, optional
        As in `means`.
    df : {"satterthwaite", "kr", "normal"} or float, optional
        As in `contrast`.
    level : float, optional
        Of the intervals, between 0 and 1.

    Returns
    -------
    Means
        Units of y by units of the variable.

    Raises
    ------
    LMMError
        If the variable is in no fixed effect or has levels; and as `means`.

    Notes
    -----
    Derivatives of the rows of X, by differences of fourth order: exact to about ten digits.

    Examples
    --------
    >>> fit = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
    >>> float(fit.slopes("Days").table["slope"].round(3).iloc[0])
    10.467
    """
    check_level(level)
    errors = errors_of(fit, df)
    by = _named(by, "by")
    factors, covariates = variables_of(fit)
    if not isinstance(of, str):
        raise LMMError(f"of is of type {type(of).__name__}; it is the name of one numeric variable")
    of = unquoted(of)
    if of in factors:
        raise LMMError(f"{of!r} has levels, not a slope; see fit.means({of!r}).pairs()")
    grid = make_grid(fit, at)
    if of not in covariates:
        raise unknown_variable(of, "of", grid.axes, fit.setup.design)
    several = [of] if len(grid.axes[of]) > 1 else []
    _check_names(fit, [*by, *several], [], factors, covariates, at, grid)

    # -- dX / dx = [8 (X(x + h) - X(x - h)) - (X(x + 2 h) - X(x - 2 h))] / 12 h
    design = fit.setup.design
    h = SMALL_MOVE * float(np.std(design.data[of])) or SMALL_MOVE
    slope = np.zeros_like(grid.X)
    offset = np.zeros(len(grid.X))
    for steps, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
        X, known = rows_of_cells(design, grid.cells.assign(**{of: grid.cells[of] + steps * h}))
        slope += weight * X / (12 * h)
        offset += weight * known / (12 * h)
    share = _shares(fit, grid, [*by, *several], factors, weights)
    title = f"Slopes of {design.response} in {of}"
    if by:
        title += f" by {', '.join(by)}"
    found = [*by, *several]
    return _averaged(fit, errors, slope, offset, grid, share, found, [], title, "slope", level)


def _named(names, argument):
    """A name or a list of names as a list."""
    if names is None and argument == "by":
        return []
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, (list, tuple)) or (argument == "of" and not names):
        short = names is None or isinstance(names, (list, tuple, dict, int, float))
        what = repr(names) if short else f"of type {type(names).__name__}"
        raise LMMError(f"{argument} is {what}; it is a variable's name, or a list of names")
    if argument == "of" and any("~" in name or "|" in name for name in map(str, names)):
        raise LMMError(
            f"of is {names[0]!r}; it is a variable's name, such as 'arm'; what means are compared "
            "within is by=, and .pairs() compares them"
        )
    return [unquoted(name) for name in names]


def unquoted(name):
    """A variable's name without the backticks that it has in a formula."""
    if isinstance(name, str) and len(name) > 2 and name[0] == name[-1] == "`":
        return name[1:-1]
    return name


def _check_names(fit, of, by, factors, covariates, at, grid):
    """Raise an LMMError unless these are variables with values in the grid."""
    for argument, names in (("of", of), ("by", by)):
        for name in names:
            if not isinstance(name, str) or name not in grid.axes:
                raise unknown_variable(name, argument, grid.axes, fit.setup.design)
            if name in covariates and name not in (at or {}):
                raise LMMError(
                    f"{name!r} is numeric, so it has a slope, fit.slopes({name!r}), and means "
                    f"at values: at={{{name!r}: [...]}}; if its numbers are codes, make it a "
                    "category before the fit"
                )
    twice = [name for name in of if name in by]
    if twice or len({*of}) < len(of) or len({*by}) < len(by):
        raise LMMError(f"of and by hold {(twice or of)[0]!r} twice")


def _shares(fit, grid, kept, factors, weights):
    """(cells,): how much each cell of the grid counts in its mean."""
    if weights not in WEIGHTS:
        raise LMMError(f"weights is {weights!r}; it is one of {', '.join(map(repr, WEIGHTS))}")
    cells = grid.cells
    if weights == "equal":
        return np.ones(len(cells))
    over = [name for name in factors if name not in kept]
    if weights == "cells":
        over = list(factors)
    if not over:
        return np.ones(len(cells))
    counts = fit.setup.design.counts_of(over)
    keys = list(zip(*(cells[name] for name in over)))
    if len(over) == 1:
        keys = [key[0] for key in keys]
    return np.array([counts.get(key, 0.0) for key in keys])


def _averaged(fit, errors, X, offset, grid, share, of, by, title, what, level):
    """The `Means` of the rows of a grid, weighted by `share`, by the levels of `by` and `of`."""
    names = [*by, *of]
    design = fit.setup.design
    levels = [grid.axes[name] for name in names]
    overall = pd.Index(["all"], name="rows")
    index = pd.MultiIndex.from_product(levels, names=names) if names else overall
    if names:
        number = index.get_indexer(pd.MultiIndex.from_frame(grid.cells[names]))
    else:
        number = np.zeros(len(grid.cells), int)
    m = len(index)
    total = np.bincount(number, share, m)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = share / total[number]
    whole = np.array([np.bincount(number, share * column, m) for column in X.T]).T
    whole = whole.reshape(m, X.shape[1])
    known = np.bincount(number, share * offset, m)
    estimable = np.isfinite(whole).all(axis=1)
    whole = np.where(estimable[:, None], whole, 0.0)
    estimable &= ~design.left_out.not_estimable(whole).any(axis=1)
    rows = design.left_out.reduced(whole)
    if len(names) == 1:
        index = pd.Index(levels[0], name=names[0])
    table = t_table(errors, rows, np.zeros(m), level, index)
    table["estimate"] += known
    table["lower"] += known
    table["upper"] += known
    table[~estimable] = np.nan
    table = table.rename(columns={"estimate": what})
    if what == "mean":
        table = table.drop(columns=["t", "pvalue"])
    notes = [f"degrees of freedom by {errors.words}"]
    if what == "mean" and scale_of_or_none(design):
        notes.append(f"{HINT} {design.response}; .on_original_scale() transforms back")
    over = [name for name in grid.axes if name not in names and len(grid.axes[name]) > 1]
    if over:
        notes.append(f"averaged over the levels of {', '.join(over)}")
    entangled = interacting(design.formula, names, over)
    if entangled:
        notes.append(
            f"averages may hide what differs: the formula has interactions with "
            f"{', '.join(entangled)}"
        )
    fixed = [f"{name} = {_text(grid.axes[name][0])}" for name in grid.axes
             if name not in names and len(grid.axes[name]) == 1]
    if fixed:
        notes.append(f"at {', '.join(fixed)}")
    if not estimable.all():
        lost = [_text(label) for label in index[~estimable]]
        notes.append(f"cannot be estimated from the data of the fit: {shorten(lost)}")
    notes += remark_on_reml(fit, errors)
    return Means(
        table, rows, tuple(of), tuple(by), title, tuple(notes), known, estimable, errors, level
    )


def interacting(formula, names, others):
    """Those of the others that stand in a summand with one of the names."""
    found = []
    for summand in formula.summands:
        used = {name for expression in summand for name in expression.variables}
        if used & set(names):
            found += [name for name in others if name in used]
    return list(dict.fromkeys(found))


def scale_of_or_none(design):
    """The scale of the response, or None if it is as in the data."""
    try:
        return scale_of(design.response)
    except LMMError:
        return None


def _text(value):
    """A level as text; a number without needless zeros; several with colons."""
    if isinstance(value, tuple):
        return ":".join(map(_text, value))
    if isinstance(value, (float, np.floating)):
        return f"{value:.6g}"
    return str(value)


def _place(level, levels):
    """Where a level is."""
    if level not in levels:
        raise LMMError(f"ref is {level!r}; the levels are {shorten(levels)}")
    return levels.index(level)


def _given_weights(method, levels):
    """The user's weights, (r, m): in the order of the levels, or by level."""
    m = len(levels)
    rows = []
    for label, weights in method.items():
        if isinstance(weights, (dict, pd.Series)):
            weights = _weights_by_level(weights, label, levels)
        try:
            row = np.asarray(weights, float)
        except (TypeError, ValueError):
            raise LMMError(f"the weights of {label!r} are no numbers") from None
        if row.shape != (m,) or not np.isfinite(row).all():
            raise LMMError(
                f"the weights of {label!r} have shape {row.shape}; they are {m} numbers, "
                f"one for each level, {shorten(levels)}"
            )
        if not row.any():
            raise LMMError(f"the weights of {label!r} are all zero; they say nothing")
        rows.append(row)
    if not rows:
        raise LMMError("method is an empty dict; it holds weights of the levels by label")
    return np.array(rows)


def _weights_by_level(weights, label, levels):
    """Weights given by level, of a dict or Series, in the order of the levels; others are zero."""
    row = np.zeros(len(levels))
    for level, weight in weights.items():
        row[_place(_text(level), levels)] = weight if _is_number(weight) else np.nan
    if np.isnan(row).any():
        raise LMMError(f"the weights of {label!r} are no numbers")
    return row


def _is_number(value):
    """Whether a value is a number, no bool."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def polynomials(m):
    """Orthogonal polynomials of m equally spaced levels, (degrees, m), in lowest whole numbers."""
    found = [[Fraction(1)] * m]
    x = [Fraction(2 * i - (m - 1)) for i in range(m)]
    for degree in range(1, min(m - 1, MOST_DEGREES) + 1):
        new = [value**degree for value in x]
        for old in found:
            share = sum(a * b for a, b in zip(new, old)) / sum(a * a for a in old)
            new = [a - share * b for a, b in zip(new, old)]
        denominator = lcm(*(value.denominator for value in new))
        whole = [int(value * denominator) for value in new]
        divisor = gcd(*whole)
        found.append([Fraction(value, divisor) for value in whole])
    return np.array(found[1:], float)
