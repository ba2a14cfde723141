"""How many fits of small designs are proved global, refuted, or open, and what it costs. Run by

    OPENBLAS_NUM_THREADS=1 python -m pytest -s tests/benchmarks/test_proofs.py

The populations take some ten minutes; LMM_POPULATION says how many designs, 3,000 by default.
"""

import os
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from fitting.test_proof import MODELS, fitted
from helpers import vector_oracle

from lmm import LMMError, lmer

DESIGNS = int(os.environ.get("LMM_POPULATION", "3000"))
AIMS = {"one term": 5, "at zero": 5, "rails": 5, "nested": 100, "nested, unbalanced": 100, "crossed": 100, "pastes": 100,
        "split plot": 100, "independent slopes": 100, "three terms": 2000, "correlated": 100}


@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize("model", AIMS)
def test_what_a_proof_costs(model, reml):
    fit = fitted(model, reml)
    taken = []
    for _ in range(4):
        start = time.process_time()
        proof = fit.prove()
        taken.append(1e3 * (time.process_time() - start))
    print(f"\n{model}, {'REML' if reml else 'ML'}: {proof.boxes} boxes, {min(taken):.1f} ms CPU (aim {AIMS[model]})")
    assert proof.proved and min(taken) < 2 * AIMS[model] and model in MODELS


def scalar(rng):
    """5 to 40 rows and one to three scalar terms, the formula and the data."""
    n = int(rng.integers(5, 41))
    names = "abc"[: int(rng.integers(1, 4))]
    dat = pd.DataFrame({"x": rng.normal(size=n).round(1)})
    y = rng.normal(size=n)
    for name in names:
        codes = rng.integers(0, int(rng.integers(2, max(3, n // 2))), n)
        dat[name] = pd.Categorical(codes)
        y = y + rng.gamma(0.7, 1.5) * rng.normal(size=n)[codes]
    dat["y"] = y.round(int(rng.integers(0, 4)))
    fixed = "x" if rng.random() < 0.6 else "1"
    return f"y ~ {fixed} + " + " + ".join(f"(1 | {name})" for name in names), dat


def correlated(rng):
    """10 to 60 rows and one term of an intercept and a slope."""
    n = int(rng.integers(10, 61))
    codes = rng.integers(0, int(rng.integers(3, max(4, n // 3))), n)
    x = rng.uniform(0, 6, n).round(1)
    b = rng.normal(size=(n, 2)) * rng.gamma(0.7, 1.5, 2)
    y = (rng.normal(size=n) + b[codes, 0] + b[codes, 1] * x).round(4)
    return "y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": pd.Categorical(codes)})


@pytest.mark.parametrize("kind, share, seconds, least", [(scalar, 1.0, 6, 0.995), (correlated, 1 / 3, 2, 0.99)],
                         ids=["scalar", "correlated"])
@pytest.mark.filterwarnings("ignore")
def test_a_population(kind, share, seconds, least):
    found = Counter()
    taken = []
    refuted = []
    for seed in range(int(share * DESIGNS)):
        rng = np.random.default_rng(seed)
        formula, dat = kind(rng)
        try:
            fit = lmer(formula, dat, reml=bool(rng.random() < 0.5))
        except LMMError:
            found["no model"] += 1
            continue
        proof = fit.prove(seconds=seconds)
        taken.append(proof.seconds)
        if proof.refuted:
            value, _ = vector_oracle(proof.theta, fit.setup)            # n x n
            assert value < fit.nll - 1e-7
            refuted.append((seed, fit.converged, fit.nll - proof.nll))
            assert proof.better().prove(seconds=20).proved
        verdict = "proved" if proof.proved else "refuted" if proof.refuted else proof.reason
        found[verdict] += 1
    fits = sum(found.values()) - found["no model"]
    quantiles = np.quantile(taken, [0.5, 0.99, 1.0])
    print(f"\n{kind.__name__}: {dict(found)}; seconds: median {quantiles[0]:.3f}, 99 % {quantiles[1]:.2f}, "
          f"most {quantiles[2]:.2f}; refuted: {refuted}")
    assert found["proved"] + found["refuted"] >= least * fits
    assert not [one for one in refuted if one[1]]                       # no certified fit
