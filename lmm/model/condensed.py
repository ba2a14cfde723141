"""A design of rows that stand for many: what `Design` is, where the rows are not kept."""

from dataclasses import dataclass, field

import numpy as np

from ..errors import LMMError
from .covariance import Covariance
from .design import Labelled
from .rank import FULL_RANK, LeftOut

OF_ROWS = {"y", "X", "offset", "root_weights", "rows", "index", "dat"}


@dataclass(frozen=True, eq=False)
class Condensed(Labelled):
    """The labels of a model, and rows with the same cross-products of Z as its data, weighted.

    Attributes
    ----------
    formula, terms, covariance, x_names, left_out, given, form
        As those of a `Design`.
    blocks : tuple of Block
        Of the rows that stand for all, times the square roots of the weights.
    n, n_dropped : int
        How many rows were used, and left out where a variable is missing.
    data : dict of Series
        The variables at some rows, which have the columns of X in them, and ...
    whole_x_of_data : ndarray
        ... X there, with the columns that are left out, by which X of other data is made.
    effects : tuple of ndarray
        By term: the values of its effects there.
    dtypes : dict
        The types of the columns of the data, by name.
    means : dict
        The mean of each numeric variable over the rows used.
    counts : Series or None
        How many rows have each combination of levels of the fixed effects' factors; None if these
        are too many.
    R_X : ndarray, shape (k, k)
        The triangle of X's cross-products, weighted.
    e : ndarray
        y - X beta_0 at the rows that stand for all.
    length_of_y : float
        The length of y, weighted.
    is_weighted : bool
    source : object
        Two designs of the same rows have the same one.
    dictionaries : set of str
        The factors whose levels are in an order that was given.
    """

    formula: object
    terms: tuple
    covariance: Covariance
    x_names: tuple
    blocks: tuple
    n: int
    n_dropped: int
    data: dict = field(repr=False)
    whole_x_of_data: np.ndarray = field(repr=False)
    effects: tuple = field(repr=False)
    dtypes: dict = field(repr=False)
    means: dict = field(repr=False)
    counts: object = field(repr=False)
    R_X: np.ndarray = field(repr=False)
    e: np.ndarray = field(repr=False)
    length_of_y: float
    is_weighted: bool
    source: object = field(repr=False)
    dictionaries: set = field(repr=False)
    given: dict = field(repr=False)
    form: str
    left_out: LeftOut = field(default=FULL_RANK, repr=False)

    def __getattr__(self, name):
        """Say so where somebody asks for rows."""
        if name in OF_ROWS:
            raise no_rows()
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def x_of_data(self):
        """X there, without the columns that are left out."""
        return self.left_out.reduced(self.whole_x_of_data)

    def weighted(self, rows):
        """The rows as they are: they are weighted."""
        return rows

    def remembered_effects(self, b):
        """The values of the effects of the term with these blocks, at the remembered rows."""
        number = [span.start for span in self.covariance.spans].index(b.start)
        return self.effects[number]

    keeps_rows = False

    def responding(self, y):
        """Refused: another response has a value for each row."""
        raise no_rows()

    def counts_of(self, names):
        """How many rows have each combination of levels of these variables: a Series."""
        if self.counts is None or not set(names) <= set(self.counts.index.names):
            raise no_rows()
        return self.counts.groupby(level=list(names), observed=True).sum()

    @property
    def codes(self):
        """By factor of a grouping the level of each row."""
        found = {}
        for block in self.blocks:
            for name, codes in zip(block.factors, block.grouping.codes):
                found[name] = codes[block.codes]
        return found

    def mean_of(self, name):
        """The mean of a variable over the rows."""
        return self.means[name]

    @property
    def root_of_X(self):
        """Rows with the cross-products of X, not weighted."""
        if self.is_weighted:
            raise LMMError(
                "the hypotheses of types 1 and 2 depend on the rows without their weights, and "
                "those of chunks are not kept; give type=3"
            )
        return self.R_X

    @property
    def is_row_by_row(self):
        """Whether rows of X are the same where others are left out: they are, in chunks."""
        return True


def no_rows():
    """The LMMError where rows are asked for that are not kept."""
    return LMMError(
        "this fit was made from chunks, whose rows are not kept, and they are needed here; "
        "fit.predict(chunk) and fit.residuals(chunks) go over them again"
    )
