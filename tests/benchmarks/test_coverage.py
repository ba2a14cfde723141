"""Coverage of 95 % intervals in 500 simulated data sets, seeded: what the README quotes.

    python -m pytest tests/benchmarks/test_coverage.py -s
"""

import numpy as np
import pytest

from lmm import lmm, load_data

SETS = 500
# data, form, ref; the truth, theta being the REML estimates rounded; the fixed effect and the block that are watched
DESIGNS = {
    "sleepstudy": ("Reaction ~ Days", ["Subject", ["Subject", "Days"]], [25.0, 25.0, 6.0], "Days", "Subject:Days"),
    "Machines": ("score ~ Machine", ["Worker", ["Worker", "Machine"]], [1.0, 4.8, 3.7], "Machine[T.B]", "Worker:Machine"),
}


@pytest.mark.parametrize("name", DESIGNS)
def test_coverage(name):
    form, ref, sds, effect, block = DESIGNS[name]
    by_ml = lmm(form, load_data(name), ref)
    by_reml = by_ml.update(reml=True)
    design = by_ml.setup.design
    by_label = dict(zip(by_ml.setup.labels, sds))
    truth = {("beta", effect): by_ml.params[effect], ("sd", block): by_label[block], ("sd", "sigma"): sds[0]}
    hits = {}
    for i in range(SETS):
        rng = np.random.default_rng([2026, i])
        y = design.X @ by_ml.beta + sds[0] * rng.standard_normal(by_ml.nobs)
        for sd, b in zip(sds[1:], design.blocks):
            y += sd * b.matrix @ rng.standard_normal(len(b.levels))
        ml, reml = by_ml.refit(y), by_reml.refit(y)
        for method, fit in (("profile", ml), ("wald", reml), ("t", reml)):
            table = fit.conf_int(method)
            for parameter, value in truth.items():
                lower, upper = table.loc[parameter]
                hits.setdefault((method, parameter), []).append(lower <= value <= upper)
    print(f"\n{name}, {SETS} data sets, share of 95 % intervals that hold the truth:")
    for (method, parameter), values in hits.items():
        print(f"  {method:8s}{parameter[1]:16s}{np.mean(values):.3f}")
    # With the six workers of Machines the likelihood's intervals are known to be too short; those of REML fits are held to it.
    short = [("profile", ("beta", effect)), ("profile", ("sd", block)), ("wald", ("beta", effect))]
    exempt = short if name == "Machines" else []
    for key, values in hits.items():
        assert key in exempt or 0.92 <= np.mean(values) <= 0.98, key
