"""NIST's certified one-way data sets as mixed models, y ~ 1 + (1 | group), by ML and by REML.

The balanced one-way layout has its fit in closed form in the sums of squares that NIST certifies.
Where 7 or 13 leading digits are constant the data as published are no doubles: reading them loses
digits, whatever is fitted then. So a fit is judged twice: by the exact fit of the doubles that were
read, and by the certified value, of which no more digits can be had than the doubles have.

Source: NIST, Statistical Reference Datasets, analysis of variance.
"""

import gzip
import re
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from ..datasets import DATA_FOLDER
from ..fit import lmer
from .closed_forms import Sums, one_way, sums_of
from .rows import ALL_DIGITS, digits_of, row_of_digits

NIST = "NIST's one-way data sets"
FROM_DOUBLES = "the exact rational fit of the doubles that were read"
CERTIFIED_SUMS = "NIST StRD, certified sums of squares (15 digits)"
OF_DOUBLES = 14.0            # digits against the exact fit of the doubles
PRINTED = 14.0          # digits of what is certified to 15, after a difference of mean squares
DATA_START = 60         # line, in each of the files
SUMS = re.compile(r"^(Between|Within)\s.*?(\d+)\s+(\S+)\s+(\S+)(?:\s+(\S+))?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Certified:
    """A data set as published: groups, with the text of each number; and what is certified."""

    name: str
    groups: dict
    sums: Sums          # of which the mean is that of the decimal data: none is certified
    F: Fraction

    def frame(self):
        """The data as doubles."""
        rows = [(name, float(text)) for name, texts in self.groups.items() for text in texts]
        return pd.DataFrame(rows, columns=["group", "y"])


def names():
    """The names of the data sets."""
    files = (DATA_FOLDER / "nist").iterdir()
    return sorted(file.name.partition(".")[0] for file in files if ".dat" in file.name)


def read(name):
    """A `Certified` data set."""
    (file,) = [file for file in (DATA_FOLDER / "nist").iterdir() if file.name.startswith(name)]
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.name.endswith(".gz") else data).decode()
    lines = text.splitlines()
    groups = {}
    for line in lines[DATA_START:]:
        if line.strip():
            group, value = line.split()
            groups.setdefault(group, []).append(value)
    found = {row[0]: row[2:] for row in SUMS.findall("\n".join(lines[:DATA_START]))}
    exact = sums_of(list(groups.values()))
    between, _, F = map(Fraction, found["Between"])
    within = Fraction(found["Within"][0])
    return Certified(name, groups, Sums(exact.k, exact.r, exact.mean, between, within), F)


def rows(quick):
    """Three rows for each of the eleven data sets, quick or not."""
    for name in names():
        yield from _rows_of(read(name))


def _rows_of(data):
    """What NIST certifies of the decimal data themselves, and the fit in two ways."""
    decimal = sums_of(list(data.groups.values()))
    yield row_of_digits(
        NIST,
        f"{data.name}: the file is the one that NIST certifies",
        "sums of squares and F of the decimal data, in rationals",
        CERTIFIED_SUMS,
        PRINTED,
        [
            ("between", decimal.between, data.sums.between),
            ("within", decimal.within, data.sums.within),
            ("F", decimal.F, data.F),
        ],
    )
    frame = data.frame()
    doubles = sums_of([list(y) for _, y in frame.groupby("group", sort=False)["y"]])
    fits = {}

    def pairs(sums):
        for reml in (False, True):
            if reml not in fits:
                fits[reml] = lmer("y ~ 1 + (1 | group)", frame, reml=reml)
            fit, exact = fits[reml], one_way(sums, reml)
            method = "REML" if reml else "ML"
            yield f"{method} sigma^2", fit.sigma**2, exact.residual
            yield f"{method} variance between", fit.sd["group"] ** 2, exact.group
            yield f"{method} mean", fit.beta[0], exact.mean

    test = f"ML and REML fits of {len(frame):,} rows: both variances and the mean"
    yield row_of_digits(
        NIST, f"{data.name}: the fit of the doubles", test, FROM_DOUBLES, OF_DOUBLES, pairs(doubles)
    )

    # -- how many digits of the certified fit the doubles themselves have
    kept = ALL_DIGITS
    for reml in (False, True):
        of_doubles, certified = one_way(doubles, reml), one_way(data.sums, reml)
        for part in ("residual", "group", "mean"):
            kept = min(kept, digits_of(getattr(of_doubles, part), getattr(certified, part)))
    least = min(PRINTED, round(kept - 0.1, 1))
    if kept < PRINTED:
        test += f"; the decimal data as doubles keep {kept:g} digits of it"
    yield row_of_digits(
        NIST, f"{data.name}: the certified fit", test, CERTIFIED_SUMS, least, pairs(data.sums)
    )
