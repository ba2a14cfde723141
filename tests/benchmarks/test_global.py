"""How often a certified optimum of a small design is not the best one, by searches from many starts on n x n algebra.

    python tests/benchmarks/test_global.py 2000          # designs of each kind; prints the rates, and each design that is worse

Designs of 5 to 40 rows: one or two random effects (scalar), or an intercept and a slope that are correlated, alone or beside a
second grouping (vector). ML and REML in turns, responses also of whole numbers. The reference knows nothing of the package: V is
formed, and L-BFGS follows exact gradients from 12 starts a design, half of them near a correlation of -1 or 1.
"""

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from lmm import ConvergenceWarning, LMMError, lmer

STARTS = 12
WORSE = 1e-6            # of nll, relative to max(1, |nll|)
FORMULAS = {
    "scalar": ["y ~ 1 + (1 | a)", "y ~ 1 + (0 + x | a)", "y ~ x + (0 + x | a)", "y ~ 1 + (1 | a) + (1 | b)",
               "y ~ x + (1 | a) + (1 | b)", "y ~ 1 + (1 | a) + (0 + x | a)", "y ~ 1 + (1 | a) + (0 + x | b)"],
    "vector": ["y ~ 1 + (x | a)", "y ~ x + (x | a)", "y ~ 1 + (0 + x + z | a)", "y ~ x + (x | a) + (1 | b)", "y ~ 1 + (x | b)"],
}


def design(kind, seed):
    """A formula, data, and whether to fit by REML."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 41))
    levels = int(rng.integers(2, max(3, min(8, n - 2))))
    others = int(rng.integers(2, 6))
    a, b = rng.integers(0, levels, n), rng.integers(0, others, n)
    x = rng.normal(size=n).round(1) + rng.choice([0, 1.5])
    sds = rng.choice([0, 0.3, 1, 3], 3)
    y = rng.normal(size=n) * rng.choice([0.3, 1]) + sds[0] * rng.normal(size=levels)[a]
    y += sds[1] * rng.normal(size=levels)[a] * x + sds[2] * rng.normal(size=others)[b]
    if rng.random() < 0.2:
        y = np.round(y)
    dat = pd.DataFrame({"y": y, "x": x, "z": rng.normal(size=n), "a": [f"a{i}" for i in a], "b": [f"b{i}" for i in b]})
    return str(rng.choice(FORMULAS[kind])), dat, bool(rng.random() < 0.5), rng


class Oracle:
    """nll and its gradient by n x n algebra, in log sigma and the elements of the T of each term, as they are."""

    def __init__(self, fit):
        d = fit.setup.design
        self.y, self.X, self.reml = d.y, d.X, fit.reml
        self.Z = [[block.matrix.toarray() for block in d.blocks[span]] for span in fit.setup.covariance.spans]
        self.sizes = [len(Z) for Z in self.Z]

    def roots(self, x):
        first = 1
        for c in self.sizes:
            T = np.zeros((c, c))
            T[np.tril_indices(c)] = x[first : first + c * (c + 1) // 2]
            first += c * (c + 1) // 2
            yield T

    def __call__(self, x):
        try:
            return self.value_and_gradient(x)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros(len(x))

    def value_and_gradient(self, x):
        n, k = self.X.shape
        sigma2 = np.exp(2 * x[0])
        V = sigma2 * np.eye(n)
        for T, Z in zip(self.roots(x), self.Z):
            ZT = [sum(T[i, j] * Z[i] for i in range(j, len(Z))) for j in range(len(Z))]
            V += sum(one @ one.T for one in ZT)
        L = np.linalg.cholesky(V)
        W = np.linalg.solve(L.T, np.linalg.solve(L, np.eye(n)))
        XWX = self.X.T @ W @ self.X
        P = W - W @ self.X @ np.linalg.solve(XWX, self.X.T @ W) if k else W
        Py = P @ self.y
        value = np.sum(np.log(L.diagonal())) + 0.5 * self.y @ Py
        if self.reml and k:
            value += 0.5 * np.linalg.slogdet(XWX)[1]
        D = (P if self.reml else W) - np.outer(Py, Py)                  # d nll = tr(D dV) / 2
        gradient = [sigma2 * np.trace(D)]
        for T, Z in zip(self.roots(x), self.Z):
            G = np.array([[np.sum((D @ Zi) * Zj) for Zj in Z] for Zi in Z])
            gradient += list((G @ T)[np.tril_indices(len(Z))])
        return value, np.array(gradient)

    def start(self, rng, log_sigma):
        """A random theta, half of the time with effects that are nearly of one line."""
        x = [log_sigma + rng.normal()]
        for Z in self.Z:
            unit = [np.sqrt(len(self.y) / (np.sum(one**2) or 1.0)) for one in Z]
            sds = np.exp(log_sigma + 1.5 * rng.normal(size=len(Z))) * unit
            T = np.diag(sds)
            if len(Z) > 1:
                rho = rng.choice([-0.97, 0.97]) if rng.random() < 0.5 else rng.uniform(-0.9, 0.9)
                T[1, 0], T[1, 1] = rho * sds[1], np.sqrt(1 - rho**2) * sds[1]
            x += list(T[np.tril_indices(len(Z))])
        return np.array(x)

    def least(self, rng, log_sigma):
        """The least value from many starts, and log sigma there."""
        found = [minimize(self, self.start(rng, log_sigma), jac=True, method="L-BFGS-B", options={"maxiter": 200})
                 for _ in range(STARTS)]
        best = min(found, key=lambda one: one.fun)
        return best.fun, best.x[0]


def population(kind, count, first=0):
    """How many fits were certified, the seeds of those that are worse than the reference, and of those whose likelihood has no
    bound elsewhere: some direction of the random effects and X fit y, so that nll falls on and on as sigma goes to 0."""
    certified, worse, boundless = 0, [], []
    for seed in range(first, first + count):
        formula, dat, reml, rng = design(kind, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)
            try:
                fit = lmer(formula, dat, reml=reml)
            except LMMError:
                continue
        if not fit.converged:
            continue
        certified += 1
        with np.errstate(all="ignore"):
            best, at_log_sigma = Oracle(fit).least(rng, fit.theta[0])
        if best < fit.nll - WORSE * max(1.0, abs(fit.nll)):
            has_bound = at_log_sigma > fit.theta[0] - 6
            (worse if has_bound else boundless).append(seed)
            print(f"{'' if has_bound else 'without bound: '}{kind} {seed}: {formula!r}, {len(dat)} rows, {'REML' if reml else 'ML'}: nll {fit.nll:.6f}, best {best:.6f}",
                  flush=True)
    return certified, worse, boundless


@pytest.mark.parametrize("kind", FORMULAS)
def test_certified_optima_are_the_best(kind):
    certified, worse, _ = population(kind, 100)
    assert certified > 80 and not worse


if __name__ == "__main__":
    count, first = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for kind in FORMULAS if len(sys.argv) < 4 else sys.argv[3:]:
        certified, worse, boundless = population(kind, count, first)
        print(f"{kind}: {count} designs from seed {first}, {certified} certified, {len(worse)} of them not the best: {worse}; "
              f"{len(boundless)} without a bound elsewhere: {boundless}")
