"""A population of small designs, where several optima are most frequent, against another search.

Each design has a seed: 5 to 40 rows, one or two random effects (variances), or an intercept and a
slope that are correlated, alone or beside a second grouping (correlated); ML and REML, responses
also of whole numbers. The search knows nothing of the engines: with M = I + sum Z T T' Z', T in
units of sigma, it forms M, (n, n), and looks for the least of

    h / 2 + df / 2 (1 + log(q / df)),    h = log|M| [REML: + log|X'M^-1 X|],  q = y'P y,

at random T, from the best of which L-BFGS follows exact gradients.
"""

import warnings
from dataclasses import dataclass, field
from math import inf

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from ..errors import ConvergenceWarning, LMMError
from ..fit import lmer
from ..fitting import NLL_ERROR
from ..machine import few_threads
from .rows import digits_of, row_of_truth

SMALL_DESIGNS = "A population of small designs"
BY_SEARCH = "n x n algebra, and L-BFGS from several starts on it"
FORMULAS = {
    "variances": (
        "y ~ 1 + (1 | a)",
        "y ~ 1 + (0 + x | a)",
        "y ~ x + (0 + x | a)",
        "y ~ 1 + (1 | a) + (1 | b)",
        "y ~ x + (1 | a) + (1 | b)",
        "y ~ 1 + (1 | a) + (0 + x | a)",
        "y ~ 1 + (1 | a) + (0 + x | b)",
    ),
    "correlated": (
        "y ~ 1 + (x | a)",
        "y ~ x + (x | a)",
        "y ~ 1 + (0 + x + z | a)",
        "y ~ x + (x | a) + (1 | b)",
        "y ~ 1 + (x | b)",
    ),
}
EACH, EACH_IF_QUICK = 1000, 25      # designs of each kind
LOOKS = 60              # random T at which the criterion is looked at, ...
# ... of which from the best, and from others, so many descents begin: where effects are correlated
# 4 of them find 49 of 65 better optima there were, 12 find 61
DESCENTS = {"variances": 4, "correlated": 12}
WORSE = 1e-7            # of nll, relative to max(1, |nll|): what n x n algebra may be off by itself
BOUNDLESS = 6.0         # of log sigma, by how much it is less where the likelihood has no bound
SHARE_CERTIFIED = 0.95        # share of the fits that have a certificate
SHARE_PROVED = 0.95           # share of those proved, where the proof knows the model
PATIENCE_OF_PROOF = 3       # seconds, after which it is left open
SAME_CRITERION = 1e-8             # nll at the optimum by n x n algebra, relative to max(1, |nll|)


# -- designs ---------------------------------------------------------------------------------------


def design(kind, seed):
    """A formula, data, whether to fit by REML, and the generator, for what else is drawn."""
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
    dat = pd.DataFrame({
        "y": y,
        "x": x,
        "z": rng.normal(size=n),
        "a": [f"a{i}" for i in a],
        "b": [f"b{i}" for i in b],
    })
    return str(rng.choice(FORMULAS[kind])), dat, bool(rng.random() < 0.5), rng


# -- the search ------------------------------------------------------------------------------------


class Search:
    """nll of a fit's model with sigma and beta profiled out, and its least value.

    x are the lower triangles of T of each term, row by row, in units of sigma.
    """

    def __init__(self, fit):
        made = fit.setup.design
        self.y, self.X, self.reml = made.y, made.X, fit.reml
        self.n, self.k = self.X.shape
        self.df = self.n - self.k if self.reml else self.n
        self.Z = [
            np.stack([block.matrix.toarray() for block in made.blocks[span]])
            for span in fit.setup.covariance.spans
        ]
        self.triangles = [np.tril_indices(len(Z)) for Z in self.Z]
        self.sizes = [len(rows) for rows, _ in self.triangles]

    def roots(self, x):
        """The T of each term; of several x at once (..., c, c)."""
        starts = np.cumsum(self.sizes)[:-1]
        for part, (rows, columns), Z in zip(np.split(x, starts, axis=-1), self.triangles, self.Z):
            T = np.zeros((*x.shape[:-1], len(Z), len(Z)))
            T[..., rows, columns] = part
            yield T

    def M(self, x):
        """I + sum Z T T' Z', (..., n, n)."""
        M = np.eye(self.n)
        for T, Z in zip(self.roots(x), self.Z):
            ZT = np.einsum("...ij,inl->...jnl", T, Z)
            M = M + np.einsum("...jnl,...jml->...nm", ZT, ZT)
        return M

    def many(self, xs):
        """Values at several x, (B,): inf where M is not positive definite to rounding."""
        M = self.M(xs)
        with np.errstate(all="ignore"):
            sign, h = np.linalg.slogdet(M)
            U = np.column_stack([self.X, self.y])
            C = U.T @ np.linalg.solve(M, np.broadcast_to(U, (*M.shape[:-1], self.k + 1)))
            whole = np.linalg.slogdet(C)[1]
            of_X = np.linalg.slogdet(C[:, : self.k, : self.k])[1]
            values = 0.5 * h + 0.5 * self.df * (1 + whole - of_X - np.log(self.df))
        values += 0.5 * of_X if self.reml else 0.0
        return np.where((sign > 0) & np.isfinite(values), values, inf)

    def __call__(self, x):
        """The value and its gradient at one x."""
        try:
            W = np.linalg.inv(self.M(x))
            sign, logdet = np.linalg.slogdet(W)
            WX = W @ self.X
            XWX = self.X.T @ WX
            P = W - WX @ np.linalg.solve(XWX, WX.T)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros(len(x))
        Py = P @ self.y
        q = self.y @ Py
        if not (sign > 0 and q > 0):
            return 1e10, np.zeros(len(x))
        value = -0.5 * logdet + 0.5 * self.df * (1 + np.log(q / self.df))
        if self.reml:
            value += 0.5 * np.linalg.slogdet(XWX)[1]
        D = (P if self.reml else W) - self.df / q * np.outer(Py, Py)    # d value = tr(D dM) / 2
        gradient = []
        for T, Z, triangle in zip(self.roots(x), self.Z, self.triangles):
            ZDZ = np.einsum("inl,nm,jml->ij", Z, D, Z, optimize=True)
            gradient.append((ZDZ @ T)[triangle])
        return value, np.concatenate(gradient)

    def log_sigma(self, x):
        """log sigma at x, where the likelihood is greatest."""
        M = self.M(x)
        WX = np.linalg.solve(M, self.X)
        r = self.y - self.X @ np.linalg.solve(self.X.T @ WX, WX.T @ self.y)
        return 0.5 * np.log(r @ np.linalg.solve(M, r) / self.df)

    def starts(self, rng, count):
        """Random x, (count, size): half of them with effects that are nearly of one line."""
        parts = []
        for Z, (rows, columns) in zip(self.Z, self.triangles):
            unit = np.sqrt(self.n / np.maximum(np.sum(Z**2, axis=(1, 2)), 1e-300))
            sds = np.exp(1.5 * rng.normal(size=(count, len(Z)))) * unit
            T = np.zeros((count, len(Z), len(Z)))
            T[:, range(len(Z)), range(len(Z))] = sds
            if len(Z) == 2:
                near_one = rng.choice([-0.97, 0.97], count)
                rho = np.where(rng.random(count) < 0.5, near_one, rng.uniform(-0.9, 0.9, count))
                T[:, 1, 0] = rho * sds[:, 1]
                T[:, 1, 1] = np.sqrt(1 - rho**2) * sds[:, 1]
            parts.append(T[:, rows, columns])
        sizes = np.exp(1.5 * rng.normal(size=(count, 1)))
        return np.concatenate(parts, axis=1) * sizes

    def least(self, rng, descents):
        """The least value found, and log sigma there."""
        starts = self.starts(rng, LOOKS)
        order = np.argsort(self.many(starts))
        half = descents // 2
        chosen = [*order[:half], *rng.choice(order[half:], descents - half, replace=False)]
        best = min(
            (minimize(self, starts[i], jac=True, method="L-BFGS-B", options={"maxiter": 200})
             for i in chosen),
            key=lambda one: one.fun,
        )
        return best.fun, self.log_sigma(best.x)

    def at(self, fit):
        """The value at a fit's own optimum."""
        x = [
            np.asarray(T)[triangle] / np.exp(fit.theta[0])
            for T, triangle in zip(roots_of(fit), self.triangles)
        ]
        return float(self.many(np.concatenate(x)[None])[0])


def roots_of(fit):
    """The T of each term of a fit."""
    covariance = fit.setup.covariance
    whole = covariance.root(fit.theta)
    return [whole[span, span] for span in covariance.spans]


# -- counted ---------------------------------------------------------------------------------------


@dataclass
class Counts:
    """What became of the designs of one kind; what is named is seeds."""

    refused: int = 0                    # no model that can be fitted
    uncertified: int = 0
    certified: int = 0
    worse: list = field(default_factory=list)
    boundless: list = field(default_factory=list)   # where the likelihood has no bound elsewhere
    vague: list = field(default_factory=list)       # certified with a larger error than it may have
    differing: list = field(default_factory=list)   # by n x n algebra nll is another number
    digits: float = inf                 # of nll at the optimum, the fewest
    proved: int = 0
    open: int = 0                       # for a reason other than time
    unended: int = 0                    # out of time
    refuted: list = field(default_factory=list)


def counted(kind, seeds, proving=True):
    """The `Counts` of the designs of these seeds."""
    found = Counts()
    for seed in seeds:
        formula, dat, reml, rng = design(kind, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", UserWarning)
            try:
                fit = lmer(formula, dat, reml=reml)
            except LMMError:
                found.refused += 1
                continue
        if not fit.converged:
            found.uncertified += 1
            continue
        found.certified += 1
        _judge(found, seed, fit, rng, DESCENTS[kind])
        if proving and provable(formula):
            _prove(found, seed, fit)
    return found


def provable(formula):
    """Whether the proof knows this kind of model: variances alone, or one correlated slope."""
    return formula not in ("y ~ 1 + (0 + x + z | a)", "y ~ x + (x | a) + (1 | b)")


def _judge(found, seed, fit, rng, descents):
    """Whether a certified fit is the best, and its nll that of n x n algebra."""
    size = max(1.0, abs(fit.nll))
    search = Search(fit)
    with few_threads(), np.errstate(all="ignore"):
        best, at_log_sigma = search.least(rng, descents)
        own = search.at(fit)
    if not abs(own - fit.nll) <= SAME_CRITERION * size:
        found.differing.append(seed)
    found.digits = min(found.digits, digits_of(own, fit.nll))
    most = 2 * NLL_ERROR * size                     # of curvature and of rounding as much each
    if not fit.optimum.nll_error <= most:
        found.vague.append(seed)
    if best < fit.nll - min(fit.optimum.nll_error, most) - WORSE * size:
        has_bound = at_log_sigma > fit.theta[0] - BOUNDLESS
        (found.worse if has_bound else found.boundless).append(seed)


def _prove(found, seed, fit):
    """Whether its optimum is proved to be global."""
    proof = fit.prove(seconds=PATIENCE_OF_PROOF)
    if proof.refuted:
        found.refuted.append(seed)
    elif proof.proved:
        found.proved += 1
    elif proof.seconds < PATIENCE_OF_PROOF:
        found.open += 1
    else:
        found.unended += 1


# -- rows ------------------------------------------------------------------------------------------


def rows(quick):
    """Four rows for each kind of design."""
    each = EACH_IF_QUICK if quick else EACH
    for kind in FORMULAS:
        yield from rows_of(kind, range(each))


def rows_of(kind, seeds):
    """The rows of the designs of these seeds."""
    kept = []

    def counts():
        if not kept:
            kept.append(counted(kind, seeds))
        return kept[0]

    def best():
        found = counts()
        detail = f"{found.certified:,} certified, {len(found.worse)} off"
        if found.boundless:
            detail += f", {len(found.boundless)} whose likelihood has no bound elsewhere"
        if found.vague:
            detail += f", {len(found.vague)} certified in spite of a large error"
        wrong = found.worse + found.vague
        return found.certified and not wrong, detail + named(wrong)

    def same():
        found = counts()
        detail = f"{found.certified:,} numbers, {found.digits:g} digits and more"
        return found.certified and not found.differing, detail + named(found.differing)

    def often():
        found = counts()
        total = found.certified + found.uncertified
        detail = f"{found.certified:,} of {total:,} fits; {found.refused} designs refused"
        return total and found.certified >= SHARE_CERTIFIED * total, detail

    def proved():
        found = counts()
        ended = found.proved + found.open + len(found.refuted)
        measured = f"{found.proved:,} proved, {found.open} open, {found.unended} out of time"
        enough = found.proved and not found.refuted and found.proved >= SHARE_PROVED * ended
        return enough, f"{ended + found.unended:,} fits" + named(found.refuted), measured

    of_kind = f"{len(seeds):,} designs, {kind}"
    yield row_of_truth(
        SMALL_DESIGNS, f"no certified fit is worse than it says: {kind}", of_kind, BY_SEARCH, best
    )
    yield row_of_truth(
        SMALL_DESIGNS, f"the criterion at the optimum: {kind}", of_kind, "n x n algebra", same
    )
    yield row_of_truth(
        SMALL_DESIGNS,
        f"95 percent of fits are certified: {kind}",
        of_kind,
        "the certificate of each",
        often,
    )
    yield row_of_truth(
        SMALL_DESIGNS,
        f"95 percent are proved global, none is refuted: {kind}",
        f"branch and bound over all variances, {PATIENCE_OF_PROOF} seconds at most",
        "concavity of log|V|, lmm/guide/proof.md",
        proved,
    )


def named(seeds):
    """Seeds, as the end of a sentence."""
    return f": seeds {', '.join(map(str, seeds[:10]))}" if seeds else ""
