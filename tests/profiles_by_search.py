"""Random small designs, and their profiles by n x n algebra, minimised by a general optimiser from many starts."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import minimize

STARTS = 30
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


class Profile:
    """The model of a fit where one parameter is held: nll by n x n algebra, and its least over the others.

    The others are log sigma and the elements of each term's T as they are, psi = T T'. The effects that are
    held come first in their term, so that a standard deviation is |T_11|, and with a correlation r the
    second row of T is s (+-r, sqrt(1 - r^2)).
    """

    def __init__(self, fit, held):
        design, covariance = fit.setup.design, fit.setup.covariance
        self.held, self.y, self.X = held, design.y - design.offset, design.X
        self.of_term = held.which[0] if held.kind in ("sd", "corr") and held.which != "sigma" else None
        self.eye, self.products, self.units, elements = np.eye(len(self.y)), [], [], []
        for t, (one, b) in enumerate(zip(covariance.structures, covariance.spans)):
            first = list(held.which[1:]) if t == self.of_term else []
            order = first + [i for i in range(b.stop - b.start) if i not in first]
            Z = [design.blocks[b.start + i].matrix.toarray() for i in order]
            self.products.append(np.array([[0.5 * (u @ v.T + v @ u.T) for v in Z] for u in Z]))
            self.units += [np.sqrt(np.mean(np.sum(z**2, axis=1))) for z in Z]
            elements += [(t, i, j) for i in range(len(Z)) for j in range(i + 1) if i == j or one.kind != "independent"]
        self.elements = elements
        self.rows, self.columns = np.array([i for _, i, _ in elements]), np.array([j for _, _, j in elements])
        self.own = [np.flatnonzero([u == t for u, _, _ in elements]) for t in range(len(self.products))]
        starts = [b.start for b in covariance.spans]
        self.without = []                                   # where it is 0 the correlation is anything, and psi has a kink
        if held.kind == "corr":
            self.without = [Profile(fit, Held("sd", (self.of_term, effect))) for effect in held.which[1:]]
        self.unit_of = [self.units[starts[t] + i] for t, i, _ in elements]

    def least(self, value, enough=-np.inf, starts=STARTS, seed=0):
        """The least nll where the parameter has this value; or the first minimum that is not above `enough`."""
        rng, y, X, held = np.random.default_rng(seed), self.y, self.X, self.held
        if held.kind == "beta":
            y, X = y - value * X[:, held.which], np.delete(X, held.which, axis=1)
        scale = np.sqrt(np.mean((y - X @ np.linalg.lstsq(X, y, rcond=None)[0]) ** 2 if X.shape[1] else y**2))
        best = np.inf
        bounds = [(np.log(scale) - 9, None)] + [(None, None)] * len(self.elements)
        for _ in range(starts):
            sizes = [np.exp(rng.uniform(-3, 2, len(K))) for K in self.products]
            T = [scale * sizes[t][i] / unit * rng.normal() for (t, i, _), unit in zip(self.elements, self.unit_of)]
            start = np.array([np.log(scale) + rng.uniform(-3, 0.5), *T])
            with np.errstate(all="ignore"):
                end = minimize(self.nll, start, (value, y, X), "L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": 200})
            best = min(best, end.fun)
            if best <= enough:
                return best
        return min([best, *(one.zero for one in self.without)])

    @cached_property
    def zero(self):
        """The least nll where the standard deviation is zero."""
        return self.least(0.0)

    def nll(self, x, value, y, X):
        """nll and its gradient: for dpsi that of sum G_ij dpsi_ij, G_ij = (tr W Z_i Z_j' - d'Z_i Z_j'd) / 2, d = W r."""
        x, failed = x.copy(), (1e8, np.zeros(len(x)))
        kind, place = self.held.kind, None
        if self.of_term is not None:
            place = {(t, i, j): 1 + k for k, (t, i, j) in enumerate(self.elements)}
            one = place[self.of_term, 0, 0]
        if self.held.which == "sigma":
            x[0] = np.log(value)
        elif kind == "sd":
            x[one] = value
        elif kind == "corr":
            below, second = place[self.of_term, 1, 0], place[self.of_term, 1, 1]
            turned, other = (value if x[one] * x[second] >= 0 else -value), np.sqrt(max(1 - value**2, 0))
            x[below], x[second] = turned * x[second], other * x[second]
        V, Ts = np.exp(2 * x[0]) * self.eye, []
        for k, K in zip(self.own, self.products):
            T = np.zeros((len(K), len(K)))
            T[self.rows[k], self.columns[k]] = x[1 + k]
            Ts.append(T)
            V = V + np.tensordot(T @ T.T, K, 2)
        if not np.isfinite(V).all():
            return failed
        try:
            L = np.linalg.cholesky(V)
            root = np.linalg.inv(L)
            W, r = root.T @ root, y
            if X.shape[1]:
                r = y - X @ np.linalg.solve(X.T @ W @ X, X.T @ W @ y)
        except np.linalg.LinAlgError:
            return failed
        d, g = W @ r, np.zeros(len(x))
        for k, K, T in zip(self.own, self.products, Ts):
            G = 0.5 * np.tensordot(K, W - np.outer(d, d), 2)
            g[1 + k] = (2 * G @ T)[self.rows[k], self.columns[k]]
        g[0] = 0 if self.held.which == "sigma" else np.exp(2 * x[0]) * (np.trace(W) - d @ d)
        if kind == "corr":
            g[second] = turned * g[below] + other * g[second]
            g[below] = 0
        elif self.of_term is not None:
            g[one] = 0
        return np.log(L.diagonal()).sum() + 0.5 * np.sum((root @ r) ** 2), g


def parameters(fit):
    """For each row of `conf_int`: what is held, and the estimate."""
    spans = fit.setup.covariance.spans
    places = [(t, j - b.start) for t, b in enumerate(spans) for j in range(b.start, b.stop)]
    held = [Held("beta", i) for i in range(len(fit.beta))]
    held += [Held("sd", "sigma"), *(Held("sd", place) for place in places)]
    pairs = [(i, j) for i, j in fit.setup.covariance.entries.pairs if i != j]
    held += [Held("corr", (places[j][0], places[j][1], places[i][1])) for i, j in pairs]
    return list(zip(held, [*fit.beta, fit.sigma, *fit.sd, *fit.corr]))
