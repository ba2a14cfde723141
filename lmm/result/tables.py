"""Tables as cells, made once; every rendering is of the same cells, so they cannot disagree.

Here are the cells, and the tables of a fit; what else shows itself by tables makes its own.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import LMMError
from .shown import Shown, Table

WIDEST_CORRELATION = 9  # effects, fixed or of a term, beyond which correlations are not shown
MOST_COEFFICIENTS = 60  # fixed effects in a table, beyond which ...
SHOWN_COEFFICIENTS = 40     # ... the first so many are shown
MOST_LEFT_OUT = 12      # columns of X, beyond which the first so many are named
MOST_DECIMALS = 8       # of a number, beyond which it is in scientific notation, ...
TOO_LONG = 1e9          # ... as it is from here on
USUAL_DECIMALS = 5      # of a column, unless its largest number needs more
FEWEST_DIGITS = 3       # of a number, below which it is in scientific notation in its column
WHOSE = {"satterthwaite": "Satterthwaite's", "kr": "Kenward and Roger's"}


# -- cells -----------------------------------------------------------------------------------------


def numbers(values, digits=5):
    """Strings for a column of numbers, all with the decimals that the smallest one needs.

    That is so many that the smallest has `digits` significant digits, but no more than 5 unless the
    largest one needs more for that; a number with fewer than 3 significant digits then is in
    scientific notation, and so are all where some are too large, or all too small.
    """
    values = np.asarray(values, float)
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if len(sizes) == 0:
        return [f"{value:g}" for value in values]
    if is_odd(sizes.max(), digits):
        return [scientific(value, digits) for value in values]
    most = max(decimals_of(sizes.max(), digits), USUAL_DECIMALS)
    shown = sizes[sizes >= 10.0 ** (FEWEST_DIGITS - 1 - most)]
    decimals = min(decimals_of(shown.min(), digits), most)
    cells = rounded(values, max(decimals, 0))
    for place, value in enumerate(values):
        if 0 < abs(value) < shown.min():
            cells[place] = scientific(value, digits)
    return cells


def decimals_of(size, digits):
    """How many decimals a positive number has, of so many significant digits."""
    return digits - 1 - int(np.floor(np.log10(size)))


def is_odd(size, digits):
    """Whether a positive number is so large, or so small, that it is written with an exponent."""
    return size >= TOO_LONG or decimals_of(size, digits) > MOST_DECIMALS


def scientific(value, digits):
    """A number with an exponent."""
    return f"{value:.{digits - 1}e}" if value else "0"


def rounded(values, decimals, missing="nan"):
    """Strings for a column of numbers with so many decimals; `missing` stands for nan."""
    return [missing if np.isnan(value) else f"{value:.{decimals}f}" for value in values]


def p_value(p):
    """A p-value for a table."""
    if np.isnan(p):
        return ""
    if p >= 1e-4:
        return f"{p:.4f}"
    return f"{p:.1e}" if p > 0 else "0"


def rows_of(*columns):
    """The rows of a table, from its columns of cells."""
    return tuple(zip(*columns))


# -- the tables of a fit ---------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """Tables to look at."""

    tables: tuple

    __repr__ = Shown.__str__

    def _tables(self):
        return self.tables


def summary(fit, *, se=False, correlation=True, df="satterthwaite"):
    """The tables to read after a fit, as text and in a notebook as HTML.

    Parameters
    ----------
    se : bool, optional
        Whether to add the standard errors of the standard deviations.
    correlation : bool, optional
        Whether to show the correlations of the fixed effects' estimates.
    df : {"satterthwaite", "kr"}, optional
        Whose degrees of freedom; with Kenward and Roger's, ``"kr"``, their standard errors too, and
        of a fit by maximum likelihood the estimates of its refit by REML.

    Returns
    -------
    Summary
        Printing it shows the tables: those of the fit, with scaled residuals, and with degrees of
        freedom and p-values by Satterthwaite's method.
    """
    if df not in WHOSE:
        raise LMMError(f"df is {df!r}; it is 'satterthwaite' or 'kr' (Kenward and Roger)")
    return Summary(tuple(of_summary(fit, se, correlation, df)))


def of_fit(fit):
    """The tables of a fitted model, in the order in which lme4 prints them."""
    columns = {
        "Estimate": numbers(fit.params),
        "Std. Error": numbers(fit.bse),
        "t value": rounded(fit.tvalues, 2),
    }
    return [
        *about(fit),
        criteria(fit),
        variances(fit),
        *hidden_correlations(fit),
        counts(fit),
        *fixed_effects(fit, "Fixed effects:", columns),
        *health(fit),
    ]


def of_summary(fit, se=False, correlation=True, df="satterthwaite"):
    """The tables of a summary.

    Those of the fit, scaled residuals, tests, and the correlations of the fixed effects.
    """
    columns = {}
    if len(fit.beta):
        tests = fit.contrast(np.eye(len(fit.beta)), df=df)
        columns = {
            "Estimate": numbers(tests["estimate"]),
            "Std. Error": numbers(tests["se"]),
            "df": rounded(tests["df"], 2),
            "t value": rounded(tests["t"], 2),
            "Pr(>|t|)": [p_value(p) for p in tests["pvalue"]],
        }
    title = f"Fixed effects (df and p by {WHOSE[df]} method):"
    return [
        *about(fit),
        criteria(fit),
        *residuals(fit),
        variances(fit, se),
        *hidden_correlations(fit),
        counts(fit),
        *fixed_effects(fit, title, columns),
        *(correlations(fit) if correlation else ()),
        *health(fit),
    ]


def fixed_effects(fit, title, columns):
    """The table of the fixed effects, the first of them if there are very many; what is left out.

    `columns` are its cells by heading.
    """
    names = fit.params.index
    if len(names) > MOST_COEFFICIENTS:
        title = f"{title.removesuffix(':')}, the first {SHOWN_COEFFICIENTS} of {len(names)}:"
        names = names[:SHOWN_COEFFICIENTS]
    if len(names):
        yield Table(title, ("<", *columns), rows_of(names, *columns.values()))
    if len(names) < len(fit.params):
        yield Table("All fixed effects: fit.params, fit.bse, fit.tvalues, fit.pvalues")
    left_out = fit.setup.design.left_out
    others = [name for name in left_out.names if name not in left_out.zero]
    if left_out.zero:
        yield Table(f"Left out, zero in every row: {_first_of(left_out.zero)}")
    if others:
        yield Table(f"Left out, a combination of columns before it: {_first_of(others)}")


def _first_of(names):
    """The names that are left out, if they are not too many."""
    shown = ", ".join(names[:MOST_LEFT_OUT])
    if len(names) > MOST_LEFT_OUT:
        shown += f", ... ({len(names)} of those in fit.dropped)"
    return shown


def about(fit):
    """What was fitted, and how."""
    design = fit.setup.design
    mixed = "mixed " if design.blocks else ""
    method = "REML" if fit.reml else "maximum likelihood"
    yield Table(f"Linear {mixed}model fit by {method}")
    yield Table(f"Formula: {design.form}")
    if not any(term.bar for term in design.terms):
        yield Table("Random effects: " + (", ".join(design.term_names) or "none"))
    for name, value in design.given.items():
        if value is not None:
            source = value if isinstance(value, str) else "an array"
            yield Table(f"{name.capitalize()}: {source}")


def criteria(fit):
    """AIC and what belongs to it; lme4 calls a REML fit's deviance REMLdev."""
    values = rounded((fit.aic, fit.bic, fit.llf, fit.deviance), 2)
    deviance = "REMLdev" if fit.reml else "deviance"
    return Table(
        "",
        ("AIC", "BIC", "logLik", deviance, "df.resid"),
        ((*values, str(fit.df_resid)),),
    )


def residuals(fit):
    """The quartiles of the scaled residuals; no table where the rows are not kept."""
    if not fit.setup.design.keeps_rows:
        return []
    quartiles = np.quantile(fit.resid_scaled, [0, 0.25, 0.5, 0.75, 1])
    headings = ("Min", "1Q", "Median", "3Q", "Max")
    return [Table("Scaled residuals:", headings, (tuple(rounded(quartiles, 4)),))]


def variances(fit, se=False):
    """The variance components, with the standard errors of the standard deviations if wanted."""
    frame = fit.varcorr(se=se)
    headings = ["<Groups", "<Name", "Variance", "Std.Dev."]
    columns = [
        frame["group"],
        frame["name"],
        numbers(frame["variance"]),
        numbers(frame["sd"]),
    ]
    if se:
        headings.append("SE(Std.Dev.)")
        columns.append(numbers(frame["sd_se"]))
    for name in frame.columns[frame.columns.str.startswith("corr")][:_shown_correlations(fit)]:
        headings.append("Corr" if name == "corr1" else "")
        columns.append(rounded(frame[name], 2, missing=""))
    return Table("Random effects:", tuple(headings), rows_of(*columns))


def _shown_correlations(fit):
    """How many columns of correlations the variance components have."""
    sizes = [size for size in fit.setup.covariance.sizes if size <= WIDEST_CORRELATION]
    return max(sizes, default=1) - 1


def hidden_correlations(fit):
    """Of terms with many effects: where their correlations are."""
    covariance = fit.setup.covariance
    for name, size in zip(fit.setup.design.term_names, covariance.sizes):
        if size > WIDEST_CORRELATION:
            yield Table(f"Correlations of {size} effects not shown: fit.corr, or psi() of {name}")


def counts(fit):
    """How many rows, and how many levels of each grouping."""
    text = f"Number of obs: {fit.nobs}"
    if fit.n_dropped:
        text += f" ({fit.n_dropped} dropped with missing values)"
    blocks = fit.setup.design.blocks
    levels = {block.group: len(block.levels) for block in blocks if block.group}
    if levels:
        listed = [f"{grouping} {count}" for grouping, count in levels.items()]
        text += f"; groups: {', '.join(listed)}"
    return Table(text)


def correlations(fit):
    """The lower triangle of the correlation of the estimates, columns numbered like the rows."""
    names = fit.params.index
    if len(names) < 2:
        return
    if len(names) > WIDEST_CORRELATION:
        yield Table(
            f"Correlation of fixed effects: not shown, being of {len(names)}; "
            "fit.cov_params() has their covariances"
        )
        return
    se = fit.bse.to_numpy()
    R = fit.cov_params().to_numpy() / se / se[:, None]
    others = range(len(names) - 1)
    rows = []
    for i, name in enumerate(names):
        cells = [f"{R[i, j]:.3f}" if j < i else "" for j in others]
        rows.append((str(i + 1), name, *cells))
    headings = [str(j + 1) for j in others]
    yield Table("Correlation of fixed effects:", ("", "<", *headings), tuple(rows))


def health(fit):
    """What to know before trusting the numbers: the optimum's line, and singular covariances."""
    yield Table("")
    if fit.optimum.certified:
        curvature = "average information" if fit.optimum.averaged else "curvature"
        yield Table(f"Optimum: {_verdict(fit)} (gradient zero, {curvature} positive)")
    else:
        yield Table(f"Optimum: NOT certified: {'; '.join(fit.optimum.reasons)}")
    zero = list(fit.sd.index[fit.sd == 0])
    if zero:
        yield Table(f"Singular: standard deviation 0 for {', '.join(zero)}")
    sizes = fit.setup.covariance.sizes
    for (name, rank), size in zip(fit.rank.items(), sizes):
        if 0 < rank < size:
            dimensions = f"{rank} dimension{'s' if rank > 1 else ''}"
            yield Table(
                f"Singular: the {size} effects of {name} vary in {dimensions} only, "
                f"their covariance is of rank {rank}"
            )


def _verdict(fit):
    """Certified, or what a proof that was asked for says."""
    return fit.__dict__.get("_verdict", "certified")
