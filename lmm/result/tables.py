"""Tables as cells, made once; text and HTML render the same cells, so they cannot disagree."""

from dataclasses import dataclass
from html import escape
from textwrap import wrap

import numpy as np

WIDTH = 110             # of a line of text; tables may be wider
MOST_CORRELATIONS = 20  # fixed effects, beyond which their correlations are not printed


@dataclass(frozen=True)
class Table:
    """A line of text above rows of cells; the cells are strings already.

    `columns` are the headings; a heading that starts with ``<`` (not shown) aligns its column to the left.
    """

    title: str
    columns: tuple = ()
    rows: tuple = ()


class Shown:
    """What shows itself by tables, `_tables()`: as text when printed, as HTML in a notebook."""

    def __str__(self):
        return to_text(self._tables())

    def _repr_html_(self):
        return to_html(self._tables())


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """Tables to look at, as text or HTML."""

    tables: tuple

    __repr__ = Shown.__str__

    def _tables(self):
        return self.tables


def numbers(values, digits=5):
    """Strings for a column of numbers: equally many decimals, so many that the smallest has `digits` significant digits.

    No more than 8 decimals; where numbers are too large or small for that, each is in scientific notation.
    """
    values = np.asarray(values, float)
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if len(sizes) == 0:
        return [f"{value:g}" for value in values]
    decimals = digits - 1 - int(np.floor(np.log10(sizes.min())))
    if decimals > 8 or sizes.max() >= 1e9:
        return [f"{value:.{digits - 1}e}" if value else "0" for value in values]
    return [f"{value:.{max(decimals, 0)}f}" for value in values]


def p_value(p):
    """A p-value for a table."""
    return "" if np.isnan(p) else f"{p:.4f}" if p >= 1e-4 else f"{p:.1e}" if p > 0 else "0"


def summary(fit, *, se=False, correlation=True):
    """The tables to read after a fit, as text and in a notebook as HTML.

    Parameters
    ----------
    se : bool, optional
        Whether to add the standard errors of the standard deviations.
    correlation : bool, optional
        Whether to show the correlations of the fixed effects' estimates.
    """
    return Summary(tuple(of_summary(fit, se, correlation)))


def of_fit(fit):
    """The tables of a fitted model, in the order in which lme4 prints them."""
    fixed = zip(fit.params.index, numbers(fit.params), numbers(fit.bse), [f"{t:.2f}" for t in fit.tvalues])
    return [*about(fit), criteria(fit), variances(fit), counts(fit),
            *_unless_empty(Table("Fixed effects:", ("<", "Estimate", "Std. Error", "t value"), tuple(fixed))), *health(fit)]


def of_summary(fit, se=False, correlation=True):
    """The tables of a summary: those of the fit, scaled residuals, tests, and the correlation of the fixed effects."""
    quartiles = np.quantile(fit.resid_scaled, [0, 0.25, 0.5, 0.75, 1])
    residuals = Table("Scaled residuals:", ("Min", "1Q", "Median", "3Q", "Max"), (tuple(f"{q:.4f}" for q in quartiles),))
    fixed = zip(fit.params.index, numbers(fit.params), numbers(fit.bse), [f"{df:.2f}" for df in fit.df],
                [f"{t:.2f}" for t in fit.tvalues], map(p_value, fit.pvalues))
    tests = Table("Fixed effects (df and p by Satterthwaite's method):",
                  ("<", "Estimate", "Std. Error", "df", "t value", "Pr(>|t|)"), tuple(fixed))
    return [*about(fit), criteria(fit), residuals, variances(fit, se), counts(fit), *_unless_empty(tests),
            *(correlations(fit) if correlation else ()), *health(fit)]


def about(fit):
    """What was fitted, and how."""
    design = fit.setup.design
    method = "REML" if fit.reml else "maximum likelihood"
    yield Table(f"Linear {'mixed ' if design.blocks else ''}model fit by {method}")
    yield Table(f"Formula: {design.form}")
    if not any(term.bar for term in design.terms):
        yield Table("Random effects: " + (", ".join(design.term_names) or "none"))
    for name, value in design.given.items():
        if value is not None:
            yield Table(f"{name.capitalize()}: {value if isinstance(value, str) else 'an array'}")


def criteria(fit):
    """AIC and what belongs to it; lme4 calls a REML fit's deviance REMLdev."""
    return Table("", ("AIC", "BIC", "logLik", "REMLdev" if fit.reml else "deviance", "df.resid"),
                 ((*(f"{value:.2f}" for value in (fit.aic, fit.bic, fit.llf, fit.deviance)), str(fit.df_resid)),))


def variances(fit, se=False):
    """The variance components, with the standard errors of the standard deviations if wanted."""
    frame = fit.varcorr(se=se)
    columns = [frame["group"], frame["name"], numbers(frame["variance"]), numbers(frame["sd"])]
    headings = ["<Groups", "<Name", "Variance", "Std.Dev."]
    if se:
        columns.append(numbers(frame["sd_se"]))
        headings.append("SE(Std.Dev.)")
    for name in frame.columns[frame.columns.str.startswith("corr")]:
        columns.append(["" if np.isnan(r) else f"{r:.2f}" for r in frame[name]])
        headings.append("Corr" if name == "corr1" else "")
    return Table("Random effects:", tuple(headings), tuple(zip(*columns)))


def counts(fit):
    """How many rows and groups."""
    dropped = f" ({fit.n_dropped} dropped with missing values)" if fit.n_dropped else ""
    groups = {block.group: len(block.levels) for block in fit.setup.design.blocks if block.group}
    listed = "; groups: " + ", ".join(f"{name} {count}" for name, count in groups.items()) if groups else ""
    return Table(f"Number of obs: {fit.nobs}{dropped}{listed}")


def correlations(fit):
    """The lower triangle of the correlation of the fixed effects' estimates, columns numbered like the rows."""
    names, C, se = fit.params.index, fit.cov_params().to_numpy(), fit.bse.to_numpy()
    if not 1 < len(names) <= MOST_CORRELATIONS:
        return
    R = C / se / se[:, None]
    others = range(len(names) - 1)
    rows = tuple((str(i + 1), name, *(f"{R[i, j]:.3f}" if j < i else "" for j in others)) for i, name in enumerate(names))
    yield Table("Correlation of fixed effects:", ("", "<", *(str(j + 1) for j in others)), rows)


def of_comparison(comparison):
    """The tables of a comparison of models."""
    t = comparison.table
    models = [Table(f"{name}: {form}" + ("" if terms is None else f"; random effects: {', '.join(terms) or 'none'}"))
              for name, (form, terms) in comparison.models.items()]
    columns = [t.index, t["npar"].map(str), *([f"{x:.2f}" for x in t[c]] for c in ("aic", "bic", "llf", "deviance")),
               ["" if np.isnan(x) else f"{x:.4f}" for x in t["chisq"]], ["" if np.isnan(x) else f"{x:.0f}" for x in t["df"]]]
    headings = ["<", "npar", "AIC", "BIC", "logLik", "deviance", "Chisq", "Df"]
    for column, heading in (("pvalue", "Pr(>Chisq)"), ("pvalue_mixture", "p (50:50)"), ("pvalue_boot", "p (bootstrap)")):
        if column in t:
            columns.append([p_value(p) for p in t[column]])
            headings.append(heading)
    notes = [Table(f"Note: {note}") for note in comparison.notes]
    return [Table("Models:"), *models, Table("", tuple(headings), tuple(zip(*columns))), *notes]


def of_bootstrap(boot, level=0.95):
    """The tables of a bootstrap."""
    interval = boot.conf_int(level)
    columns = (numbers(c) for c in (boot.estimate, boot.se, boot.bias, interval["lower"], interval["upper"]))
    names = [" ".join(name) if isinstance(name, tuple) else str(name) for name in boot.estimate.index]
    failed = f", {boot.failed} of them failed and left out" if boot.failed else ""
    return [Table(f"Parametric bootstrap, {boot.nsim} refits{failed}; intervals: quantiles, {100 * level:g} %"),
            Table("", ("<", "Estimate", "Std. Error", "Bias", "lower", "upper"), tuple(zip(names, *columns)))]


def _unless_empty(table):
    return [table] if table.rows else []


def health(fit):
    """What to know before trusting the numbers: the optimum's line, and the singular covariances."""
    yield Table("")
    if fit.optimum.certified:
        yield Table("Optimum: certified (gradient zero, curvature positive)")
    else:
        yield Table(f"Optimum: NOT certified: {'; '.join(fit.optimum.reasons)}")
    if zero := list(fit.sd.index[fit.sd == 0]):
        yield Table(f"Singular: standard deviation 0 for {', '.join(zero)}")
    for name, rank, c in zip(fit.rank.index, fit.rank, fit.setup.covariance.sizes):
        if 0 < rank < c:
            yield Table(f"Singular: the {c} effects of {name} vary in {rank} dimension{'s' if rank > 1 else ''} only, "
                        f"their covariance is of rank {rank}")


def to_text(tables):
    """The tables as text: columns aligned, numbers to the right; a blank line before each one with rows."""
    lines = []
    for table in tables:
        if table.rows and lines:
            lines.append("")
        if table.title or not table.rows:
            lines += wrap(table.title, WIDTH, subsequent_indent="    ", break_long_words=False) or [""]
        if not table.rows:
            continue
        left = [heading.startswith("<") for heading in table.columns]
        grid = [[heading.removeprefix("<") for heading in table.columns], *table.rows]
        widths = [max(len(row[j]) for row in grid) for j in range(len(left))]
        lines += [" " + "  ".join(cell.ljust(w) if to_left else cell.rjust(w)
                                  for cell, w, to_left in zip(row, widths, left)).rstrip() for row in grid]
    return "\n".join(lines)


def to_html(tables):
    """The tables as HTML without ids, styles or scripts; every cell escaped."""
    parts = []
    for table in tables:
        if table.title:
            parts.append(f"<p>{escape(table.title)}</p>")
        if table.rows:
            head = "".join(f"<th>{escape(heading.removeprefix('<'))}</th>" for heading in table.columns)
            body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    return "<div>" + "".join(parts) + "</div>"
