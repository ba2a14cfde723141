"""What all pictures are drawn on: new Axes, their labels and legends, the styles they share."""

from ..errors import LMMError

MOST_TICKS = 60         # levels on an axis, beyond which they are not labelled
MOST_USUAL_TICKS = 21   # levels that a figure of matplotlib's usual size has room for
TICK_HEIGHT = 0.18      # of a figure for each level, inches, where there are more

QUIET = {"color": "grey", "lw": 1}
DASHED = QUIET | {"ls": "--"}


def new_axes(ax, *shape, **options):
    """`ax`, or what a new figure has; `shape` and `options` are those of ``pyplot.subplots``."""
    if ax is not None:
        if not hasattr(ax, "plot"):
            raise LMMError(f"ax is of type {type(ax).__name__}; it is one of matplotlib's Axes")
        return ax
    try:
        from matplotlib import pyplot
    except ImportError:
        advice = "plots need matplotlib; install it with: pip install matplotlib"
        raise LMMError(advice) from None
    _, axes = pyplot.subplots(*shape, layout="constrained", **options)
    return axes


def level_axes(ax, levels, grouping):
    """`ax`, or that of a new figure, with the levels' names from below, where they can be read."""
    shown = []
    if len(levels) <= MOST_TICKS:
        shown = [as_text(level) for level in levels]
    options = {}
    if len(shown) > MOST_USUAL_TICKS:
        options["figsize"] = (6.4, 1 + TICK_HEIGHT * len(shown))
    ax = new_axes(ax, **options)
    ax.set_yticks(range(len(shown)), shown, fontsize="small")
    ax.set_ylabel(as_text(grouping))
    return ax


def legend_above(ax):
    """A legend over the Axes, so that it hides nothing; narrow, for two pictures side by side."""
    ax.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=2,
        frameon=False,
        fontsize="small",
    )


def as_text(label):
    """A label as it is, for matplotlib to read no mathematics in it."""
    return str(label).replace("$", r"\$")
