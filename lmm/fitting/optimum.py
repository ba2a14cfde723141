"""The exact optimum: derivatives of the criterion, and a certificate.

V is linear in the variances, V = sigma^2 I + sum_j s_j^2 Z_j Z_j', so with d = Z' W (y - X beta), M = Z' W Z and
M_P = Z' P Z, P = W - W X (X'WX)^-1 X' W, the derivatives in the variances v_j = s_j^2 are

    (6)  1/2 tr(M_jj) - 1/2 d_j' d_j                                 [REML: M_P for M]
    (7)  -1/2 |M_ij|^2 + d_i' (M_P)_ij d_j                           [REML: M_P for M in the first term]

with no second derivative of V; on the log scale of theta they are multiplied by 2 v_j, and by 4 v_i v_j with twice
the gradient added to the diagonal. What belongs to sigma follows because W V = I: summed over all variances,
v_i tr(W V_i) gives n [REML: n - k], and v_i tr(W V_i W V_j) gives tr(W V_j), likewise for the quadratic forms.
At s_j = 0 the log scale is flat; there (6) itself decides (the Karush-Kuhn-Tucker condition).

A covariance psi_ij of two effects of one term is one more such parameter, with Z_i Z_j' + Z_j Z_i' for Z_j Z_j' over the levels
that the two share. At a singular psi the condition is that the matrix of the derivatives (6) of its term, G with
G_ij = G_ji half of that in psi_ij, is positive semidefinite: psi + w v v' grows from psi with the slope v'G v in w.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..engines import back_substitute
from ..errors import shorten
from ..practical import LMMprof, checked

NLL_ERROR = 1e-9            # what the certificate asks for: error of nll, relative to max(1, |nll|) ...
THETA_ERROR = 1e-6          # ... error of theta, log units ...
CURVATURE = 1e-9            # ... and the smallest eigenvalue of the Hessian, scaled to a diagonal of 1
ROUNDING = 1e-6             # of the slopes of nll as a singular covariance grows, relative to the largest
SMALL = 1e-2                # degrees of freedom in use below which a variance may be at the boundary


class Derivatives(NamedTuple):
    """Of nll, at a theta whose zero standard deviations are -inf. With q entries of psi, in J blocks:"""

    gradient: np.ndarray    # (1 + q,) in theta, 0 where a standard deviation is 0
    hessian: np.ndarray     # (1 + q, 1 + q) in theta, likewise
    slopes: np.ndarray      # (q,) first and ...
    curvatures: np.ndarray  # (q, q) ... second derivatives in the entries of psi
    extent: np.ndarray      # (1 + J,) v_j tr(W V_j): how many degrees of freedom sigma and each column of T make use of
    descent: np.ndarray     # (1 + q,) gradient and ...
    bowl: np.ndarray        # (1 + q, 1 + q) ... Hessian in `Covariance.coordinates`


def derivatives(theta, setup, value=None):
    """The gradient (6) and Hessian (7) of `LMMprof` in theta, and its derivatives in the variances.

    Parameters
    ----------
    theta : array_like, shape (1 + q,)
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
    A small multiple of an evaluation, independent of n.
    """
    theta = checked(theta, setup)
    value = LMMprof(theta, setup) if value is None else value
    if value.derivatives is not None:
        return value.derivatives
    G = value.triangle
    if G is None:
        raise ArithmeticError(f"the likelihood cannot be evaluated at theta {theta}")
    k, q = len(setup.beta_0), len(theta) - 1
    quadratic = G[k, k] ** 2                                    # (y - X beta)' W (y - X beta)
    phi = value.phi
    information = np.zeros(q), np.zeros(q), np.zeros((q, q)), False

    def pulled(N):
        F = back_substitute(G, N.T, trans=1)                    # its last row is Z'W (y - X beta) / g_yy
        return G[k, k] * F[k], F[:k]

    if q:
        information = setup.engine.information(phi, value.state, pulled, setup.reml)
    value.derivatives = in_theta(np.array(theta), np.array(phi[1:]), *information, setup.df, quadratic, setup.covariance)
    value.state = None                                          # it may be large
    return value.derivatives


def in_theta(theta, phi, t, y_t, H, averaged, df, quadratic, covariance):
    """The `Derivatives`, from those in phi: (6) is (t - y_t) / 2 and (7) is H, or if `averaged` (8). These are without sigma^2.

    Its part follows, for W V = I: phi_a tr(W V_a) summed over all a, sigma^2 among them, is `df`, and so on; the average
    information has y'P V_a P V_b P y for tr(W V_a W V_b).
    """
    g = 0.5 * (t - y_t)
    h, whole = y_t - 0.5 * (y_t if averaged else t), quadratic - 0.5 * (quadratic if averaged else df)      # H times all of phi
    g_sigma = 0.5 * (df - quadratic) - phi @ g                  # the derivatives in sigma^2, times sigma^2
    b = h - H @ phi
    h_sigma = whole - phi @ h - phi @ b
    gradient, hessian = np.empty(len(theta)), np.empty((len(theta),) * 2)
    gradient[0], hessian[0, 0] = 2 * g_sigma, 4 * (h_sigma + g_sigma)
    if covariance.scalar:
        J = 2 * phi                                             # d phi / d theta, phi = exp(2 theta)
        gradient[1:] = J * g
        hessian[0, 1:] = hessian[1:, 0] = 2 * J * b
        hessian[1:, 1:] = J[:, None] * H * J
        hessian.flat[len(theta) + 1 :: len(theta) + 1] += 2 * gradient[1:]
        extent = phi * t
        extent = np.concatenate(([df - np.add.reduce(extent)], extent))
        return Derivatives(gradient, hessian, g, H, extent, gradient, hessian)
    free, T = covariance.free(theta), covariance.root(theta)
    J = covariance.jacobian(T) * free[1:]
    gradient[1:] = J.T @ g
    hessian[0, 1:] = hessian[1:, 0] = 2 * b @ J
    hessian[1:, 1:] = J.T @ H @ J + (free[1:, None] * free[1:]) * covariance.bend(g)
    extent = covariance.forms_of_columns(T, t)
    extent = np.concatenate(([df - np.add.reduce(extent)], extent))
    in_theta, in_coordinates = covariance.from_T(theta, gradient, hessian)
    return Derivatives(*in_theta, g, H, extent, *in_coordinates)


def units(setup):
    """(J,): log standard deviations that contribute 1 to the variance of an average level's whole, per unit of sigma."""
    return -0.5 * np.log(setup.engine.mean_squares)


def growth(theta, setup, slopes, held=()):
    """For each term whose psi is singular: its blocks, the direction v, (c,), in which psi + w v v' is best to grow, and nll's
    derivative in w. Directions of effects that are held, elements of theta, are left out.

    Those in the range of psi are left out too, where T says all about them, its zero columns being the last: there the gradient
    is 0.
    """
    covariance = setup.covariance
    for b, elements in covariance.terms:
        diagonal = covariance.diagonal[b]
        zero = theta[diagonal] == -np.inf
        chosen = ~np.isin(diagonal, held)
        if not (zero & chosen).any() or covariance.holds_correlation(elements, held):
            continue
        if len(zero) == 1:
            v, slope = np.exp(theta[:1]), slopes[diagonal[0] - 1] * np.exp(2 * theta[0])
        else:
            unit = np.exp(theta[0] + units(setup)[b]) * chosen
            G = covariance.symmetric(slopes)[b, b] * unit * unit[:, None]
            basis, rank = np.eye(len(zero))[:, chosen], np.sum(~zero)
            if not zero[:rank].any() and chosen.all():
                basis = np.linalg.qr(covariance.root(theta)[b, b][:, :rank] / unit[:, None], mode="complete")[0][:, rank:]
            eigenvalues, vectors = np.linalg.eigh(basis.T @ G @ basis)
            v, slope = unit * (basis @ vectors[:, 0]), eigenvalues[0]
            if len(basis.T) > len(zero) - rank and slope > -ROUNDING * np.abs(eigenvalues).max():
                slope = 0.0
        yield b, v, slope


@dataclass(frozen=True, eq=False)
class Optimum:
    """How good an optimum is: what `certify` found at a theta.

    Attributes
    ----------
    certified : bool
        Whether this is a local minimum of the criterion to within the errors given here.
    reasons : tuple of str
        Why not, if not.
    gradient : ndarray, shape of theta
        Of nll in theta; 0 for blocks at zero.
    gradient_norm : float
        The largest of its absolute values.
    hessian : ndarray, two axes like theta
        Of nll in theta; rows and columns of blocks at zero are 0. Where several terms are eliminated, or more than 300
        columns are left to factor, average information takes its place.
    smallest_eigenvalue : float
        Of the Hessian, blocks at zero left out.
    nll_error : float
        The Newton decrement: how far nll is above the minimum, to second order.
    theta_error : ndarray, shape of theta
        The size of the next Newton step, log units, or for the T of several effects relative to their standard deviations;
        0 for blocks at zero.
    multipliers : dict
        By the names of the terms with a variance of zero, or a singular covariance: the derivative of nll in the variance over
        sigma^2, or the smallest as the covariance becomes regular; not negative at an optimum.
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
    theta : array_like, shape (1 + q,)
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
    free = setup.covariance.free(theta)
    H = D.bowl[free][:, free]
    scale = np.sqrt(np.abs(H.diagonal()))           # of a small sd the curvature is small on the log scale: no flat direction
    scale[scale == 0] = 1.0
    eigenvalues, vectors = np.linalg.eigh(H / scale / scale[:, None])
    gradient = vectors.T @ (D.descent[free] / scale)
    definite = bool(eigenvalues[0] > CURVATURE)
    step, decrement = np.zeros(len(theta)), np.inf
    step[free] = np.inf
    if definite:
        lengths = setup.covariance.lengths(theta, np.exp(theta[0] + units(setup)))
        step[free] = np.abs(vectors @ (gradient / eigenvalues)) / scale / lengths[free]
        decrement = float(0.5 * gradient @ (gradient / eigenvalues))
    names = dict(zip((b.start for b, _ in setup.covariance.terms), setup.design.term_names))
    multipliers = {names[b.start]: float(slope) for b, _, slope in growth(theta, setup, D.slopes)}
    reasons = []
    if D.extent[0] < SMALL:
        reasons.append("the residual sd goes to 0, for the random effects can reproduce the response; "
                       "no sd here is to be trusted")
    elif not definite:
        direction = np.abs(vectors[:, 0]) > 0.3
        labels = [label for label, is_free in zip(setup.log_labels, free) if is_free]
        flat = [label for label, chosen in zip(labels, direction) if chosen]
        reasons.append(f"the criterion is flat, or falls, along {shorten(flat)}")
    elif decrement > NLL_ERROR * max(1.0, abs(value)) or step.max() > THETA_ERROR:
        reasons.append(f"the gradient is {np.abs(D.gradient).max():.2g}, so theta is off by {step.max():.2g}")
    for name, multiplier in multipliers.items():
        if not multiplier >= 0:
            reasons.append(f"the likelihood grows when {name!r} leaves zero")
    return Optimum(not reasons, tuple(reasons), D.gradient, float(np.abs(D.gradient).max()), D.hessian,
                   float(np.linalg.eigvalsh(D.hessian[free][:, free])[0]), decrement, step, multipliers,
                   dict(evaluations), dict(seconds))
