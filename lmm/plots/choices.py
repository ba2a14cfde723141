"""What is drawn: the block, the effects, the parameter that a user names, or the usual ones."""

from ..errors import LMMError, shorten


def check_fit(fit):
    """Raise an LMMError if `fit` is no fit."""
    if not hasattr(fit, "setup"):
        raise LMMError(f"fit is of type {type(fit).__name__}; it is what lmm returns")


def block_of(fit, group=None, name=None):
    """The first block with this grouping and this effect, None standing for any."""
    blocks = {}
    for block in fit.setup.design.blocks:
        if block.factors:
            blocks.setdefault((block.group, block.effect), block)
    if not blocks:
        raise LMMError("the fit has no random effects by group; name a grouping column in ref")
    known = first_match(blocks, ("group", "name"), (group, name))
    return blocks[known]


def first_match(known, words, wanted):
    """The first of the `known` tuples that agrees with `wanted`, None standing for anything.

    `words` say what the elements of the tuples are.
    """
    for candidate in known:
        agrees = [value in (None, found) for value, found in zip(wanted, candidate)]
        if all(agrees):
            return candidate
    given = []
    for word, value in zip(words, wanted):
        if value is not None:
            given.append(f"{word} {value!r}")
    raise LMMError(
        f"there is no {' and '.join(given)}; "
        f"({', '.join(words)}) is one of {shorten(dict.fromkeys(known))}"
    )


def two_of(known, usual, words, first, second):
    """Two of the `known` names: `first` and `second`, or in place of None the next `usual` one."""
    left = [name for name in usual if name not in (first, second)]
    first = first or left.pop(0)
    second = second or left.pop(0)
    if first == second or not {first, second} <= set(known):
        raise LMMError(
            f"{words} are {first!r} and {second!r}; they are two of {shorten(known)}"
        )
    return first, second
