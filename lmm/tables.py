"""Tables as cells, made once; text and HTML render the same cells, so they cannot disagree."""

from dataclasses import dataclass
from html import escape

import numpy as np


@dataclass(frozen=True)
class Table:
    """A line of text above rows of cells; the cells are strings already.

    `columns` are the headings; a heading that starts with ``<`` (not shown) aligns its column to the left.
    """

    title: str
    columns: tuple = ()
    rows: tuple = ()


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


def of_fit(fit):
    """The tables of a fitted model, in the order in which lme4 prints them."""
    design = fit.setup.design
    blocks = design.blocks
    method = "REML" if fit.reml else "maximum likelihood"
    about = [Table(f"Linear {'mixed ' if blocks else ''}model fit by {method}"),
             Table(f"Formula: {design.form}"),
             Table("Random effects: " + (", ".join(block.name for block in blocks) or "none"))]
    criterion = Table("", ("AIC", "BIC", "logLik", "deviance", "df.resid"),
                      ((*(f"{value:.2f}" for value in (fit.aic, fit.bic, fit.llf, fit.deviance)), str(fit.df_resid)),))
    sds = [*fit.sd, fit.sigma]
    variances = Table("Random effects:", ("<Groups", "<Name", "Variance", "Std.Dev."), tuple(zip(
        [*(block.group for block in blocks), "Residual"], [*(block.effect for block in blocks), ""],
        numbers(np.square(sds)), numbers(sds))))
    counts = [f"Number of obs: {fit.nobs}" + (f" ({fit.n_dropped} dropped with missing values)" if fit.n_dropped else "")]
    groups = {block.group: len(block.levels) for block in blocks if block.group}
    if groups:
        counts.append("groups: " + ", ".join(f"{name} {count}" for name, count in groups.items()))
    fixed = Table("Fixed effects:", ("<", "Estimate", "Std. Error", "t value"), tuple(zip(
        fit.params.index, numbers(fit.params), numbers(fit.bse), [f"{t:.2f}" for t in fit.tvalues])))
    return [*about, criterion, variances, Table("; ".join(counts)), *([fixed] if fixed.rows else []), *health(fit)]


def health(fit):
    """What to know before trusting the numbers: the optimum's line, and the blocks at zero."""
    yield Table("")
    if fit.optimum.certified:
        yield Table("Optimum: certified (gradient zero, curvature positive)")
    else:
        yield Table(f"Optimum: NOT certified: {'; '.join(fit.optimum.reasons)}")
    if fit.singular:
        yield Table(f"Singular: standard deviation 0 for {', '.join(fit.singular)}")


def to_text(tables):
    """The tables as text: columns aligned, numbers to the right; a blank line before each one with rows."""
    lines = []
    for table in tables:
        if table.rows and lines:
            lines.append("")
        if table.title or not table.rows:
            lines.append(table.title)
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
