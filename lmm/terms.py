"""From a `ref` list to random-effect terms: which variables make up each block of Z."""

from dataclasses import dataclass

from .errors import LMMError, unknown_column

HOW = 'ref is a list with one element per block: a column of dat, or a list of columns, as in ["Worker", ["Worker", "Machine"]]'


@dataclass(frozen=True)
class Term:
    """One block of Z: the columns of ``model.matrix(~ a:b:c - 1)`` for `variables` ``(a, b, c)``."""

    variables: tuple

    @property
    def name(self):
        return ":".join(self.variables)


def parse_ref(ref, columns):
    """The terms that `ref` names, in its order; `columns` are the columns of the data.

    A bare string is one block; ``"a:b"``, where no column has that name, is the interaction of a and b.
    """
    if isinstance(ref, str):
        ref = [ref]
    if not isinstance(ref, (list, tuple)):
        raise LMMError(f"ref is {_kind(ref)}; {HOW}, or () for no random effects")
    terms = []
    for j, element in enumerate(ref):
        term = Term(tuple(_variables(element, f"ref[{j}]", columns)))
        for i, other in enumerate(terms):
            if set(other.variables) == set(term.variables) or other.name == term.name:
                raise LMMError(f"ref[{i}] and ref[{j}] are the same block {term.name!r}, "
                               "whose variance would be counted twice; drop one of them")
        terms.append(term)
    return tuple(terms)


def _variables(element, where, columns):
    """The columns that one element of `ref` names."""
    if isinstance(element, str):
        names = [element] if element in columns else [v.strip() for v in element.split(":")]
    elif isinstance(element, (list, tuple)):
        names = list(element)
    else:
        raise LMMError(f"{where} is {_kind(element)}; {HOW}")
    if not names or names == [""]:
        raise LMMError(f"{where} is empty, so it names no block; name a column of dat, or leave the element out")
    for i, name in enumerate(names):
        if isinstance(name, str) and name not in columns and set(name) & set("|/,()*+"):
            raise LMMError(f"{where} is {name!r}, but ref takes names of columns; for lmer's (1 | g) write \"g\", "
                           'for (1 | a/b) write "a" and ["a", "b"]')
        if not isinstance(name, str):
            raise LMMError(f"{where}[{i}] is {_kind(name)}; {HOW}")
        if name not in columns:
            raise LMMError(f"{where} uses {unknown_column(name, columns)}")
        if name in names[:i]:
            raise LMMError(f"{where} names {name!r} twice; name each variable of an interaction once")
    return names


def _kind(value):
    shown = " ".join(repr(value).split())
    return "None" if value is None else f"{shown[:40]}{'...' if len(shown) > 40 else ''}, of type {type(value).__name__}"
