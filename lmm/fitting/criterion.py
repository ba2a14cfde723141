"""The criterion as one object: its value, its derivatives, and a record of what was evaluated.

With d = Z'W (y - X beta), M = Z'WZ and M_P = Z'PZ, P = W - WX (X'WX)^-1 X'W, the derivatives in the
entries psi_a, which V is linear in, are

    (6)  1/2 tr(W V_a) - 1/2 y'P V_a P y
    (7)  -1/2 tr(W V_a W V_b) + y'P V_a P V_b P y

[REML: P for W in the first term of both], with no second derivative of V. What belongs to sigma
follows because W V = I: summed over all parameters, psi_a tr(W V_a) gives n [REML: n - k], and so
on. The chain rule of model/covariance.py makes them those in theta. At a standard deviation of zero
theta is flat; there (6) itself decides, see newton.py.
"""

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np

from ..engines import back_substitute, log_diagonal, triangles_or_nan

SEARCH, NEWTON, ELSEWHERE = "simplex", "newton", "elsewhere"        # the phases of a fit
NEWTON_DONE = 1e-7          # the change of theta, log units, after which Newton's iteration ends
# the same with average information, where the error falls linearly, tenfold or so
AVERAGED_DONE = 2e-6
LARGE_DONE = 2e-5           # the same where exact second derivatives are what takes most time
PATIENCE = 3.0              # seconds after which a terminal is told how far a fit is


@dataclass(frozen=True)
class Plan:
    """How a fit was asked for; the result keeps it, so that `update` and `refit` do it again.

    Attributes
    ----------
    engine : {None, "dense", "blocked"}
        The engine that was asked for.
    start : sequence of float, or None
        The theta to start from.
    elsewhere : bool
        Whether other optima are looked for.
    done : float
        The change of theta after which Newton's iteration ends: the error is of the order of its
        square.
    quiet : bool
        Whether a fit without a certificate goes without a warning.
    verbose : bool
        Whether every evaluation is printed.
    """

    engine: str = None
    start: tuple = None
    elsewhere: bool = True
    done: float = NEWTON_DONE
    quiet: bool = False
    verbose: bool = False


class Derivatives(NamedTuple):
    """Of nll, at a theta whose zero standard deviations are -inf.

    q entries of psi, D directions.
    """

    gradient: np.ndarray        # (size,) in theta, 0 where a standard deviation is 0
    hessian: np.ndarray         # (size, size) in theta, likewise
    phi_gradient: np.ndarray    # (q,) first and ...
    phi_hessian: np.ndarray     # (q, q) ... second derivatives in the entries of psi
    phi_scale: np.ndarray       # (q,) the size of the two numbers whose difference the first are
    df_used: np.ndarray  # (1 + D,) how many degrees of freedom sigma and each direction make use of
    step_gradient: np.ndarray   # (size,) gradient and ...
    step_hessian: np.ndarray    # (size, size) ... Hessian in the coordinates for steps
    averaged: bool              # whether average information takes the place of the Hessians


class Criterion:
    """nll of one model as a function of theta.

    Parameters
    ----------
    profiled : callable
        `LMMprof`.
    setup : Setup
        What it takes beside theta.
    plan : Plan, optional

    Attributes
    ----------
    rows : list of (str, float, tuple)
        Phase, nll and theta of every evaluation.
    seconds : dict
        By phase.
    """

    def __init__(self, profiled, setup, plan=Plan()):
        self.profiled = profiled
        self.setup = setup
        self.plan = plan
        self.rows = []
        self.seconds = {}
        self._phase = ""
        self._started = perf_counter()
        self._is_shown = False

    def of(self, setup):
        """The criterion of another set-up of the same kind, with a record of its own."""
        return Criterion(self.profiled, setup, self.plan)

    @contextmanager
    def phase(self, name):
        """Evaluations within belong to this phase."""
        self._phase = name
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - start
            if self._is_shown:
                print(file=sys.stderr)
                self._is_shown = False

    def __call__(self, theta):
        """`LMMprof` at theta, recorded."""
        value = self.profiled(theta, self.setup)
        self.rows.append((self._phase, float(value), tuple(theta)))
        if self.plan.verbose:
            self._print(value, theta)
        elif perf_counter() - self._started > PATIENCE and sys.stderr.isatty():
            self._show(value)
        return value

    def many(self, thetas):
        """nll at several thetas in one batch, (B,), and these thetas, (B, size).

        Of effects without correlations, where the engine is cheap. sigma and all sds are rescaled
        so that nll is least. With sigma^2 = quadratic / df, the form in (4) over what it counts,

            nll = 1/2 log|V| + df / 2 (1 + log sigma^2),    V and U'WU for the thetas as given;

        REML's as there. inf where a triangle fails; no beta, no derivatives.
        """
        setup = self.setup
        k = len(setup.beta_0)
        logdets, crosses = setup.engine.many(np.exp(2 * thetas))
        G = triangles_or_nan(crosses)
        pivots = np.log(np.einsum("bii->bi", G))
        shift = pivots[:, k] - 0.5 * np.log(setup.df)
        values = 0.5 * logdets + setup.df * (0.5 + shift) - setup.log_weights
        if setup.reml:
            values += pivots[:, :k].sum(axis=1) + log_diagonal(setup.R_X, np.eye(k))
        values[np.isnan(values)] = np.inf
        thetas = thetas + shift[:, None]
        for value, theta in zip(values.tolist(), thetas.tolist()):
            self.rows.append((self._phase, value, tuple(theta)))
            if self.plan.verbose:
                self._print(value, theta)
        return values, thetas

    def _print(self, value, theta):
        """One evaluation, a line."""
        elements = " ".join(f"{t:9.5f}" for t in theta)
        print(f"{len(self.rows) - 1:4d} {self._phase:8s}{value:16.8f}: {elements}")

    def _show(self, value):
        """How far a long fit is, on the terminal's last line."""
        waited = perf_counter() - self._started
        how_far = f"evaluation {len(self.rows)}, {self._phase}, nll {value:.4f}, {waited:.0f} s"
        text = f"\rlmm: {how_far} "
        print(text, end="", file=sys.stderr)
        self._is_shown = True

    def evaluations(self):
        """How many evaluations each phase took."""
        phases = [phase for phase, _, _ in self.rows]
        return {phase: phases.count(phase) for phase in dict.fromkeys(phases)}

    def spent(self):
        """Evaluations and seconds by phase, as an `Optimum` keeps them."""
        return {"evaluations": self.evaluations(), "seconds": dict(self.seconds)}

    @property
    def done(self):
        """Where Newton's iteration ends."""
        engine = self.setup.engine
        if not engine.exact:
            return max(self.plan.done, AVERAGED_DONE)
        return max(self.plan.done, LARGE_DONE) if engine.averages else self.plan.done

    def derivatives(self, theta, value=None, averaged=False):
        """The `Derivatives` at theta, an array, where the criterion has this value, if it is known.

        With average information in place of second derivatives, if that will do: `averaged`.

        Raises an ArithmeticError where theta is so extreme that nll is infinite, or they are.
        """
        value = self.profiled(theta, self.setup) if value is None else value
        known = value.derivatives
        if not self.setup.engine.cheap and value.rounding is None and value.state is not None:
            value.rounding = self.setup.engine.rounding(value.phi, value.state)
        if known is None or (known.averaged and not averaged and self.setup.engine.exact):
            with np.errstate(over="ignore", invalid="ignore"):          # looked for at the end
                value.derivatives = derivatives_of(value, theta, self.setup, averaged)
            value.state = None                                  # it may be large
        return value.derivatives


def derivatives_of(value, theta, setup, averaged=False):
    """The `Derivatives` where the criterion has this value.

    A small multiple of an evaluation's cost.
    """
    G = value.triangle
    if G is None:
        raise ArithmeticError(f"the likelihood cannot be evaluated at theta {list(theta)}")
    k = len(setup.beta_0)
    quadratic = G[k, k] ** 2                                    # (y - X beta)' W (y - X beta)

    def pulled(N):
        """Z'W (y - X beta) and F with Z'PZ = Z'WZ - F'F, from N = Z'WU."""
        F = back_substitute(G, N.T, trans=1)  # its last row is Z'W (y - X beta) / g_yy
        return G[k, k] * F[k], F[:k]

    phi = np.array(value.phi)
    if len(phi) == 1:                                           # no random effects
        nothing = np.zeros(0)
        found = nothing, nothing, np.zeros((0, 0)), False
    else:
        found = setup.engine.information(value.phi, value.state, pulled, setup.reml, averaged)
    D = in_theta(theta, phi[1:], *found, setup.df, quadratic, setup.design.covariance)
    if not np.isfinite(D.hessian).all():
        raise ArithmeticError(f"the derivatives cannot be evaluated at theta {list(theta)}")
    return D


def in_theta(theta, psi, traces, quadratics, hessian_psi, averaged, df, quadratic, covariance):
    """The `Derivatives`, from those in the entries of psi, psi (q,), which are all but sigma's.

    (6) is (traces - quadratics) / 2 and (7) is `hessian_psi`, or if `averaged` (8). V is
    homogeneous in phi, so what belongs to sigma follows from sums over all parameters, sigma^2
    among them:

        sum phi_a tr(W V_a) = df,               sum phi_a y'P V_a P y = quadratic,
        sum phi_a tr(W V_a W V_b) = tr(W V_b),  sum phi_a y'P V_a P V_b P y = y'P V_b P y.
    """
    gradient_psi = 0.5 * (traces - quadratics)

    # -- sums over all of phi: of row b of the Hessian, and of these sums
    in_traces, in_df = (quadratics, quadratic) if averaged else (traces, df)
    sum_b = quadratics - 0.5 * in_traces
    sum_all = quadratic - 0.5 * in_df

    # -- times sigma^2: the gradient in sigma^2, its mixed derivatives, and the second
    g_sigma = 0.5 * (df - quadratic) - psi @ gradient_psi
    mixed = sum_b - hessian_psi @ psi
    h_sigma = sum_all - psi @ sum_b - psi @ mixed

    # -- in theta: sigma^2 = exp(2 theta_0), psi by the covariance's chain rule
    size = len(theta)
    gradient = np.empty(size)
    hessian = np.empty((size, size))
    gradient[0] = 2 * g_sigma
    hessian[0, 0] = 4 * (h_sigma + g_sigma)
    if covariance.elementwise:  # psi = exp(2 theta): all is elementwise
        J = 2 * psi
        gradient[1:] = J * gradient_psi
        hessian[0, 1:] = hessian[1:, 0] = 2 * J * mixed
        hessian[1:, 1:] = J[:, None] * hessian_psi * J
        hessian.flat[size + 1 :: size + 1] += 2 * gradient[1:]
        used = psi * traces
        in_steps = gradient, hessian
    else:
        J = covariance.jacobian(theta)
        gradient[1:] = J.T @ gradient_psi
        hessian[0, 1:] = hessian[1:, 0] = 2 * mixed @ J
        hessian[1:, 1:] = J.T @ hessian_psi @ J + covariance.bend(theta, gradient_psi)
        used = covariance.df_used(theta, traces)
        in_steps = gradient, hessian
        gradient, hessian = covariance.in_theta(theta, gradient, hessian)
    used = np.concatenate(([df - np.add.reduce(psi * traces)], used))
    scale = 0.5 * (np.abs(traces) + np.abs(quadratics))
    return Derivatives(
        gradient, hessian, gradient_psi, hessian_psi, scale, used, *in_steps, averaged
    )
