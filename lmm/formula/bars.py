"""From a `ref` list, or the bars of lmer's formula, to random-effect terms."""

import re
from dataclasses import dataclass

from ..errors import LMMError, point_at, unknown_column
from .fixed import Formula, has_dot, squeezed, without_dots

HOW = 'ref is a list with one element per block: a column of dat, or a list of columns, as in ["Worker", ["Worker", "Machine"]]'
NAMES = re.compile(r"""\s*(?:Q\(\s*(?P<q>'[^']*'|"[^"]*")\s*\)|(?P<name>[^\W\d][\w.]*)|(?P<other>[:/()]))""")
AS_FACTOR = ("factor", "as.factor", "C")


@dataclass(frozen=True)
class Term:
    """Random effects of one grouping, with a covariance matrix of their own in each level.

    Of a `ref` list: `variables`, some of them factors; the one effect is the product of the numeric ones. Of a formula
    ``(effects | grouping)``: all `variables` are grouping factors, and the effects are the columns of ``X`` of `effects`.
    """

    variables: tuple
    effects: Formula = None         # or None for the constant alone
    bar: str = ""                   # as it was written: "Days | Subject"
    structure: str = "unstructured"     # of its covariance, or "diagonal", "compound symmetry"

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
                           'for (1 | a/b) write "a" and ["a", "b"], or call lmer')
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


@dataclass(frozen=True)
class Bar:
    """One ``(effects | grouping)`` of a formula: where its parenthesis, and each side, begins and ends."""

    span: tuple
    left: tuple
    right: tuple
    double: bool            # || : no correlations


def split_bars(form):
    """The bars of a formula, and the rest of it: a string of the same length, the bars replaced by blanks.

    So what is at a place in the rest is at that place in `form`, and errors point at it there.
    """
    if not isinstance(form, str):
        raise LMMError(f"formula is of type {type(form).__name__}; it is a string such as 'Reaction ~ Days + (Days | Subject)'")
    bars = _find_bars(form)
    rest = list(form)
    for bar in bars:
        start, end = bar.span
        before, after = "".join(rest[:start]).rstrip(), "".join(rest[end:]).lstrip()
        shown = form[start:end]
        if before[-1:] not in ("+", "~"):
            what = "subtracted; leave it out" if before[-1:] == "-" else "part of an expression; join it by +"
            raise point_at(f"the random effects {shown} stand by themselves in the sum, and cannot be {what}", form, start, end)
        if after[:1] not in ("", "+", "-"):
            raise point_at(f"the random effects {shown} stand by themselves in the sum; join what follows by +",
                           form, start, end)
        if before[-1] == "+":
            start = len(before) - 1
        elif after[:1] == "+":
            end = len(form) - len(after) + 1
        rest[start:end] = " " * (end - start)
    rest = "".join(rest)
    if bars and rest.rstrip().endswith("~"):
        at = bars[0].span[0]
        rest = f"{rest[:at]}1{rest[at + 1:]}"
    return bars, rest


def _find_bars(form):
    """The bars of a formula, from the left."""
    bars, opened, quote, i = [], [], "", 0
    while i < len(form):
        c = form[i]
        if quote or c in "'\"":
            quote = "" if c == quote else quote or c
        elif c == "(":
            opened.append([i, None, False])
        elif c == ")":
            if not opened:
                raise point_at("form holds a parenthesis that was not opened", form, i, i + 1)
            start, at, double = opened.pop()
            if at is not None:
                bars.append(Bar((start, i + 1), (start + 1, at), (at + 1 + double, i), double))
        elif c == "|":
            double = form[i : i + 2] == "||"
            if len(opened) != 1:
                inner = "within another parenthesis or a function" if opened else "without parentheses"
                raise point_at(f"form holds a bar {inner}; random effects are written (1 | g), joined by +",
                               form, i, i + 1 + double)
            if opened[0][1] is not None or re.search(r"[\w.]\s*$", form[: opened[0][0]]):
                raise point_at("form holds a bar within a function, or two in one parenthesis; random effects are written "
                               "(1 | g), joined by +", form, i, i + 1 + double)
            opened[0][1:] = i, double
            i += double
        i += 1
    if opened and opened[0][1] is not None:
        raise point_at("form holds a parenthesis that is not closed", form, opened[0][0], opened[0][0] + 1)
    return bars


def parse_bars(form, bars, columns, formula, is_number):
    """The terms of the bars, in their order; `formula` makes a `Formula` of a string like `form` and the string to point at.

    `is_number` says of a column whether it holds numbers.

    ``(x || g)`` is ``(1 | g) + (0 + x | g)``, and ``(1 | a/b)`` is ``(1 | a) + (1 | a:b)``.
    """
    terms = []
    for bar in bars:
        for place, what, example in ((bar.left, "left", "for a random intercept write (1 | g)"),
                                     (bar.right, "right", "name a grouping column there")):
            if not form[slice(*place)].strip():
                raise point_at(f"nothing stands on the {what} of the bar; {example}", form, *bar.span)
        groups = _groupings(form, bar.right, columns)
        effects = _sides(form, bar, formula, is_number)
        terms += [Term(group, effect, bar=f"{text} | {':'.join(group)}") for group in groups for effect, text in effects]
    return tuple(terms)


def _sides(form, bar, formula, is_number):
    """The effects left of a bar: (Formula or None, text) for each term that it makes."""
    start, end = bar.left
    response = form.index("~") + 1
    left = form[start:end].strip()
    if left == "1":
        return [(None, "1")]
    text = form[:response] + " " * (start - response) + form[start:end]
    whole = formula(text, form)
    if not whole.predictors:
        if whole.right_terms() != ["Intercept"]:
            raise point_at("no random effect stands on the left of the bar; for a random intercept write (1 | g)",
                           form, *bar.span)
        return [(None, "1")]
    if not bar.double:
        return [(whole, left)]
    factors = [name for name in whole.predictors if not is_number(name)]
    if factors and "Intercept" in whole.right_terms():
        raise point_at(f"'||' does not split the factor {factors[0]!r} into independent effects; write "
                       f"(1 | g) + (1 | g:{factors[0]}), or ({left} | g) for correlated ones", form, *bar.span)
    parts = []
    for name in whole.right_terms():
        parts.append((None, "1") if name == "Intercept" else (formula(f"{form[:response]} 0 + {name}", None), f"0 + {name}"))
    return parts


def _groupings(form, place, columns):
    """What stands right of a bar: a list of tuples of grouping variables, ``a/b`` being ``a`` and ``a:b``."""
    start, end = place
    position, levels, expects_name, depth = start, [[]], True, 0

    def refuse(at, to, message):
        return point_at(message, form, at, to)

    how = "a grouping is a column of dat, or several joined by ':' or '/'"
    while form[position:end].strip():
        found = NAMES.match(form, position, end)
        if found is None:
            at = position + len(form[position:end]) - len(form[position:end].lstrip())
            raise refuse(at, at + 1, f"form holds {form[at]!r} in a grouping; {how}")
        at, position = found.end() - len(found.group().lstrip()), found.end()
        name, other = found["name"] or (found["q"] or "")[1:-1], found["other"]
        if other in ("(", ")"):
            depth += 1 if other == "(" else -1
            if depth < 0 or (other == "(") != expects_name:
                raise refuse(at, position, f"form holds {other!r} out of place in a grouping; {how}")
            continue
        if (other is None) != expects_name:
            raise refuse(at, position, f"form lacks a name or an operator before {found.group().strip()!r}; {how}")
        expects_name = not expects_name
        if other == "/":
            levels.append([])
        if other is not None:
            continue
        if name in AS_FACTOR and name not in columns and form[position:end].lstrip()[:1] == "(":
            expects_name = True
            continue
        if name not in columns:
            raise refuse(at, position, f"form groups by {unknown_column(name, columns)}")
        levels[-1].append(name)
    if expects_name or depth:
        raise refuse(start, end, f"form holds a grouping that ends too early; {how}")
    so_far = [tuple(dict.fromkeys(name for level in levels[: i + 1] for name in level)) for i in range(len(levels))]
    return list(dict.fromkeys(so_far))


def with_bars_of(form, old):
    """A formula of lmer's with each lone dot replaced by what was on its side of the old one, on the right with its bars.

    ``". ~ . + (1 | h)"`` adds one, ``". ~ . - (1 | g)"`` takes one away.
    """
    if not isinstance(form, str) or form.count("~") != 1:
        return form
    right = form.index("~") + 1
    kept = [old[slice(*bar.span)] for bar in _find_bars(old)] if has_dot(form[right:]) else []
    rest = list(form)
    for bar in _find_bars(form):
        start, end = bar.span
        before, text = "".join(rest[:start]).rstrip(), form[start:end]
        if before[-1:] == "-":
            same = [other for other in kept if "".join(other.split()) == "".join(text.split())]
            if not same:
                raise point_at(f"the formula has no random effects {text}; it has {', '.join(kept) or 'none'}",
                               form, start, end)
            kept.remove(same[0])
        else:
            kept.append(text)
        begin = len(before) - (before[-1:] in ("+", "-"))                   # with the operator
        rest[begin:end] = " " * (end - begin)
    rest = "".join(rest)
    fixed = without_dots(rest if rest[right:].strip() else rest + "1", split_bars(old)[1])
    return " + ".join([squeezed(fixed), *kept])
