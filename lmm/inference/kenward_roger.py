"""Kenward and Roger's covariance, degrees of freedom and F, without an n x n matrix.

V is linear in its parameters, so the second derivatives in their adjustment vanish. It is linear in
any basis of the same matrices, and what they compute is the same in each: here V itself takes the
place of I, beside the matrices G_1, ..., G_q of the (co)variances, so that no digits are lost where
sigma^2 is small. With X in coordinates where X'WX = I, P = W - W X X'W, and

    P_a = X'W G_a W X,    Q_ab = X'W G_a W G_b W X,    K_ab = tr(W G_a W G_b),

the expected information of REML is

    (a)  I_ab = 1/2 tr(P G_a P G_b) = 1/2 (K_ab - 2 tr Q_ab + tr P_a P_b),
         I_0b = 1/2 tr(P G_b),    I_00 = (n - k) / 2        for V in place of G_a: W V = I

and with A = I^-1, S_ab = Q_ab - P_a P_b (0 where a or b is V), the adjusted covariance is

    (b)  I + 2 sum_ab A_ab S_ab.

Source: Kenward and Roger (1997), "Small sample inference for fixed effects from restricted maximum
likelihood", Biometrics 53, 983-997.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..engines import back_substitute
from ..errors import LMMError, checked_flag, warn
from ..fit import by_reml
from ..result import cov_params as plain_cov_params

NO_SCALE = 0.01         # |df - 2|, within which F is not scaled
NOTHING = 1e-10         # of 1 + c1 B, a difference: below this it is 0
SINGULAR = 1e-10        # of an eigenvalue of the information, scaled to a diagonal of 1


@dataclass(frozen=True, eq=False)
class KenwardRoger:
    """What Kenward and Roger's tests of any L beta need.

    Attributes
    ----------
    fit : LMMResult
        By REML.
    cov : ndarray, shape (k, k)
        The adjusted covariance of beta.
    plain : ndarray, shape (k, k)
        (X'WX)^-1.
    slopes : ndarray, shape (1 + q, k, k)
        The derivatives of `plain` in the parameters, V's first.
    cov_parameters : ndarray, shape (1 + q, 1 + q)
        A, the inverse of their expected information.
    """

    fit: object = field(repr=False)
    cov: np.ndarray
    plain: np.ndarray = field(repr=False)
    slopes: np.ndarray = field(repr=False)
    cov_parameters: np.ndarray = field(repr=False)

    words = "Kenward and Roger's method"

    def df(self, L):
        """Degrees of freedom of the t of each row of L beta, (r,)."""
        c = np.einsum("ri,ij,rj->r", L, self.plain, L)
        dc = np.einsum("ri,aij,rj->ra", L, self.slopes, L)
        return 2 * c**2 / np.einsum("ra,ab,rb->r", dc, self.cov_parameters, dc)

    def f_test(self, L, difference):
        """F, its two degrees of freedom and its scale, for L beta - rhs; L of full row rank.

        Kenward and Roger's pages 986 to 988.
        """
        r = len(L)
        of_rows = L @ self.plain @ L.T
        u = np.linalg.solve(of_rows, L @ self.slopes @ L.T)     # (1 + q, r, r)
        traces = np.trace(u, axis1=1, axis2=2)
        A = self.cov_parameters

        # -- the mean and the variance of F, to second order
        A1 = traces @ A @ traces
        A2 = np.einsum("ab,aij,bji->", A, u, u)
        B = (A1 + 6 * A2) / (2 * r)
        g = ((r + 1) * A1 - (r + 4) * A2) / ((r + 2) * A2)
        d = 3 * r + 2 * (1 - g)
        c1, c2, c3 = g / d, (r - g) / d, (r + 2 - g) / d
        share = 1 + c1 * B
        share = 0.0 if abs(share) < NOTHING else share
        rho = ((1 - A2 / r) / (1 - c2 * B)) ** 2 * share / (1 - c3 * B) / r

        # -- those of an F distribution
        df = 4 + (r + 2) / (r * rho - 1)
        scale = 1.0 if abs(df - 2) < NO_SCALE else df * (1 - A2 / r) / (df - 2)
        wald = difference @ np.linalg.solve(L @ self.cov @ L.T, difference)
        return scale * wald / r, r, df, scale


def kenward_roger(fit):
    """The `KenwardRoger` of a fit, of its refit by REML if it was by maximum likelihood; kept.

    Raises
    ------
    LMMError
        If the engine has average information only, or the optimum is not certified.

    Notes
    -----
    The parameters of a singular fit are taken as free, those at zero too, as in pbkrtest;
    Satterthwaite's method here takes what is zero as known. O(p^3), and O(p^2 k q).
    """
    known = fit.__dict__.get("_kenward_roger")
    if known is None:
        known = fit.__dict__["_kenward_roger"] = _computed(by_reml(fit))
    return known


def _computed(fit):
    setup = fit.setup
    engine = setup.engine
    if not engine.exact:
        raise LMMError(
            "Kenward and Roger's method needs expected information, which this fit's engine, with "
            f"average information, does not have ({engine.describe()}); ask for df='satterthwaite'"
        )
    if not fit.converged:
        raise LMMError(
            "Kenward and Roger's method needs a certified optimum, which this fit is not; "
            "see fit.optimum, and try another start="
        )
    covariance = setup.covariance
    k = len(fit.beta)
    n = setup.design.n
    G_XX = fit.triangle[:k, :k]

    # -- P_a, Q_ab, K_ab of the entries of psi, in coordinates where X'WX = I
    q = covariance.entries.q
    if q:
        def pulled(N):
            return back_substitute(G_XX, N[:, :k].T, trans=1)

        phi = np.array(covariance.phi(fit.theta))
        traces, K, P, Q = engine.moments(phi, pulled)
    else:
        traces, K = np.zeros(0), np.zeros((0, 0))
        P, Q = np.zeros((0, k, k)), np.zeros((0, 0, k, k))
    squares = K - 2 * np.einsum("abii->ab", Q) + np.einsum("aij,bji->ab", P, P)
    traces = traces - np.einsum("aii->a", P)
    S = Q - np.einsum("aij,bjk->abik", P, P)

    # -- (a), for what is free in psi: of compound symmetry two combinations of its entries
    free = covariance.free_parts[1:, 1:]
    size = 1 + free.shape[1]
    information = np.empty((size, size))
    information[0, 0] = 0.5 * (n - k)
    information[0, 1:] = information[1:, 0] = 0.5 * free.T @ traces
    information[1:, 1:] = 0.5 * free.T @ squares @ free
    A = inverse_of(information)

    # -- (b), and in the coordinates of beta: X = Q_X R_X, and X'WX = root^-1 root'^-1
    of_entries = free @ A[1:, 1:] @ free.T
    added = 2 * np.einsum("ab,abij->ij", of_entries, S)
    added = 0.5 * (added + added.T)
    root = back_substitute(setup.R_X, back_substitute(G_XX, np.eye(k)))
    of_free = np.tensordot(free.T, P, 1)
    slopes = np.concatenate([np.eye(k)[None], of_free])
    return KenwardRoger(
        fit=fit,
        cov=root @ (np.eye(k) + added) @ root.T,
        plain=root @ root.T,
        slopes=root @ slopes @ root.T,
        cov_parameters=A,
    )


def inverse_of(information):
    """Its inverse; of one that is singular, its generalized inverse."""
    lengths = np.sqrt(information.diagonal())
    lengths = np.where(lengths > 0, lengths, 1.0)
    values, vectors = np.linalg.eigh(information / lengths / lengths[:, None])
    kept = values > SINGULAR
    halves = vectors[:, kept] / np.sqrt(values[kept]) / lengths[:, None]
    return halves @ halves.T


def cov_params(fit, adjusted=False):
    """The covariance of `beta`: (X' W X)^-1 at the estimated theta, or Kenward and Roger's.

    Parameters
    ----------
    adjusted : bool, optional
        Whether to add what comes from theta being an estimate (Kenward and Roger 1997); a fit by
        maximum likelihood is refitted by REML for that.

    Returns
    -------
    DataFrame
        Columns of X by columns of X.

    Raises
    ------
    LMMError
        If `adjusted`, and the engine has average information only, or no optimum is certified.

    Warns
    -----
    LMMWarning
        Where a fit by maximum likelihood was refitted.
    """
    if not checked_flag(adjusted, "adjusted"):
        return plain_cov_params(fit)
    found = kenward_roger(fit)
    if found.fit is not fit:
        warn("the fit was by maximum likelihood; this is the adjusted covariance of its refit by "
             "REML")
    names = list(fit.setup.design.x_names)
    return pd.DataFrame(found.cov, names, names)
