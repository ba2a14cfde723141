"""Formulas made of others: what dots stand for, in `update` and in ``y ~ .``."""

import patsy

from ..errors import point_at
from .bars import find_bars, split_bars
from .reading import parsed
from .spelling import Spelling
from .text import (
    DOT,
    blanked,
    has_dot,
    replace_dots,
    squeezed,
    ticked,
    tildes,
    without_quoted,
)


def without_dots(form, old):
    """A formula with each lone dot replaced by what was on its side of the old one, simplified.

    ``". ~ . - x"`` takes x away. An intercept that the old one had not comes only if a 1 is
    written.
    """
    if not isinstance(form, str) or len(tildes(form)) != 1 or not has_dot(form):
        return form
    old_left, _ = _sides(old)
    had_constant, names = _summands_of(old)
    if not names:
        names = ["1" if had_constant else "0"]
    left, right = _sides(form)
    left = replace_dots(left, old_left.strip())
    right = replace_dots(right, f"({' + '.join(names)})")
    whole = f"{left} ~ {right}"
    if not had_constant and not _writes_a_one(parsed(_spelled(whole))):
        whole += " - 1"
    return described(whole)


def _sides(form):
    """What stands left and right of the tilde."""
    (tilde,) = tildes(form)
    return form[:tilde], form[tilde + 1 :]


def _spelled(form):
    """The `Spelling` of a formula where every word is a column."""
    return Spelling(form, form, None)


def _description(spelling):
    """patsy's description of a formula."""
    return patsy.ModelDesc.from_formula(parsed(spelling))


def described(form):
    """A formula simplified, its right-hand side as a sum."""
    spelling = _spelled(form)
    return spelling.written(_description(spelling).describe())


def _summands_of(form):
    """Whether a formula has the constant, and its other summands as they are written."""
    spelling = _spelled(form)
    right = _description(spelling).rhs_termlist
    constant = patsy.desc.INTERCEPT
    names = [spelling.written(term.name()) for term in right if term != constant]
    return constant in right, names


def _writes_a_one(node):
    """Whether a 1 stands in a part of the parse tree, not within an expression."""
    return node.type == "ONE" or any(_writes_a_one(part) for part in node.args)


def with_bars_of(form, old):
    """A formula of lmer's with each lone dot replaced by what was on its side of the old one.

    On the right that is with its bars: ``". ~ . + (1 | h)"`` adds one, ``". ~ . - (1 | g)"`` takes
    one away.
    """
    if not isinstance(form, str) or len(tildes(form)) != 1:
        return form
    right = tildes(form)[0] + 1
    kept = []
    if has_dot(form[right:]):
        kept = [old[slice(*bar.span)] for bar in find_bars(old)]
    fixed = form
    for bar in find_bars(form):
        start, end = bar.span
        text = form[start:end]
        before = fixed[:start].rstrip()
        if before.endswith("-"):
            kept.remove(_kept_as(text, kept, form, bar))
        else:
            kept.append(text)
        if before.endswith(("+", "-")):
            start = len(before) - 1
        fixed = blanked(fixed, start, end)
    if not fixed[right:].strip():
        fixed += "1"
    fixed = without_dots(fixed, split_bars(old)[1])
    return " + ".join([squeezed(fixed), *kept])


def _kept_as(text, kept, form, bar):
    """The one of the bars that are kept which is `text` but for blanks; an LMMError if none is."""
    for other in kept:
        if "".join(other.split()) == "".join(text.split()):
            return other
    raise point_at(
        f"the formula has no random effects {text}; it has {', '.join(kept) or 'none'}",
        form,
        *bar.span,
    )


def with_columns_for_dots(form, names):
    """A formula whose lone dots stand for the columns `names`, with these written out."""
    if not names:
        return form
    columns = " + ".join(map(ticked, names))
    for dot in reversed(list(DOT.finditer(without_quoted(form)))):
        before = form[: dot.start()]
        after = form[dot.end() :]
        is_summand = before.rstrip().endswith(("~", "+")) and after.lstrip()[:1] in ("", "+", "-")
        form = before + (columns if is_summand else f"({columns})") + after
    return form
