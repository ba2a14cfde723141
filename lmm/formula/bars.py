"""The bars of lmer's formulas, ``(effects | grouping)``, and the random-effect terms they mean."""

import json
import re
from dataclasses import dataclass

from ..errors import LMMError, point_at, unknown_column
from .functions import STANDARD
from .terms import IndependentEffects, Term
from .text import NAME_OF_R, blanked, column_named, squeezed, ticked, tildes

# What may stand before the parenthesis of a bar, and the covariance of its effects then.
WORDS = {
    "": "unstructured",
    "us": "unstructured",
    "diag": "diagonal",
    "cs": "compound symmetry",
}
STRUCTURE_WORDS = (
    "us (correlated, as without a word), diag (independent, as with ||) or cs (compound symmetry)"
)
JOINED = "random effects are written (1 | g), joined by +"

AS_FACTOR = ("factor", "as.factor", "C")
GROUPING = "a grouping is a column of dat, or several joined by ':' or '/'"
PIECE_OF_GROUPING = re.compile(
    r"""\s*(?:Q\(\s*(?P<quoted>'[^']*'|"[^"]*")\s*\)"""
    r"""|(?P<ticked>`[^`]*`)"""
    rf"""|(?P<name>{NAME_OF_R})"""
    r"""|(?P<operator>[:/()]))"""
)
# A quote to its end, a parenthesis, or one bar or two.
MARK = re.compile(r"""'[^']*'?|"[^"]*"?|`[^`]*`?|[()]|\|\|?""")
WORD_BACKWARDS = re.compile(r"[\w.]*")


@dataclass(frozen=True)
class Bar:
    """One ``(effects | grouping)`` of a formula, and where its parts begin and end.

    The span is that of the parentheses, with the word before them.
    """

    span: tuple
    left: tuple
    right: tuple
    structure: str


# -- finding bars in the text


def split_bars(form):
    """The bars of a formula, and the fixed part: as long a string, blank where bars stood.

    So what is at a place in the fixed part is there in `form` too, where errors point at it.
    """
    if not isinstance(form, str):
        raise LMMError(
            f"formula is of type {type(form).__name__}; it is a string such as "
            "'Reaction ~ Days + (Days | Subject)'"
        )
    bars = find_bars(form)
    fixed = form
    for bar in bars:
        start, end = _in_sum(bar, form, fixed)
        fixed = blanked(fixed, start, end)
    if bars and fixed.rstrip().endswith("~"):            # only bars on the right: the constant
        start = bars[0].span[0]
        fixed = f"{fixed[:start]}1{fixed[start + 1:]}"
    return bars, fixed


def _in_sum(bar, form, fixed):
    """Where a bar, and one + that joins it to the sum, begin and end in `form`."""
    start, end = bar.span
    shown = form[start:end]
    before = fixed[:start].rstrip()
    after = fixed[end:].lstrip()
    alone = f"the random effects {shown} stand by themselves in the sum"
    if before.endswith("-"):
        raise point_at(f"{alone}, and cannot be subtracted; leave it out", form, start, end)
    if not before.endswith(("+", "~")):
        message = f"{alone}, and cannot be part of an expression; join it by +"
        raise point_at(message, form, start, end)
    if after and not after.startswith(("+", "-")):
        raise point_at(f"{alone}; join what follows by +", form, start, end)
    if before.endswith("+"):
        return len(before) - 1, end
    if after.startswith("+"):
        return start, len(form) - len(after) + 1
    return start, end


def find_bars(form):
    """The bars of a formula, from the left."""
    bars = []
    opened = []                     # where each parenthesis stands that is not closed yet
    divider = None                  # the | or || in the outermost one
    for mark in MARK.finditer(form):
        kind = mark.group()
        if kind == "(":
            opened.append(mark.start())
        elif kind == ")":
            if not opened:
                message = "form holds a parenthesis that was not opened"
                raise point_at(message, form, *mark.span())
            start = opened.pop()
            if divider is not None and not opened:
                bars.append(_bar(form, start, divider, mark.end()))
                divider = None
        elif kind in ("|", "||"):
            _refuse_misplaced(mark, form, opened, divider)
            divider = mark
    if divider is not None:
        message = "form holds a parenthesis that is not closed"
        raise point_at(message, form, opened[0], opened[0] + 1)
    return bars


def _refuse_misplaced(mark, form, opened, divider):
    """A bar stands in one pair of parentheses, alone, and no function is called there."""
    if len(opened) != 1:
        where = "within another parenthesis or a function" if opened else "without parentheses"
        raise point_at(f"form holds a bar {where}; {JOINED}", form, *mark.span())
    word, start, end = _word_before(form, opened[0])
    is_function = bool(word) and (word in STANDARD or not word.isidentifier())
    if divider is not None or is_function:
        message = f"form holds a bar within a function, or two in one parenthesis; {JOINED}"
        raise point_at(message, form, *mark.span())
    if word not in WORDS:
        message = (
            f"form holds the word {word!r} before random effects; "
            f"it may be {STRUCTURE_WORDS}; {JOINED}"
        )
        raise point_at(message, form, start, end)
    if word and mark.group() == "||":
        message = (
            f"form holds both {word!r} and '||', which says by itself that the effects are "
            "independent; write | after a word"
        )
        raise point_at(message, form, *mark.span())


def _word_before(form, place):
    """The word that ends before a place in the formula, and where it begins and ends."""
    before = form[:place].rstrip()
    end = len(before)
    start = end - WORD_BACKWARDS.match(before[::-1]).end()
    return form[start:end], start, end


def _bar(form, start, divider, end):
    """The Bar of the parentheses from `start` to `end`, divided by a | or ||."""
    word, first, _ = _word_before(form, start)
    return Bar(
        span=(first if word else start, end),
        left=(start + 1, divider.start()),
        right=(divider.end(), end - 1),
        structure="diagonal" if divider.group() == "||" else WORDS[word],
    )


# -- from bars to terms


def parse_bars(form, bars, columns, formula, kind_of):
    """The terms of the bars, in their order.

    `formula` makes a `Formula` of a string like `form` and the string to point at; `kind_of` says
    of a column what it holds. ``(1 | a/b)`` is ``(1 | a) + (1 | a:b)``.
    """
    terms = []
    for bar in bars:
        _refuse_empty_sides(form, bar)
        groupings = _groupings(form, bar.right, columns)
        effects, left, structure = _effects(form, bar, formula, kind_of)
        divider = "||" if structure == "diagonal" else "|"
        for grouping in groupings:
            shown = f"{left} {divider} {':'.join(grouping)}"
            terms.append(Term(grouping, effects, shown, structure))
    return tuple(terms)


def _refuse_empty_sides(form, bar):
    if not form[slice(*bar.left)].strip():
        message = "nothing stands on the left of the bar; for a random intercept write (1 | g)"
        raise point_at(message, form, *bar.span)
    if not form[slice(*bar.right)].strip():
        message = "nothing stands on the right of the bar; name a grouping column there"
        raise point_at(message, form, *bar.span)


def _effects(form, bar, formula, kind_of):
    """What stands left of a bar: the effects, None for the constant; its text; their structure."""
    start, end = bar.left
    left = form[start:end].strip()
    if left == "1":
        return None, "1", "unstructured"
    response = form[: tildes(form)[0] + 1]
    whole = formula(response + " " * (start - len(response)) + form[start:end], form)
    if not whole.predictors:
        if whole.summand_names() != ["Intercept"]:
            message = (
                "no random effect stands on the left of the bar; "
                "for a random intercept write (1 | g)"
            )
            raise point_at(message, form, *bar.span)
        return None, "1", "unstructured"
    if _is_scalar(whole, kind_of):
        return whole, left, "unstructured"
    if bar.structure != "diagonal":
        return whole, left, bar.structure
    parts = tuple(whole.of_summand(summand) for summand in whole.summands)
    return IndependentEffects(parts), left, "diagonal"


def _is_scalar(whole, kind_of):
    """Whether there is at most one effect, whatever the data: a product of columns of numbers."""
    if len(whole.summands) > 1:
        return False
    columns = [expression.column for summand in whole.summands for expression in summand]
    return all(column is not None and kind_of(column) == "numbers" for column in columns)


# -- groupings


@dataclass(frozen=True)
class Piece:
    """A column's name, or an operator or parenthesis, of a grouping, and where it stands."""

    name: str
    operator: str
    text: str
    start: int
    end: int


def _pieces(form, place):
    """The pieces of the text right of a bar, from the left."""
    position, end = place
    while form[position:end].strip():
        found = PIECE_OF_GROUPING.match(form, position, end)
        if found is None:
            odd = end - len(form[position:end].lstrip())
            message = f"form holds {form[odd]!r} in a grouping; {GROUPING}"
            raise point_at(message, form, odd, odd + 1)
        text = found.group().strip()
        name = found["name"] or (found["quoted"] or found["ticked"] or "")[1:-1]
        position = found.end()
        yield Piece(name, found["operator"], text, position - len(text), position)


def _groupings(form, place, columns):
    """What stands right of a bar: tuples of grouping variables, ``a/b`` being ``a`` and ``a:b``."""
    nested = [[]]                   # the names between slashes
    expects_name = True
    depth = 0

    def refuse(piece, message):
        return point_at(message, form, piece.start, piece.end)

    for piece in _pieces(form, place):
        if piece.operator in ("(", ")"):
            opens = piece.operator == "("
            depth += 1 if opens else -1
            if depth < 0 or opens != expects_name:
                message = f"form holds {piece.operator!r} out of place in a grouping; {GROUPING}"
                raise refuse(piece, message)
            continue
        is_name = piece.operator is None
        if is_name != expects_name:
            message = f"form lacks a name or an operator before {piece.text!r}; {GROUPING}"
            raise refuse(piece, message)
        if is_name and _makes_a_factor(piece, form, place):
            continue                # a name is still expected, in parentheses
        expects_name = not expects_name
        if piece.operator == "/":
            nested.append([])
        if is_name:
            column = column_named(piece.name, columns)
            if column is None:
                raise refuse(piece, f"form groups by {unknown_column(piece.name, columns)}")
            nested[-1].append(column)
    if expects_name or depth:
        raise point_at(f"form holds a grouping that ends too early; {GROUPING}", form, *place)
    return _cumulated(nested)


def _makes_a_factor(piece, form, place):
    """Whether it is the ``factor`` of ``factor(a)``, which means a."""
    opens = form[piece.end : place[1]].lstrip().startswith("(")
    return opens and piece.text in AS_FACTOR


def _cumulated(nested):
    """``[[a], [b, c]]`` to ``[(a,), (a, b, c)]``: each once, and so each name in them."""
    so_far = []
    groupings = []
    for names in nested:
        so_far += names
        groupings.append(tuple(dict.fromkeys(so_far)))
    return list(dict.fromkeys(groupings))


# -- bars where none are read


def refuse_bars(form, columns, kind_of):
    """Raise an LMMError about bars in a formula of `lmm`: what to call, in the user's names."""
    try:
        bars, fixed = split_bars(form)
    except LMMError:                        # a bar that is out of place in any case
        return
    if not bars:                            # it stands in quotes that are not closed
        return
    ref = []
    for bar in bars:
        ref += _ref_of(form, bar, columns, kind_of) or [None]
    message = "form holds a random effect written with '|'"
    if None in ref:
        message += ", of a kind that ref does not say; call lmer(form, dat)"
    else:
        fixed, ref = (json.dumps(said, ensure_ascii=False) for said in (squeezed(fixed), ref))
        message += (
            f"; name it in ref instead, as in lmm({fixed}, dat, {ref}), or call lmer(form, dat)"
        )
    raise point_at(message, form, *bars[0].span)


def _ref_of(form, bar, columns, kind_of):
    """The elements of `ref` that say what a bar does; None if none do."""
    groupings = _groupings(form, bar.right, columns)
    left = "".join(form[slice(*bar.left)].split())
    slopes = []
    for column in columns:
        if isinstance(column, str) and kind_of(column) == "numbers":
            slopes.append(column)
    ref = []
    for names in groupings:
        intercept = names[0] if len(names) == 1 else list(names)
        for name in slopes:
            written = "".join(ticked(name).split())
            if left in _slopes_alone(written):
                ref.append([*names, name])
            elif left in (written, f"1+{written}") and bar.structure == "diagonal":
                ref += [intercept, [*names, name]]
        if left == "1":
            ref.append(intercept)
    return ref or None


def _slopes_alone(name):
    """How a slope without an intercept is written."""
    return f"0+{name}", f"{name}+0", f"{name}-1", f"-1+{name}"
