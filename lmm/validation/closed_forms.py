"""Fits in closed form, as exact rationals: the balanced one-way layout and the split plot.

In a balanced design V has few eigenvalues, xi_s, each for a stratum of so many dimensions. The
likelihood is that of independent sums of squares; where the variances come out positive

    xi_s = SS_s / dimensions of s [REML: degrees of freedom],
    nll = 1/2 sum (dim_s log xi_s + dim_s),

and if not, two neighbouring strata are pooled.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from .definition import in_sixty_digits


@dataclass(frozen=True)
class Sums:
    """A balanced one-way layout: k groups of r, and its sums of squares, exactly."""

    k: int
    r: int
    mean: Fraction
    between: Fraction
    within: Fraction

    @property
    def F(self):
        """The F statistic of the groups."""
        return self.between / (self.k - 1) / (self.within / (self.k * (self.r - 1)))


def sums_of(groups):
    """The `Sums` of groups, lists of numbers of which each is taken as exact."""
    groups = [[Fraction(value) for value in group] for group in groups]
    k, r = len(groups), len(groups[0])
    means = [sum(group) / r for group in groups]
    mean = sum(means) / k
    between = r * sum((one - mean) ** 2 for one in means)
    within = sum((value - one) ** 2 for group, one in zip(groups, means) for value in group)
    return Sums(k, r, mean, between, within)


@dataclass(frozen=True)
class OneWay:
    """The fit of y ~ 1 + (1 | group): variances, the mean, its variance, nll."""

    residual: Fraction
    group: Fraction
    mean: Fraction
    variance_of_mean: Fraction
    nll: Decimal


def one_way(sums, reml):
    """The `OneWay` of a balanced layout."""
    k, r = sums.k, sums.r
    n = k * r
    residual = sums.within / (n - k)
    stratum = sums.between / (k - reml)                     # sigma^2 + r tau^2
    if stratum < residual:
        residual = stratum = (sums.between + sums.within) / (n - reml)
    group = (stratum - residual) / r
    nll = _half_logs([(n - k, residual), (k - reml, stratum)])
    if reml:
        nll += _half_logs([(1, Fraction(n))]) - Decimal(1) / 2  # log|X'WX| = log n - log xi
    return OneWay(residual, group, sums.mean, stratum / n, nll)


@in_sixty_digits
def _half_logs(strata):
    """1/2 sum (d log xi + d)."""
    return sum(d * (as_decimal(xi).ln() + 1) for d, xi in strata) / 2


@in_sixty_digits
def as_decimal(ratio):
    """A rational as a decimal number of sixty digits."""
    ratio = Fraction(ratio)
    return Decimal(ratio.numerator) / Decimal(ratio.denominator)


@dataclass(frozen=True)
class SplitPlot:
    """The fit of y ~ W * S + (1 | block) + (1 | block:W), and the F of each term with its df."""

    residual: Fraction
    plot: Fraction
    block: Fraction
    F: dict
    df: dict


def split_plot(y, reml):
    """The `SplitPlot` of y[block][whole-plot treatment][sub-plot treatment], numbers as exact.

    The F's have REML's variances, which are the mean squares. An ArithmeticError where a variance
    is not positive.
    """
    y = [[[Fraction(value) for value in plot] for plot in block] for block in y]
    b, w, s = len(y), len(y[0]), len(y[0][0])
    cells = [(i, j, m) for i in range(b) for j in range(w) for m in range(s)]

    def effects(*which):
        """The sum of squares of the means over all but the factors `which`, times their number."""
        totals = {}
        for cell in cells:
            i, j, m = cell
            key = tuple(cell[factor] for factor in which)
            totals[key] = totals.get(key, 0) + y[i][j][m]
        return sum(total**2 for total in totals.values()) / (len(cells) // len(totals))

    # -- the sums of squares of the analysis of variance
    grand = effects()
    block = effects(0) - grand
    whole = effects(1) - grand
    plots = effects(0, 1) - effects(0) - effects(1) + grand
    sub = effects(2) - grand
    both = effects(1, 2) - effects(1) - effects(2) + grand
    error = sum(y[i][j][m] ** 2 for i, j, m in cells) - effects(0, 1) - effects(1, 2) + effects(1)

    # -- strata: blocks, plots within blocks, sub-plots within plots
    df_plots, df_error = (b - 1) * (w - 1), w * (b - 1) * (s - 1)
    dimensions = (b, b * (w - 1), b * w * (s - 1))
    if reml:
        dimensions = (b - 1, df_plots, df_error)
    xi = [square / d for square, d in zip((block, plots, error), dimensions)]
    if not xi[0] > xi[1] > xi[2]:
        raise ArithmeticError("a variance of the split plot is not positive")
    mean_plots, mean_error = plots / df_plots, error / df_error
    return SplitPlot(
        residual=xi[2],
        plot=(xi[1] - xi[2]) / s,
        block=(xi[0] - xi[1]) / (w * s),
        F={
            "whole": whole / (w - 1) / mean_plots,
            "sub": sub / (s - 1) / mean_error,
            "both": both / ((w - 1) * (s - 1)) / mean_error,
        },
        df={
            "whole": (w - 1, df_plots),
            "sub": (s - 1, df_error),
            "both": ((w - 1) * (s - 1), df_error),
        },
    )
