"""Bounds of profile intervals of random small designs, against n x n algebra minimised from many starts.

    python -m pytest tests/benchmarks/test_profiles.py -s           (the first 60 designs, some 8 minutes)
    python tests/benchmarks/test_profiles.py 0 400                  (designs number 0 to 399; odd ones vector-valued)

A bound is right if it is the first crossing of the level, outwards from the estimate, to a thousandth of its
distance from it: the profile is above the level just beyond, and nowhere before.
"""

import sys
import time
import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from lmm import LMMError, LMMWarning, lmer

LEVEL = 3.841458820694124 / 2       # of nll above its least, at a bound of 95 %
NEAR = 1e-3                         # of a bound's distance from the estimate
STARTS = 30
NOISE = 1e-6                        # of nll
PARTS = (0.02, 0.2, 0.4, 0.6, 0.8)     # of the way to a bound, where the profile is looked at
MOST_TIMES = 100                    # a call of conf_int for each parameter, in times of the fit

SCALAR = ["(1 | a)", "(1 | a) + (1 | b)", "(1 | a) + (0 + x | b)", "(1 | a) + (1 | b) + (1 | c)", "(0 + x | a)", "(x || a)"]
VECTOR = ["(x | a)", "(x | a)", "(x | a) + (1 | b)", "(0 + f | a)", "(f | a) + (1 | b)", "(x | a) + (x | b)", "(x + z | a)",
          "(0 + h | a)"]


def small_design(seed):
    """A formula and a frame of 10 to 25 rows; odd seeds have a vector-valued term."""
    rng = np.random.default_rng([2026, seed])
    n = int(rng.integers(10, 26))
    dat = pd.DataFrame({
        "x": np.round(rng.normal(rng.choice([0, 0, 4]), rng.choice([0.3, 1, 3]), n), 2),
        "z": np.round(rng.normal(size=n), 2),
        "f": rng.choice(["u", "v"], n),
        "h": rng.choice(["u", "v", "w"], n),
    })
    y = rng.choice([0.1, 1, 3]) * rng.normal(size=n) + rng.choice([0, 1]) * dat["x"].to_numpy()
    for name in "abc":
        m = int(rng.integers(2, 8))
        codes = rng.integers(0, m, n)
        dat[name] = pd.Categorical([f"{name}{code}" for code in codes])
        y = y + (rng.choice([0, 0.5, 2, 5]) * rng.normal(size=m))[codes]
        if name == "a":
            y = y + (rng.choice([0, 1, 3]) * rng.normal(size=m))[codes] * dat["x"].to_numpy()
    dat["y"] = np.round(y, int(rng.choice([0, 1, 2])))
    fixed = rng.choice(["1", "1", "x", "0", "x + z"])
    bars = rng.choice(VECTOR if seed % 2 else SCALAR)
    return f"y ~ {fixed} + {bars}", dat


@dataclass
class Held:
    """Which parameter is held: ("beta", column), ("sd", "sigma" or (term, effect)), ("corr", (term, effect, effect))."""

    kind: str
    which: object


class Oracle:
    """nll by n x n algebra, and its gradient in log sigma and the elements of T, psi = T T', as they are."""

    def __init__(self, fit):
        design = fit.setup.design
        self.y = design.y - design.offset
        self.X = design.X
        self.terms = [[design.blocks[j].matrix.toarray() for j in range(b.start, b.stop)] for b in fit.setup.covariance.spans]
        self.diagonal = [type(one).__name__ == "Independent" for one in fit.setup.covariance.structures]

    def orders(self, held):
        """The terms with the held effects first."""
        for t, Z in enumerate(self.terms):
            order = list(range(len(Z)))
            if held.kind in ("sd", "corr") and held.which != "sigma" and held.which[0] == t:
                first = list(held.which[1:])
                order = first + [i for i in order if i not in first]
            yield t, [Z[i] for i in order]

    def least(self, held, value, enough=-np.inf, starts=STARTS, seed=0):
        """The least nll where the parameter has this value; the first one found that is not above `enough`."""
        rng = np.random.default_rng(seed)
        y, X = self.y, self.X
        if held.kind == "beta":
            y = y - value * X[:, held.which]
            X = np.delete(X, held.which, axis=1)
        terms = list(self.orders(held))
        scale = np.sqrt(np.mean((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2)) if X.shape[1] else np.sqrt(np.mean(y**2))
        units = [[np.sqrt(np.mean(np.sum(z**2, axis=1))) for z in Z] for _, Z in terms]
        rows, columns, homes = [], [], []
        for t, Z in terms:
            for i in range(len(Z)):
                for j in range(i + 1):
                    if i == j or not self.diagonal[t]:
                        homes.append(t), rows.append(i), columns.append(j)
        homes, rows, columns = np.array(homes), np.array(rows), np.array(columns)
        own = [np.flatnonzero(homes == t) for t, _ in terms]
        eye = np.eye(len(y))
        products = [(t, np.array([[0.5 * (a @ b.T + b @ a.T) for b in Z] for a in Z])) for t, Z in terms]
        fixed_sigma = held.kind == "sd" and held.which == "sigma"
        fixed_sd = held.kind == "sd" and not fixed_sigma
        corr = held.kind == "corr"
        k0 = own[held.which[0]] if fixed_sd or corr else None
        place = {(homes[k], rows[k], columns[k]): k for k in range(len(homes))}

        def criterion(x):
            x = x.copy()
            if fixed_sigma:
                x[0] = np.log(value)
            e = x[1:].copy()
            if fixed_sd:
                e[k0[0]] = value
            if corr:
                t = held.which[0]
                s, a = x[1 + place[t, 1, 1]], x[1 + place[t, 0, 0]]
                turned = 1.0 if a * s >= 0 else -1.0            # T_11 and s may be negative
                e[place[t, 1, 0]], e[place[t, 1, 1]] = turned * value * s, np.sqrt(max(1 - value**2, 0)) * s
            Ts = []
            V = np.exp(2 * x[0]) * eye
            for t, K in products:
                T = np.zeros((len(K), len(K)))
                k = own[t]
                T[rows[k], columns[k]] = e[k]
                Ts.append(T)
                V = V + np.tensordot(T @ T.T, K, 2)
            if not np.isfinite(V).all():
                return 1e8, np.zeros(len(x))
            try:
                L = np.linalg.cholesky(V)
                logdet = np.log(L.diagonal()).sum()
                root = np.linalg.inv(L)
                W = root.T @ root
                r = y
                if X.shape[1]:
                    WX = W @ X
                    r = y - X @ np.linalg.solve(X.T @ WX, WX.T @ y)
            except np.linalg.LinAlgError:
                return 1e8, np.zeros(len(x))
            d = W @ r
            nll = logdet + 0.5 * r @ d
            g = np.zeros(len(e))
            inner = W - np.outer(d, d)
            for (t, K), T in zip(products, Ts):
                G = 0.5 * np.tensordot(K, inner, 2)
                k = own[t]
                g[k] = (2 * G @ T)[rows[k], columns[k]]
            if fixed_sd:
                g[k0[0]] = 0
            if corr:
                one, two = place[held.which[0], 1, 0], place[held.which[0], 1, 1]
                g[two] = turned * value * g[one] + np.sqrt(max(1 - value**2, 0)) * g[two]
                g[one] = 0
            g0 = 0 if fixed_sigma else np.exp(2 * x[0]) * (np.trace(W) - d @ d)
            return nll, np.concatenate([[g0], g])

        best = np.inf
        bounds = [(np.log(scale) - 9, None)] + [(None, None)] * len(homes)
        for _ in range(starts):
            x = np.zeros(1 + len(homes))
            x[0] = np.log(scale) + rng.uniform(-3, 0.5)
            for t, _ in terms:
                size = np.exp(rng.uniform(-3, 2, len(units[t])))
                for k in own[t]:
                    x[1 + k] = scale * size[rows[k]] / units[t][rows[k]] * rng.normal()
            if X.shape[1] == 0 and not np.isfinite(x).all():
                continue
            with np.errstate(all="ignore"):
                end = minimize(criterion, x, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200})
            best = min(best, end.fun)
            if best <= enough:
                return best
        return best


def parameters(fit):
    """For each row of `conf_int`: what is held, and the estimate."""
    spans = fit.setup.covariance.spans
    places = [(t, j - b.start) for t, b in enumerate(spans) for j in range(b.start, b.stop)]
    held = [Held("beta", i) for i in range(len(fit.beta))]
    held += [Held("sd", "sigma"), *(Held("sd", place) for place in places)]
    pairs = [(i, j) for i, j in fit.setup.covariance.entries.pairs if i != j]
    held += [Held("corr", (places[j][0], places[j][1], places[i][1])) for i, j in pairs]
    return list(zip(held, [*fit.beta, fit.sigma, *fit.sd, *fit.corr]))


def verdict(oracle, fit, held, estimate, bound, edge):
    """"right", "too near", "too far", "none": of one bound."""
    level = fit.nll + LEVEL
    if np.isnan(estimate):
        return "right"                                          # a correlation with nothing
    if np.isnan(bound):
        return "none"
    distance = bound - estimate
    if distance == 0 and bound != edge:
        return "too near"
    is_edge = bound == edge
    beyond = estimate + distance * (1 + NEAR)
    if not is_edge and oracle.least(held, beyond) < level - NOISE:
        return "too near"
    for part in PARTS + ((1 - NEAR,) if not is_edge or bound == 0 else (1.0,)):
        x = estimate + part * distance
        if oracle.least(held, x, enough=level + NOISE, starts=2 * STARTS, seed=1) > level + NOISE:
            return f"too far ({part})"
    return "right"


def examine(seeds):
    """The counts of verdicts by kind of design, the largest ratio of times, and a line for each bound that is wrong."""
    counts = {"scalar": {}, "vector-valued": {}}
    slowest, refused, ratios = 0.0, {}, []
    for seed in seeds:
        form, dat = small_design(seed)
        kind = "vector-valued" if seed % 2 else "scalar"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LMMWarning)
            try:
                start = time.process_time()
                fit = lmer(form, dat, reml=False)
                fitting = time.process_time() - start
                if not fit.converged:
                    raise LMMError("not certified")
                start = time.process_time()
                found = fit.conf_int()
                took = time.process_time() - start
            except LMMError as error:
                reason = str(error)[:60]
                refused[reason] = refused.get(reason, 0) + 1
                if "best optimum" in reason:
                    print(seed, form, str(error)[-60:], flush=True)
                continue
        ratio = took / len(found) / fitting
        ratios.append(ratio)
        if ratio > slowest:
            slowest = ratio
            print(f"   slowest {seed} {form}: {took:.2f} s, {ratio:.1f} fits a parameter", flush=True)
        oracle = Oracle(fit)
        for (held, estimate), (name, bounds) in zip(parameters(fit), found.iterrows()):
            edges = {"beta": (None, None), "sd": (0.0, None), "corr": (-1.0, 1.0)}[held.kind]
            for bound, edge in zip(bounds, edges):
                result = verdict(oracle, fit, held, estimate, bound, edge)
                counts[kind][result.split()[0] + result[5:10] if False else result] = counts[kind].get(result, 0) + 1
                if result != "right":
                    print(f"{seed} {form} n={fit.nobs} {name} estimate {estimate:.4g} bound {bound:.6g}: {result}", flush=True)
    return counts, slowest, refused, ratios


def test_bounds_of_small_designs():
    counts, slowest, refused, _ = examine(range(60))
    print(f"\n{counts}\nslowest {slowest:.1f} fits a parameter; refused: {refused}")
    for by_verdict in counts.values():
        assert not any(verdict.startswith("too") for verdict in by_verdict)
    assert slowest < MOST_TIMES


if __name__ == "__main__":
    found, most, errors, times = examine(range(int(sys.argv[1]), int(sys.argv[2])))
    print(found, f"slowest {most:.1f}, median {np.median(times):.1f} fits a parameter", errors)
