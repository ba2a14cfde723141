"""NIST's eleven one-way sets by the programs that are installed: digits of sigma^2 and of the variance between groups.

    python -m pytest -s tests/benchmarks/test_nist.py
    python tests/benchmarks/test_nist.py                        # the table alone, as Markdown

All get the same doubles and are judged by the exact rational fit of these; no row is of what reading decimals loses. The
number is the smaller of the two variances' digits, 0 too where a program refuses or fails, with a word.
"""

import shutil
import subprocess
import sys
import warnings
from tempfile import TemporaryDirectory

from lmm import lmer
from lmm.validation import digits_of
from lmm.validation.closed_forms import one_way, sums_of
from lmm.validation.nist import names, read

FORMULA = "y ~ 1 + (1 | group)"
LME4 = """
suppressMessages(library(lme4))
for (file in commandArgs(TRUE)) {
  dat <- read.csv(file, colClasses = "character")
  dat$y <- as.numeric(dat$y)                            # hexadecimal, so exactly
  for (reml in c(FALSE, TRUE)) {
    fit <- tryCatch(suppressMessages(suppressWarnings(lmer(y ~ 1 + (1 | group), dat, REML = reml))), error = function(e) NULL)
    numbers <- if (is.null(fit)) c(NA, NA) else c(sigma(fit)^2, VarCorr(fit)$group[1])
    cat(sprintf("%.17g", numbers), "\\n")
  }
}
"""


def by_lmm(dat, reml):
    fit = lmer(FORMULA, dat, reml=reml)
    return fit.sigma**2, fit.sd["group"] ** 2


def by_mixedlm(dat, reml):
    import mixedlm
    fit = mixedlm.lmer(FORMULA, dat, REML=reml)
    return fit.sigma**2, (fit.sigma * fit.theta[0]) ** 2


def by_statsmodels(dat, reml):
    from statsmodels.formula.api import mixedlm
    fit = mixedlm("y ~ 1", dat, groups=dat["group"]).fit(reml=reml)
    return fit.scale, float(fit.cov_re.iloc[0, 0])


def by_glmm(dat, reml):
    import glmm
    fit = glmm.fit({"y": dat["y"], "group": dat["group"]}, FORMULA, reml=reml, satterthwaite=False, anova_test="Wald")
    return fit.dispersion, fit.tau2[0]


PROGRAMS = {"lmm": by_lmm, "mixedlm": by_mixedlm, "statsmodels": by_statsmodels, "glmm": by_glmm}


def digits(numbers, exact):
    """The fewer digits of both variances."""
    return min(digits_of(float(number), right) for number, right in zip(numbers, (exact.residual, exact.group)))


def of_lme4(frames):
    """lme4's variances of each data set by ML and by REML, in this order."""
    with TemporaryDirectory() as folder:
        files = []
        for name, dat in frames.items():
            files.append(f"{folder}/{name}.csv")
            dat.assign(y=[value.hex() for value in dat["y"].tolist()]).to_csv(files[-1], index=False)
        run = subprocess.run(["Rscript", "-e", LME4, *files], capture_output=True, text=True, check=True)
    numbers = [[float(cell.replace("NA", "nan")) for cell in line.split()] for line in run.stdout.splitlines()]
    return dict(zip(((name, reml) for name in frames for reml in (False, True)), numbers))


def table():
    """Digits by data set, then program, ML and REML."""
    frames = {name: read(name).frame() for name in names()}
    lme4 = of_lme4(frames) if shutil.which("Rscript") else {}
    found = {}
    for name, dat in frames.items():
        sums = sums_of([list(of) for _, of in dat.groupby("group", sort=False)["y"]])
        for program, fit in PROGRAMS.items():
            both = []
            for reml in (False, True):
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        both.append(digits(fit(dat, reml), one_way(sums, reml)))
                except ImportError:
                    break
                except Exception as error:              # whatever another program says, it is no number
                    print(f"{program}, {name}, {'REML' if reml else 'ML'}: {error}".splitlines()[0], file=sys.stderr)
                    both.append(0.0)
            else:
                found.setdefault(program, {})[name] = both
        if lme4:
            found.setdefault("lme4", {})[name] = [digits(lme4[name, reml], one_way(sums, reml)) for reml in (False, True)]
    return found


def as_markdown(found):
    lines = ["| data | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    for name in next(iter(found.values())):
        cells = [" / ".join(f"{digit:g}" for digit in of[name]) for of in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def test_fourteen_digits_and_no_program_has_more_than_a_digit_more():
    found = table()
    print(f"\nDigits, ML / REML:\n{as_markdown(found)}")
    for name, ours in found["lmm"].items():
        for i, digit in enumerate(ours):
            assert digit >= 14
            assert all(digit >= theirs[name][i] - 1 for theirs in found.values())


if __name__ == "__main__":
    print(as_markdown(table()))
