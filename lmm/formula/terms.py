"""Random-effect terms, and those that a `ref` list names."""

import json
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from ..errors import LMMError, unknown_column
from .text import QUOTED, column_written, without_quoted

OF_FORMULAS = set("|/,()*+")            # what few columns' names hold, but lmer's formulas do
HOW_OF_FORMULAS = (
    "for lmer's (1 | g) write "
    '"g", for (1 | a/b) write "a" and ["a", "b"], or call lmer'
)
REF_EXAMPLE = (
    "ref is a list with one element per block: a column of dat, or a list of columns, "
    'as in ["Worker", ["Worker", "Machine"]]'
)


@dataclass(frozen=True)
class Term:
    """Random effects of one grouping, with a covariance matrix of their own in each level.

    Of a `ref` list: `variables`, some of them factors; the one effect is the product of the
    numeric ones. Of a formula ``(effects | grouping)``: all `variables` are grouping factors, and
    the effects are the columns of `effects`.

    Attributes
    ----------
    variables : tuple of str
        Columns of the data.
    effects : Formula, IndependentEffects or None
        What evaluates to the effects' values; None for the constant alone.
    bar : str
        What stands in the parentheses, for one grouping: ``"Days | Subject"``, ``"x + z || g"``.
    structure : {"unstructured", "diagonal", "compound symmetry"}
        Of the covariance matrix. A term known to have one effect is unstructured; others may turn
        out to have one when they are evaluated, and then the structure means nothing.
    """

    variables: tuple
    effects: object = None
    bar: str = ""
    structure: str = "unstructured"

    @property
    def name(self):
        """The variables joined by colons: ``"Worker:Machine"``."""
        return ":".join(self.variables)

    @property
    def written(self):
        """As a formula has it: ``"(Days | Subject)"``, ``"cs(0 + f | g)"``."""
        word = "cs" if self.structure == "compound symmetry" else ""
        return f"{word}({self.bar})"


@dataclass(frozen=True)
class IndependentEffects:
    """The effects of ``(x + f || g)``: the columns of ``1``, ``0 + x`` and ``0 + f`` in a row.

    Each part is coded by itself, so a factor has an effect for each of its levels. It answers
    what blocks and predictions ask of the `Formula` of a correlated term.
    """

    parts: tuple

    @property
    def functions(self):
        """What the parts need besides the columns, by name."""
        found = {}
        for part in self.parts:
            found.update(part.functions)
        return found

    @property
    def summands(self):
        """The summand of each part."""
        return tuple(summand for part in self.parts for summand in part.summands)

    @property
    def predictors(self):
        """The columns that the parts use, in order of appearance."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.predictors))

    def evaluate_right(self, data):
        """``(values, names, offset)``, (n, c), (c,) and (n,), as `Formula` gives them."""
        values, names, offsets = zip(*(part.evaluate_right(data) for part in self.parts))
        return np.hstack(values), sum(names, ()), sum(offsets)

    def is_row_by_row(self, data):
        """Whether rows of values are the same where others are left out."""
        return all(part.is_row_by_row(data) for part in self.parts)

    def columns_at(self, new, n, data, known):
        """The values for n rows of other data, and offset; `known` are those for `data`, (., c)."""
        found = []
        offset = np.zeros(n)
        start = 0
        for part in self.parts:
            end = start + part.width(data)
            values, of_part = part.columns_at(new, n, data, known[:, start:end])
            found.append(values)
            offset = offset + of_part
            start = end
        return np.hstack(found), offset


def parse_ref(ref, columns):
    """The terms that `ref` names, in its order; `columns` are the columns of the data.

    A bare string is one block; ``"a:b"``, where no column has that name, is the interaction of a
    and b.
    """
    if isinstance(ref, str):
        ref = [ref]
    if not isinstance(ref, (list, tuple)):
        raise LMMError(f"ref is {_kind(ref)}; {REF_EXAMPLE}, or () for no random effects")
    terms = []
    for j, element in enumerate(ref):
        term = Term(tuple(_variables(element, f"ref[{j}]", columns)))
        for i, other in enumerate(terms):
            if other.name == term.name or set(other.variables) == set(term.variables):
                raise LMMError(
                    f"ref[{i}] and ref[{j}] are the same block {term.name!r}, "
                    "whose variance would be counted twice; drop one of them"
                )
        terms.append(term)
    return tuple(terms)


def _variables(element, where, columns):
    """The columns that one element of `ref` names."""
    found = []
    for i, name in enumerate(_names(element, where, columns)):
        column = column_written(name, columns) if isinstance(name, str) else None
        if column is None:
            raise _no_column(element, name, i, where, columns)
        if column in found:
            raise LMMError(
                f"{where} names {column!r} twice; name each variable of an interaction once"
            )
        found.append(column)
    return found


def _names(element, where, columns):
    """What one element of `ref` lists: one name or several."""
    if isinstance(element, str):
        names = [element]
        if column_written(element, columns) is None:
            names = _split(element, ":")
    elif isinstance(element, (list, tuple)):
        names = list(element)
    elif isinstance(element, Hashable) and element in columns:
        names = [element]
    else:
        raise LMMError(f"{where} is {_kind(element)}; {REF_EXAMPLE}")
    if not names or names == [""]:
        raise LMMError(
            f"{where} is empty, so it names no block; name a column of dat, "
            "or leave the element out"
        )
    return names


def _split(text, mark):
    """The pieces of a text between marks that are not in backticks."""
    start = 0
    pieces = []
    outside = without_quoted(text)
    while (end := outside.find(mark, start)) >= 0:
        pieces.append(text[start:end].strip())
        start = end + 1
    return [*pieces, text[start:].strip()]


def _no_column(element, name, i, where, columns):
    """The error about what stands at place i of an element, and is no column."""
    if not isinstance(name, str) and isinstance(name, Hashable) and name in columns:
        return LMMError(
            f"{where} is {name!r}, a column whose name is no string; "
            "make it one: dat.columns = dat.columns.map(str)"
        )
    if not isinstance(name, str):
        return LMMError(f"{where}[{i}] is {_kind(name)}; {REF_EXAMPLE}")
    if isinstance(element, str) and not OF_FORMULAS.isdisjoint(QUOTED.sub("", name)):
        meant = _meant(element, columns)
        advice = f"write ref={json.dumps(meant, ensure_ascii=False)}" if meant else HOW_OF_FORMULAS
        return LMMError(f"{where} is {element!r}, but ref takes names of columns; {advice}")
    return LMMError(f"{where} uses {unknown_column(name, columns)}")


def _meant(element, columns):
    """The `ref` that a sum of names and of their products means, or None."""
    ref = []
    for summand in _split(element, "+"):
        names = [column_written(name, columns) for name in _split(summand, ":")]
        if None in names:
            return None
        ref.append(names[0] if len(names) == 1 else names)
    return ref


def _kind(value):
    """A value, cut to 40 characters, with its type, for a message."""
    if value is None:
        return "None"
    shown = " ".join(repr(value).split())
    if len(shown) > 40:
        shown = shown[:40] + "..."
    return f"{shown}, of type {type(value).__name__}"
