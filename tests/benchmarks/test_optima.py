"""Optima at length: random starts on nine data sets, many small designs, InstEval.

    python -m pytest tests/benchmarks/test_optima.py -s
"""

import time
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from lmm import ConvergenceWarning, LMMError, LMMprof, lme4_reference, lmer, lmm, load_data, models
from lmm.fitting import Criterion, minimum


def quietly(fit, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit(*args, **options)


def test_a_thousand_random_starts():
    found = {"at the optimum": 0, "openly uncertified": 0, "silently wrong": 0}
    for name in ["Machines", "MachinesUnbalanced", "Penicillin", "Pastes", "Dyestuff2"]:
        model, dat, rng = models().loc[name], load_data(name), np.random.default_rng(0)
        best = lmm(model.form, dat, model.ref).nll
        for _ in range(200):
            fit = quietly(lmm, model.form, dat, model.ref, start=rng.normal(size=1 + len(model.ref)))
            verdict = ("at the optimum" if abs(fit.nll - best) < 1e-9 else
                       "silently wrong" if fit.converged else "openly uncertified")
            found[verdict] += 1
    print(f"\n1000 standard-normal starts: {found}")
    assert found["silently wrong"] == 0 and found["at the optimum"] >= 990


@pytest.mark.parametrize("form, data", [("Reaction ~ Days + (Days | Subject)", "sleepstudy"),
                                        ("conc ~ age + (age | Lot)", "IGF"),
                                        ("rounds ~ Method + (Method | Team)", "Gun"),
                                        ("score ~ Machine + (0 + Machine | Worker)", "Machines")])
def test_random_starts_of_vector_valued_terms(form, data):
    """The second and the third end at a singular covariance."""
    for reml in (False, True):
        dat, rng = load_data(data), np.random.default_rng(0)
        best = lmer(form, dat, reml=reml)
        fits = [quietly(lmer, form, dat, reml=reml, start=rng.normal(size=len(best.theta))) for _ in range(100)]
        ended = sum(abs(fit.nll - best.nll) < 1e-9 * abs(best.nll) for fit in fits)
        wrong = sum(fit.converged and fit.nll > best.nll + 1e-8 for fit in fits)
        print(f"\n{form}, {'REML' if reml else 'ML'}: {ended} of 100 standard-normal starts at the optimum, "
              f"{wrong} silently wrong")
        assert wrong == 0 and ended >= 99


def vector_design(seed):
    """A random small design with one or two vector-valued terms: most of their optima are singular."""
    rng = np.random.default_rng(seed)
    m = int(rng.integers(3, 9))
    n = int(rng.integers(3, 10)) * m
    dat = pd.DataFrame({"g": rng.integers(0, m, n), "h": rng.integers(0, 4, n), "f": rng.choice(list("abc"), n),
                        "x": rng.normal(rng.choice([0, 5]), rng.choice([0.1, 1, 10]), n)})
    b = rng.normal(size=(m, 2)) @ (np.tril(rng.normal(size=(2, 2))) * rng.choice([0, 0.3, 1, 3], 2)).T
    z = (dat["x"] - dat["x"].mean()) / dat["x"].std()
    dat["y"] = 1 + b[dat["g"], 0] + b[dat["g"], 1] * z + rng.choice([0, 1]) * rng.normal(size=4)[dat["h"]] + (
        rng.choice([0.1, 1]) * rng.normal(size=n))
    bars = rng.choice(["(x | g)", "(x | g) + (1 | h)", "(0 + f | g)", "(f | g)", "(x | g) + (0 + f | h)"])
    return f"y ~ x + {bars}", dat, bool(rng.random() < 0.5)


def test_small_designs_with_vector_valued_terms_against_many_starts():
    fits = uncertified = worse = singular = 0
    for seed in range(300):
        form, dat, reml = vector_design(seed)
        try:
            fit = quietly(lmer, form, dat, reml=reml)
        except LMMError:
            continue
        setup, covariance, rng = fit.setup, fit.setup.covariance, np.random.default_rng(seed + 1)
        unit, best = np.exp(fit.theta[0] + setup.units), np.inf
        for _ in range(12):
            T = np.tril(rng.normal(0, 1.5, size=(len(unit),) * 2)) * unit[:, None]
            T *= covariance.psi(np.zeros(len(fit.theta))) > 0                       # block-diagonal over the terms
            start = covariance.theta(fit.theta[0] + rng.normal(), T @ T.T)
            best = min(best, minimum(Criterion(LMMprof, setup), start)[1])
        fits += 1
        uncertified += not fit.converged
        singular += bool(fit.singular)
        worse += fit.converged and fit.nll > best + 1e-8
    print(f"\n{fits} small designs with vector-valued terms, {singular} of them singular: {worse} certified fits worse than "
          f"the best of many starts, {uncertified} openly uncertified")
    assert worse == 0


def small_design(seed):
    """A random crossed, nested or unbalanced design of 8 to 40 rows and one to four blocks."""
    rng = np.random.default_rng(seed)
    n, J = int(rng.integers(8, 40)), int(rng.integers(1, 4))
    dat = pd.DataFrame({"x": rng.normal(size=n)})
    y = rng.normal(size=n) * 10 ** rng.uniform(-1, 0.5) + 0.5 * dat["x"].to_numpy()
    outer = rng.integers(0, int(rng.integers(2, 7)), n)
    for name in "abc"[:J]:
        m = int(rng.integers(2, 7))
        codes = rng.integers(0, m, n) if rng.random() < 0.6 else outer * m + rng.integers(0, m, n)
        dat[name] = pd.Categorical(codes.astype(str))
        y = y + (rng.normal(size=codes.max() + 1) * rng.choice([0, 0.3, 1, 3]))[codes]
    ref = list("abc"[:J]) + ([["a", "x"]] if rng.random() < 0.3 else [])
    return "y ~ x" if rng.random() < 0.6 else "y ~ 1", dat.assign(y=y), ref, bool(rng.random() < 0.5)


def test_small_designs_against_many_starts():
    fits = uncertified = worse = 0
    for seed in range(300):
        form, dat, ref, reml = small_design(seed)
        try:
            fit = quietly(lmm, form, dat, ref, reml=reml)
        except LMMError:
            continue
        rng, scale = np.random.default_rng(seed + 1), np.log(np.std(dat["y"]))
        best = np.inf
        for _ in range(8 + 4 * len(ref)):
            search = minimize(lambda theta, setup: min(float(LMMprof(theta, setup)), 1e10), args=(fit.setup,),
                              x0=scale + rng.normal(0, 1.5, 1 + len(ref)) - np.eye(1 + len(ref))[0] / 2, method="BFGS")
            best = min(best, search.fun)
        fits += 1
        uncertified += not fit.converged
        worse += fit.converged and fit.nll > best + 1e-8
    print(f"\n{fits} small designs: {worse} certified fits worse than the best of many starts, "
          f"{uncertified} openly uncertified")
    assert worse == 0


def test_insteval():
    """73,421 rows, 4,100 columns of Z."""
    model, reference = models().loc["InstEval"], lme4_reference("InstEval").loc["ML"]
    start = time.perf_counter()
    fit = lmm(model.form, load_data("InstEval"), model.ref)
    difference = fit.deviance - reference.loc[("criterion", ""), "exact"]
    print(f"\nInstEval: {time.perf_counter() - start:.0f} s, evaluations {fit.optimum.evaluations}, "
          f"criterion {difference:.1e} above the exact one")
    assert abs(difference) < 1e-6
    sd = fit.sd.to_dict() | {"Residual": fit.sigma}
    for block, exact in reference.loc["sd", "exact"].items():
        assert sd[block] == pytest.approx(exact, rel=1e-7)          # the exact ones are known to 8 digits
