"""The dense oracle, written straight from the definition of the model, and designs to hold the engine to."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lmm import LMMprof, LMMResult, LMMsetup, certify, lmer, load_data
from lmm.engines import set_up
from lmm.fitting import Plan
from lmm.model import make_design

# One home for tolerances, with their reasons.
LINEAR_ALGEBRA = dict(rtol=1e-10, atol=1e-10)      # two ways to compute the same number
CRITERION = 1e-9                                   # nll or -2 logLik at the optimum: second order in theta
THETA = 1e-8                                       # log standard deviations: the finish is Newton's
SD = 1e-7                                          # standard deviations, relative
BETA = 1e-9                                        # fixed effects, relative


def without_note(text):
    """A printed or HTML report without what is said where the system cannot confine submissions."""
    note = r"Note: not kept from the network.*?\)"
    text = re.sub(f"<p>{note}</p>", "", text, flags=re.DOTALL)
    return re.sub(rf"\n+{note}\n", "\n", text, flags=re.DOTALL)


def oracle(theta, y, X, blocks, reml=False):
    """nll and beta at theta by n x n algebra: V formed, inverted, its determinant taken. O(n^3), for small n."""
    n = len(y)
    V = np.exp(2 * theta[0]) * np.eye(n)
    for log_sd, Z in zip(theta[1:], blocks):
        Z = Z.toarray() if hasattr(Z, "toarray") else Z
        V += np.exp(2 * log_sd) * Z @ Z.T
    W = np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ W @ X, X.T @ W @ y) if X.shape[1] else np.zeros(0)
    r = y - X @ beta
    penalty = 0.5 * np.linalg.slogdet(X.T @ W @ X)[1] if reml else 0.0
    return 0.5 * np.linalg.slogdet(V)[1] + 0.5 * r @ W @ r + penalty, beta


def oracle_of(theta, setup):
    """The oracle on the matrices of a setup."""
    return oracle(theta, setup.design.y, setup.design.X, [block.matrix for block in setup.design.blocks], setup.reml)


def triangles(theta, sizes):
    """The T of each term of so many effects: theta after its first element, by columns, the diagonal on the log scale."""
    elements = iter(theta[1:])
    for c in sizes:
        T = np.zeros((c, c))
        for j in range(c):
            T[j, j] = np.exp(next(elements))
            for i in range(j + 1, c):
                T[i, j] = next(elements)
        yield T


def roots(theta, setup):
    """The T of each term of a set-up, independent effects among them: a diagonal one."""
    covariance = setup.covariance
    for one, share in zip(covariance.structures, covariance.shares):
        own = theta[share]
        yield np.diag(np.exp(own)) if one.kind == "independent" else next(triangles([0.0, *own], (one.c,)))


def vector_oracle(theta, setup):
    """nll and beta by n x n algebra for terms with several effects: V from (T T')_ij Z_i Z_j'."""
    design = setup.design
    Z = [block.matrix.toarray() for block in design.blocks]
    V, at = np.exp(2 * theta[0]) * np.eye(len(design.y)), 0
    for T in roots(theta, setup):
        psi = T @ T.T
        V += sum(psi[i, j] * Z[at + i] @ Z[at + j].T for i in range(len(T)) for j in range(len(T)))
        at += len(T)
    W, X = np.linalg.inv(V), design.X
    r = design.y - design.offset - X @ (beta := np.linalg.solve(X.T @ W @ X, X.T @ W @ (design.y - design.offset)))
    penalty = 0.5 * np.linalg.slogdet(X.T @ W @ X)[1] if setup.reml else 0.0
    return 0.5 * np.linalg.slogdet(V)[1] + 0.5 * r @ W @ r + penalty, beta


def lmer_setup(form, dat, reml=False, **given):
    """The `Setup` of a formula with bars."""
    return set_up(make_design(form, dat, bars=True, **given), reml)


def vector_designs():
    """(name, formula, dat) with vector-valued terms of every kind."""
    small, machines = crossed((4, 3, 2), 40, seed=1), load_data("Machines")
    small["z"] = np.random.default_rng(2).normal(3, 2, len(small))
    return [
        ("intercept and slope", "Reaction ~ Days + (Days | Subject)", load_data("sleepstudy")),
        ("three correlated effects", "score ~ Machine + (0 + Machine | Worker)", machines),
        ("unbalanced, with an intercept", "score ~ Machine + (Machine | Worker)", load_data("MachinesUnbalanced")),
        ("scalar, then vector-valued, crossed", "y ~ x + (1 | c) + (x | a) + (1 | b)", small),
        ("two vector-valued terms", "y ~ x + (x | a) + (0 + x + z | b)", small),
        ("nested", "y ~ x + (x | a) + (x | a:c)", small),
        ("independent", "y ~ x + (x || a)", small),
        ("a function", "y ~ x + (I(x**2) | a)", small),
        ("p > n", "y ~ 1 + (x + z | a) + (x | b)", small.iloc[:14].reset_index(drop=True)),
    ]


def crossed(levels, n, seed, missing=()):
    """n rows of crossed factors a, b, c with so many levels each, a covariate x, and a response y."""
    rng = np.random.default_rng(seed)
    dat = pd.DataFrame({name: pd.Categorical(rng.permutation(np.arange(n) % m).astype(str))
                        for name, m in zip("abc", levels)})
    dat["x"] = rng.normal(size=n)
    dat["y"] = rng.normal(size=n) + sum(rng.normal(size=m)[dat[name].cat.codes] for name, m in zip("abc", levels))
    for a, b in missing:
        dat = dat[~((dat["a"] == a) & (dat["b"] == b))]
    return dat.reset_index(drop=True)


def designs():
    """(name, form, dat, ref) for every kind of design the engine must get right."""
    machines = load_data("Machines")
    both = ["Worker", ["Worker", "Machine"]]
    small = crossed((4, 3, 2), 30, seed=1)
    return [
        ("balanced, Z of rank 18 with 24 columns", "score ~ Machine", machines, both),
        ("unbalanced", "score ~ Machine", load_data("MachinesUnbalanced"), both),
        ("no random effects", "score ~ Machine", machines, ()),
        ("one block", "score ~ Machine", machines, ["Worker"]),
        ("three crossed blocks", "y ~ x", small, ["a", "b", "c"]),
        ("three crossed blocks, the largest last", "y ~ x", small, ["c", "b", "a"]),
        ("an unobserved combination", "y ~ x", crossed((4, 3, 2), 40, 2, missing=[("1", "2")]), [["a", "b"], "c"]),
        ("p > n", "y ~ 1", crossed((7, 6, 5), 10, 3), ["a", "b", "c"]),
        ("p + k > n", "y ~ x + c", crossed((5, 4, 3), 12, 4), ["a", "b"]),
        ("k = 1", "y ~ 1", small, ["a", "b"]),
        ("k = 0", "y ~ 0", small, ["a", "b"]),
        ("no intercept", "y ~ 0 + x", small, ["a"]),
        ("a text factor without intercept", "y ~ 0 + b + x", small, ["a", ["a", "b"]]),
        ("independent slopes", "Reaction ~ Days", load_data("sleepstudy"), ["Subject", ["Subject", "Days"]]),
        ("a slope that is zero in one group", "y ~ 1", small.assign(x=np.where(small.a == "1", 0.0, small.x)),
         [["a", "x"], "b"]),
        ("one numeric column", "y ~ 1", small, [["x", "a"], ["b"]]),
    ]


def fit_at(theta, form="score ~ Machine", ref=("Worker", ("Worker", "Machine")), dat=None, reml=False, reasons=()):
    """A result at a theta chosen by hand, certified unless there are `reasons`: display and views need no optimiser."""
    setup = LMMsetup(form, load_data("Machines") if dat is None else dat, ref, reml)
    value = LMMprof(theta, setup)
    optimum = replace(certify(theta, setup), certified=not reasons, reasons=reasons)
    return LMMResult(value.beta, np.asarray(theta), float(value), value.triangle, setup, optimum, "By hand.",
                     (("simplex", float(value), tuple(theta)),), Plan())


def fail_beyond(monkeypatch, limit):
    """Let the fits of many responses fail where a response's first value is beyond a limit."""
    from lmm.inference.batches import Batches
    fit = Batches.fit

    def failing(self, Y, alone=None):
        found = fit(self, Y, alone)
        found.reasons[Y[0] > limit] = "no luck"
        return found

    monkeypatch.setattr(Batches, "fit", failing)


HYPOTHESES = Path(__file__).parent / "inference"
REFERENCES = json.loads((HYPOTHESES / "references.json").read_text())["cases"]


def reference_fit(case):
    """The fit of a case of tests/inference/references.json."""
    csv = case["csv"]
    dat = pd.read_csv(HYPOTHESES / Path(csv).name) if csv else load_data(case["data"])
    for name, levels in case["levels"].items():
        if name in dat:
            dat[name] = pd.Categorical(dat[name].astype(str), levels)
    return lmer(case["lmm"], dat, reml=True)
