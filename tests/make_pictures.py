"""The pictures of the guide: ``python tests/make_pictures.py [NAME ...]`` draws them into lmm/guide/pictures.

The same versions of matplotlib and its fonts draw the same bytes: no dates, no numbers drawn at random.
"""

import re
import sys
from pathlib import Path

import matplotlib

from lmm import lmer, lmm, load_data, plots

FOLDER = Path(__file__).resolve().parents[1] / "lmm" / "guide" / "pictures"
STYLE = {
    "figure.figsize": (5.6, 3.4),
    "font.size": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "svg.hashsalt": "lmm",              # names within the file, otherwise random
    "svg.fonttype": "none",             # letters as letters: small, and to be searched
    "font.family": "sans-serif",
}
MORE_DIGITS = re.compile(r"(\d\.\d\d)\d+")       # of a place, than hundredths of a point
REF = ["Worker", ["Worker", "Machine"]]


def machines():
    """The scores of each worker on each machine, with the fitted values."""
    from matplotlib import pyplot
    dat = load_data("Machines")
    fit = lmm("score ~ Machine", dat, REF)
    _, ax = pyplot.subplots(layout="constrained")
    names = list(dat["Machine"].cat.categories)
    for number, worker in enumerate(sorted(dat["Worker"].cat.categories)):
        rows = dat["Worker"] == worker
        places = dat["Machine"][rows].cat.codes
        color = f"C{number}"
        ax.plot(places, dat["score"][rows], ".", color=color, ms=7, alpha=0.6)
        fitted = fit.fittedvalues[rows].groupby(places.to_numpy()).mean()
        ax.plot(fitted.index, fitted, color=color, label=worker)
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel("Machine")
    ax.set_ylabel("score")
    ax.legend(title="Worker", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return ax


def surface():
    """The likelihood of Machines without ten rows, and the way down from far away."""
    fit = lmm("score ~ Machine", load_data("MachinesUnbalanced"), REF, start=[0.0, 0.0, 0.0])
    return plots.surface(fit)


def caterpillar():
    """The slopes of the subjects of sleepstudy, with prediction intervals."""
    return plots.caterpillar(_sleep(), name="Days")


def profile():
    """The profile of the standard deviation of slopes in sleepstudy."""
    return plots.profiles(_sleep().profile(), name="Subject:Days")


def means():
    """The marginal means of nitrogen in Oats, with letters."""
    fit = lmer("Yield ~ C(nitro) + Variety + (1 | Block/Variety)", load_data("Oats"))
    return plots.means(fit.means("nitro"))


def proof():
    """The boxes of the proof that the optimum of Machines is global."""
    fit = lmm("score ~ Machine", load_data("Machines"), REF)
    return plots.proof(fit.prove(keep=True))


def _sleep():
    return lmm("Reaction ~ Days", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]], reml=True)


PICTURES = {function.__name__: function for function in (machines, surface, caterpillar, profile, means, proof)}


def make(name, folder=FOLDER):
    """Draw one picture into a folder, as a SVG file: its path."""
    from matplotlib import pyplot
    path = Path(folder) / f"{name}.svg"
    with matplotlib.rc_context(STYLE):
        figure = PICTURES[name]().figure
        figure.savefig(path, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
    text = MORE_DIGITS.sub(r"\1", path.read_text(encoding="utf-8"))
    path.write_text("".join(f"{line.rstrip()}\n" for line in text.splitlines()), encoding="utf-8")
    return path


if __name__ == "__main__":
    matplotlib.use("Agg")
    FOLDER.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or PICTURES:
        print(make(chosen))
