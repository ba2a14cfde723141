"""What all pictures share: new Axes, labels that matplotlib reads as they are, and the choice of what to draw."""

from ..errors import LMMError, shorten

MOST_TICKS = 60         # levels on an axis, beyond which they are not labelled
QUIET = {"color": "grey", "lw": 1}
DASHED = QUIET | {"ls": "--"}


def new_axes(ax, *shape, **options):
    """`ax`, or what a new figure has."""
    if ax is not None:
        if not hasattr(ax, "plot"):
            raise LMMError(f"ax is of type {type(ax).__name__}; it is one of matplotlib's Axes")
        return ax
    try:
        from matplotlib import pyplot
    except ImportError:
        raise LMMError("plots need matplotlib; install it with: pip install matplotlib") from None
    return pyplot.subplots(*shape, layout="constrained", **options)[1]


def level_axes(ax, levels, group):
    """`ax`, or that of a new figure, with the levels' names from below, unless they are too many to be read."""
    shown = [as_text(level) for level in levels] if len(levels) <= MOST_TICKS else []
    ax = new_axes(ax, **({"figsize": (6.4, 1 + 0.18 * len(shown))} if len(shown) > 21 else {}))
    ax.set_yticks(range(len(shown)), shown, fontsize="small")
    ax.set_ylabel(as_text(group))
    return ax


def check_fit(fit):
    """Raise an LMMError if `fit` is no fit."""
    if not hasattr(fit, "setup"):
        raise LMMError(f"fit is of type {type(fit).__name__}; it is what lmm returns")


def first_pair(pairs, words, wanted):
    """The first of `pairs` that agrees with `wanted`, None standing for anything."""
    for pair in pairs:
        if all(value in (None, found) for value, found in zip(wanted, pair)):
            return pair
    words = words.split()
    given = " and ".join(f"{word} {value!r}" for word, value in zip(words, wanted) if value is not None)
    raise LMMError(f"there is no {given}; ({', '.join(words)}) is one of {shorten(dict.fromkeys(pairs))}")


def block_of(fit, group=None, name=None):
    """The first block with this group and effect, None standing for any."""
    blocks = {(block.group, block.effect): block for block in reversed(fit.setup.design.blocks) if block.factors}
    if not blocks:
        raise LMMError("the fit has no random effects by group; name a grouping column in ref")
    return blocks[first_pair(list(blocks)[::-1], "group name", (group, name))]


def as_text(label):
    """A label as it is, for matplotlib to read no mathematics in it."""
    return str(label).replace("$", r"\$")
