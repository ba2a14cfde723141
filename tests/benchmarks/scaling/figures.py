"""Pictures of how time grows with n and with p, on logarithmic axes."""

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

COLOURS = {"lmm": "C0", "lme4": "C3", "mixedlm": "C2", "glmm": "C1"}


def panels(titles, x):
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots(1, len(titles))
    for ax, title in zip(axes, titles):
        ax.set(xscale="log", yscale="log", xlabel=x, title=title)
        ax.yaxis.set_major_formatter(EngFormatter("s", sep=" "))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    return figure, axes


def against_n(points, file):
    """Seconds of set-up, which grows in proportion to n, and of an evaluation, which does not grow."""
    figure, axes = panels(("set-up", "one evaluation of the likelihood"), "rows, n")
    for ax, what in zip(axes, ("setup", "evaluation")):
        for design in dict.fromkeys(point["design"] for point in points):
            mine = [point for point in points if point["design"] == design]
            ax.plot([point["n"] for point in mine], [point[what] for point in mine], "o-", ms=4,
                    label=f"{design} ({mine[-1]['engine']})")
    last = max(points, key=lambda point: point["setup"])
    ends = [min(point["n"] for point in points), last["n"]]
    axes[0].plot(ends, [last["setup"] * n / last["n"] for n in ends], "--", c="0.6", lw=1, label="in proportion to n")
    low, high = axes[1].get_ylim()
    axes[1].set_ylim(min(low, 1e-5), max(high, 1e-3))
    axes[0].legend(fontsize=8)
    figure.savefig(file, dpi=130)


def against_p(measured, file):
    """Seconds of a whole fit by each program."""
    places = [(*case.name.split(", p = "), found) for case, found in measured]
    designs = list(dict.fromkeys(design for design, _, _ in places))
    figure, axes = panels(designs, "columns of Z, p")
    for ax, design in zip(axes, designs):
        for program, colour in COLOURS.items():
            mine = [(int(p), one.median) for its, p, found in places for one in found
                    if its == design and one.program == program and one.seconds]
            if mine:
                ax.plot(*zip(*mine), "o-", ms=4, c=colour, label=program)
        sizes = [int(p) for its, p, _ in places if its == design]
        ax.set_xticks(sizes, [f"{p:,}" for p in sizes])
        ax.minorticks_off()
    axes[0].set_ylabel("a whole fit")
    axes[0].legend(fontsize=8)
    figure.savefig(file, dpi=130)
