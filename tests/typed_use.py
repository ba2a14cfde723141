"""What a user writes, for mypy alone: each result has the type that lmm/__init__.pyi says, and mistakes are seen.

An ignored error that is none any more is one itself, so the lines at the end hold the hints from the other side.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from typing_extensions import assert_type

import lmm
from lmm import (
    Fits,
    LMMprof,
    LMMResult,
    LMMsetup,
    Proof,
    anova,
    certify,
    lmer,
    lmer_many,
    load_data,
    plots,
)

machines = load_data("Machines")
fit = lmm.lmm("score ~ Machine", machines, ["Worker", ["Worker", "Machine"]])
assert_type(fit, LMMResult)
assert_type(fit["beta"], NDArray[Any])
assert_type(fit.sigma, float)
assert_type(fit.singular, tuple[str, ...])
assert_type(fit.optimum.certified, bool)
assert_type(fit.conf_int("t", df="kr"), pd.DataFrame)
assert_type(fit.ranef(), dict[str, pd.DataFrame])
assert_type(fit.ranef(tidy=True), pd.DataFrame)
assert_type(fit.predict({"Machine": "A"}, random=False, interval="confidence"), pd.DataFrame)
assert_type(fit.refit(fit.simulate(10, seed=1)), Fits)
assert_type(fit.prove(), Proof)
assert_type(fit.prove().better().nll, float)
assert_type(fit.means("Machine").pairs().to_latex(), str)
assert_type(anova(fit).table, pd.DataFrame)
assert_type(anova(fit.update(ref="Worker"), fit, nsim=100).models, dict[str, str])
assert_type(plots.caterpillar(fit, "Worker"), Axes)

setup = LMMsetup("score ~ Machine", machines, "Worker")
value = LMMprof([0.0, 1.5], setup)
assert_type(value + 1, float)
assert_type(value.beta, NDArray[Any])
assert_type(certify(np.zeros(2), setup), lmm.Optimum)

fits = lmer_many("~ Days + (1 | Subject)", load_data("sleepstudy"), ["Reaction"])
assert_type(fits.pvalues, pd.DataFrame)
assert_type(fits["Reaction"], LMMResult)
lmm.summarise([Path("a.csv")], "y ~ x + (1 | g)", Path("a.npz"), least=3)

lmer("score ~ Machine", machines, reml="no")  # type: ignore[arg-type]
lmer("score ~ Machine", data=machines)  # type: ignore[call-arg]
fit.fixef()  # type: ignore[attr-defined]
fit.conf_int("walled")  # type: ignore[arg-type]
fit.conf_int("wald", 0.9, "kr")  # type: ignore[call-arg]
anova(fit, type=4)  # type: ignore[call-overload]
