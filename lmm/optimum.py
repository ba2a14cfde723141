"""The exact optimum: derivatives of the criterion, and a certificate.

V is linear in the variances, V = sigma^2 I + sum_j s_j^2 Z_j Z_j', so with d = Z' W (y - X beta), M = Z' W Z and
M_P = Z' P Z, P = W - W X (X'WX)^-1 X' W, the derivatives in the variances v_j = s_j^2 are

    (6)  1/2 tr(M_jj) - 1/2 d_j' d_j                                 [REML: M_P for M]
    (7)  -1/2 |M_ij|^2 + d_i' (M_P)_ij d_j                           [REML: M_P for M in the first term]

with no second derivative of V; on the log scale of theta they are multiplied by 2 v_j, and by 4 v_i v_j with twice
the gradient added to the diagonal. What belongs to sigma follows because W V = I: summed over all variances,
v_i tr(W V_i) gives n [REML: n - k], and v_i tr(W V_i W V_j) gives tr(W V_j), likewise for the quadratic forms.
At s_j = 0 the log scale is flat; there (6) itself decides (the Karush-Kuhn-Tucker condition).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .errors import shorten
from .likelihood import LMMprof, back_substitute, checked

NLL_ERROR = 1e-9            # what the certificate asks for: error of nll, relative to max(1, |nll|) ...
THETA_ERROR = 1e-6          # ... error of theta, log units ...
CURVATURE = 1e-9            # ... and the smallest eigenvalue of the Hessian, scaled to a diagonal of 1
SMALL = 1e-2                # degrees of freedom in use below which a variance may be at the boundary


class Derivatives(NamedTuple):
    """Of nll, at a theta whose zero standard deviations are -inf."""

    gradient: np.ndarray    # (1 + J,) in theta, 0 where a standard deviation is 0
    hessian: np.ndarray     # (1 + J, 1 + J) in theta, likewise
    slopes: np.ndarray      # (J,) first and ...
    curvatures: np.ndarray  # (J,) ... second derivatives in the variances s_j^2
    extent: np.ndarray      # (1 + J,) v_i tr(W V_i): how many degrees of freedom sigma and each block make use of


def derivatives(theta, setup, value=None):
    """The gradient (6) and Hessian (7) of `LMMprof` in theta, and its derivatives in the variances.

    Parameters
    ----------
    theta : array_like, shape (1 + J,)
        As for `LMMprof`.
    setup : Setup
    value : Profile, optional
        ``LMMprof(theta, setup)``, if it is known.

    Returns
    -------
    Derivatives
        Gradient and Hessian in theta, and derivatives in the variances.

    Raises
    ------
    ArithmeticError
        Where theta is so extreme that `LMMprof` is infinite.

    Notes
    -----
    O(p^3), a small multiple of an evaluation, independent of n.
    """
    theta = checked(theta, setup)
    value = LMMprof(theta, setup) if value is None else value
    if value.derivatives is not None:
        return value.derivatives
    G = value.factor
    if G is None:
        raise ArithmeticError(f"the likelihood cannot be evaluated at theta {theta}")
    k, J = len(setup.beta_0), len(theta) - 1
    quadratic = G[k, k] ** 2                                    # (y - X beta)' W (y - X beta)
    v = np.exp(2 * np.array(theta[1:]))
    t, q, T, K = np.zeros(J), np.zeros(J), np.zeros((J, J)), np.zeros((J, J))
    if J:
        M, N = setup.engine.products(theta)                     # Z'WZ, Z'W[Q_X e]
        F = back_substitute(G, N.T, trans=1)                    # its last row is Z'W (y - X beta) / g_yy
        d, F = G[k, k] * F[k], F[:k]
        M_P = M - F.T @ F                                       # Z'PZ
        traced = M_P if setup.reml else M
        E = setup.engine.members                                # sums over the columns of each block
        t, q = E.T @ traced.diagonal(), E.T @ (d * d)           # tr(W V_j), y'P V_j P y
        T = E.T @ (traced * traced) @ E                         # tr(W V_i W V_j)
        K = E.T @ (d[:, None] * M_P * d) @ E                    # y'P V_i P V_j P y
    extent, forms = _with_sigma(v * t, setup.df), _with_sigma(v * q, quadratic)
    gradient = extent - forms                                   # (6), times 2 v_i
    vv = v[:, None] * v                                         # (7), times 4 v_i v_j, and 2 g_i
    hessian = _with_sigma_twice(vv * (4 * K - 2 * T), 4 * forms - 2 * extent)
    hessian.flat[:: J + 2] += 2 * gradient
    value.derivatives = Derivatives(gradient, hessian, 0.5 * (t - q), K.diagonal() - 0.5 * T.diagonal(), extent)
    return value.derivatives


def _with_sigma(values, total):
    """Sigma's part in front: the parts of all variances sum to the total."""
    return np.concatenate(([total - np.add.reduce(values)], values))


def _with_sigma_twice(S, total):
    """The same for a symmetric matrix whose rows sum to `total`."""
    full = np.empty((len(total), len(total)))
    full[1:, 1:] = S
    full[0, 1:] = full[1:, 0] = total[1:] - np.add.reduce(S, axis=1)
    full[0, 0] = total[0] - np.add.reduce(full[0, 1:])
    return full


@dataclass(frozen=True, eq=False)
class Optimum:
    """How good an optimum is: what `certify` found at a theta.

    Attributes
    ----------
    certified : bool
        Whether this is a local minimum of the criterion to within the errors given here.
    reasons : tuple of str
        Why not, if not.
    gradient : ndarray, shape (1 + J,)
        Of nll in theta; 0 for blocks at zero.
    gradient_norm : float
        The largest of its absolute values.
    hessian : ndarray, shape (1 + J, 1 + J)
        Of nll in theta; rows and columns of blocks at zero are 0.
    smallest_eigenvalue : float
        Of the Hessian, blocks at zero left out.
    nll_error : float
        The Newton decrement: how far nll is above the minimum, to second order.
    theta_error : ndarray, shape (1 + J,)
        The size of the next Newton step, log units; 0 for blocks at zero.
    multipliers : dict
        By the names of the blocks at zero: the derivative of nll in the variance over sigma^2, not negative
        at an optimum.
    evaluations, seconds : dict
        By phase of the fit.
    """

    certified: bool
    reasons: tuple
    gradient: np.ndarray
    gradient_norm: float
    hessian: np.ndarray
    smallest_eigenvalue: float
    nll_error: float
    theta_error: np.ndarray
    multipliers: dict
    evaluations: dict
    seconds: dict

    def __repr__(self):
        phases = ", ".join(f"{count} {phase}" for phase, count in self.evaluations.items())
        verdict = "certified" if self.certified else f"not certified: {'; '.join(self.reasons)}"
        return (f"Optimum({verdict}; gradient {self.gradient_norm:.1e}, smallest eigenvalue of the Hessian "
                f"{self.smallest_eigenvalue:.3g}, error of nll {self.nll_error:.1e}, "
                f"of theta {self.theta_error.max(initial=0):.1e}; evaluations: {phases or 'none'})")


def certify(theta, setup, evaluations=(), seconds=(), value=None):
    """Judge whether theta is a local minimum of the criterion.

    Parameters
    ----------
    theta : array_like, shape (1 + J,)
        As for `LMMprof`; -inf where a standard deviation is zero.
    setup : Setup
    evaluations, seconds : dict, optional
        By phase of the fit, to be kept in the result.
    value : Profile, optional
        ``LMMprof(theta, setup)``, if it is known.

    Returns
    -------
    Optimum
        ``certified`` if the gradient is small enough for an error of nll below 1e-9 (relative to |nll|) and of theta
        below 1e-6, the Hessian is positive definite, and no block at zero would lower nll by leaving it.
    """
    theta = np.asarray(theta, float)
    value = LMMprof(theta, setup) if value is None else value
    D = derivatives(theta, setup, value)
    free = np.isfinite(theta)
    H = D.hessian[free][:, free]
    scale = np.sqrt(np.abs(H.diagonal()))           # of a small sd the curvature is small on the log scale: no flat direction
    scale[scale == 0] = 1.0
    eigenvalues, vectors = np.linalg.eigh(H / scale / scale[:, None])
    gradient = vectors.T @ (D.gradient[free] / scale)
    definite = bool(eigenvalues[0] > CURVATURE)
    step, decrement = np.zeros(len(theta)), np.inf
    step[free] = np.inf
    if definite:
        step[free] = np.abs(vectors @ (gradient / eigenvalues)) / scale
        decrement = float(0.5 * gradient @ (gradient / eigenvalues))
    multipliers = {block.name: float(slope * np.exp(2 * theta[0]))
                   for block, slope, is_free in zip(setup.design.blocks, D.slopes, free[1:]) if not is_free}
    reasons = []
    if D.extent[0] < SMALL:
        reasons.append("the residual sd goes to 0, for the random effects can reproduce the response; "
                       "no sd here is to be trusted")
    elif not definite:
        direction = np.abs(vectors[:, 0]) > 0.3
        labels = [label for label, is_free in zip(setup.labels, free) if is_free]
        flat = [label for label, chosen in zip(labels, direction) if chosen]
        reasons.append(f"the criterion is flat, or falls, along the log sds of {shorten(flat)}")
    elif decrement > NLL_ERROR * max(1.0, abs(value)) or step.max() > THETA_ERROR:
        reasons.append(f"the gradient is {np.abs(D.gradient).max():.2g}, so log sds are off by {step.max():.2g}")
    for name, multiplier in multipliers.items():
        if not multiplier >= 0:
            reasons.append(f"the likelihood grows when {name!r} leaves zero")
    return Optimum(not reasons, tuple(reasons), D.gradient, float(np.abs(D.gradient).max()), D.hessian,
                   float(np.linalg.eigvalsh(H)[0]), decrement, step, multipliers, dict(evaluations), dict(seconds))
