"""What is before and after Newton's iteration.

A start, a look for other optima, the certificate, the result.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..engines import set_up_again
from ..errors import ConvergenceWarning, LMMError, shorten, warn
from ..model import refused_theta
from ..result import LMMResult
from .criterion import ELSEWHERE, NEWTON, SEARCH
from .elsewhere import best_optimum
from .many import optimum_of_one
from .newton import BETTER, FEW, falls, growths, minimum, opened, rescaled, size_of

NLL_ERROR = 1e-9  # what the certificate asks for: error of nll, relative to max(1, |nll|) ...
THETA_ERROR = 1e-6          # ... error of theta, log units ...
CURVATURE = 1e-9  # ... and the smallest eigenvalue of the Hessian, scaled to a diagonal of 1
# of sigma relative to the rms of e, below which it is zero but for rounding, and ...
LEAST_SIGMA = 1e-12
FALLING = 0.25  # ... by how much nll must fall there as log sigma does by 1, to have no bound
FAR_FROM_BETA = 1e-3        # share of the residual in e'We, below which e is built anew around beta
LEAST_SHARE = 0.01          # of a variance at the start, relative to what is as large as sigma^2
LEAST_TOLD = 1e-10          # of the equations for it, singular values that count as none
TINY = 1e-300
MEND_SCALE = "give start= on the scale of the data"
DWARFS = 1e6  # variance of an average level's whole, relative to sigma^2, that costs digits


# -- the start -------------------------------------------------------------------------------------


def first_theta(criterion):
    """Where the search begins: the plan's start, or where the data say.

    The scale of all sds is made right where an evaluation is cheap; else derivatives do that.
    """
    setup = criterion.setup
    start = criterion.plan.start
    theta = by_moments(setup) if start is None else checked_start(start, setup)
    if not setup.engine.cheap:
        return theta
    with criterion.phase(SEARCH):
        value = criterion(theta)
        if value.triangle is None:
            raise LMMError(
                "the likelihood cannot be evaluated at the start, "
                f"theta {np.round(theta, 3).tolist()}; {MEND_SCALE}"
            )
        return rescaled(theta, value, setup)[0]


def checked_start(start, setup):
    """The user's start, if it is a theta; what is zero is put into the open."""
    theta = np.asarray(start)
    covariance = setup.covariance
    if not covariance.accepts(theta):
        why = refused_theta(theta, setup.log_labels, covariance)
        raise LMMError(f"start is no theta: {why}")
    return opened(theta.astype(float), setup)


def by_moments(setup):
    """theta without correlations where e'e and |Z_j'e|^2 are what they are expected to be.

    Linear equations for the variances, one for each block and one for sigma^2:

        E e'Z_i Z_i'e = sigma^2 tr(Z_i'Z_i) + sum over j of psi_jj |Z_i'Z_j|^2,    e ~ N(0, V),

    as if X were known. A variance that comes out as less than a small share of what an average
    level's whole needs is that share.

    Source: the quadratic forms of Rao's (1970) MINQUE with a priori variances of zero.
    """
    engine = setup.engine
    n = setup.design.n
    squares, overlaps = engine.sums_of_squares()
    of_e = np.append(engine.residual_ss, squares)
    lengths = engine.mean_squares * [block.matrix.shape[1] for block in setup.design.blocks]
    expected = np.empty((len(of_e), len(of_e)))
    expected[0, 0] = n
    expected[0, 1:] = expected[1:, 0] = lengths
    expected[1:, 1:] = overlaps
    scale = 1 / np.sqrt(np.maximum(expected.diagonal(), TINY))
    scaled = expected * scale * scale[:, None]
    variances = scale * np.linalg.lstsq(scaled, of_e * scale, rcond=LEAST_TOLD)[0]
    mean = engine.residual_ss / n
    sigma2 = min(max(variances[0], LEAST_SHARE * mean), mean)
    least = LEAST_SHARE * sigma2 / np.maximum(engine.mean_squares, TINY)
    variances = np.maximum(variances[1:], least)
    return setup.covariance.theta(0.5 * np.log(sigma2), np.diag(variances))


def log_rms(setup):
    """The log of the root mean square of e = y - X beta_0."""
    return 0.5 * np.log(setup.engine.residual_ss / setup.design.n)


# -- from there to the result ----------------------------------------------------------------------


def finished(criterion, theta, message):
    """The result of Newton's iteration from theta.

    After a look for other optima, and with the certificate.

    A warning if it is not certified, unless the plan is quiet.
    """
    plan = criterion.plan
    with criterion.phase(NEWTON):
        theta, value = minimum(criterion, theta, done=criterion.done)
        first = crowding(theta, criterion.setup)
        if first is not None or lost_digits(value):             # set up anew around this optimum
            criterion.setup = set_up_again(criterion.setup, plan.engine, value.beta, first)
            theta, value = minimum(criterion, theta)
    optimum = judged(criterion, theta, value)
    if plan.elsewhere:
        with criterion.phase(ELSEWHERE):
            best, best_value = best_optimum(criterion, theta, value, optimum.certified)
        if best is theta:
            optimum = replace(optimum, **criterion.spent())
        else:
            theta, value = best, best_value
            optimum = judged(criterion, theta, value)
        if not optimum.certified:
            theta, value, optimum = another(criterion, theta, value, optimum)
    theta.flags.writeable = False
    value.beta.flags.writeable = False
    if not (optimum.certified or plan.quiet):
        warn(
            f"the optimum is not certified: {'; '.join(optimum.reasons)}; try another start=, "
            "or fewer or coarser blocks in ref",
            ConvergenceWarning,
        )
    return LMMResult(
        beta=value.beta,
        theta=theta,
        nll=float(value),
        triangle=value.triangle,
        setup=criterion.setup,
        optimum=optimum,
        message=message,
        evaluated=tuple(criterion.rows),
        plan=plan,
    )


def another(criterion, theta, value, optimum):
    """What the search of many/ finds from its grid, if it is certified or better; or the same."""
    with criterion.phase(ELSEWHERE):
        start = optimum_of_one(criterion.setup)
        if start is None:
            return theta, value, optimum
        other, other_value = minimum(criterion, start, done=criterion.done)
    try:
        found = judged(criterion, other, other_value)
    except LMMError:                                        # no bound from there
        return theta, value, optimum
    clearly = BETTER * size_of(value)
    if other_value < value - clearly or (found.certified and other_value < value + clearly):
        return other, other_value, found
    return theta, value, optimum


def judged(criterion, theta, value):
    """The `Optimum` at theta, where the search ended; an LMMError where nll has no bound."""
    refuse_unbounded(criterion, theta, value)
    try:
        return certify(criterion, theta, value)
    except ArithmeticError as error:
        raise LMMError(f"{error}, where the search ended; {MEND_SCALE}") from None


def lost_digits(value):
    """Whether e should be built anew around this beta.

    It is so large beside the residual y - X beta that digits are lost.
    """
    if value.triangle is None:
        return False
    column = value.triangle[:, -1]
    return column[-1] ** 2 < FAR_FROM_BETA * (column @ column)


def crowding(theta, setup):
    """The block that dwarfs sigma and all other blocks, or None.

    It should be decomposed first to keep digits.
    """
    if len(setup.design.blocks) < 2:
        return None
    ratios = 2 * (setup.covariance.log_sds(theta) - theta[0] - setup.units)
    j = int(np.argmax(ratios))
    if ratios[j] < np.log(DWARFS) or setup.engine.crowding_block() in (None, j):
        return None
    return j


def refuse_unbounded(criterion, theta, value):
    """Raise an LMMError where nll falls on and on as sigma goes to zero."""
    if np.isfinite(value):
        if theta[0] >= log_rms(criterion.setup) + np.log(LEAST_SIGMA):
            return
        above = theta.copy()
        above[0] += 1
        if criterion.profiled(above, criterion.setup) <= value + FALLING:
            return
    raise LMMError(
        "the likelihood grows without bound as the residual sd goes to 0; the random effects "
        "can fit the response perfectly: use fewer or coarser blocks in ref"
    )


# -- the certificate -------------------------------------------------------------------------------


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
        Of nll in theta; rows and columns of blocks at zero are 0.
    averaged : bool
        Whether `hessian` is average information, as it is where several terms are eliminated or
        many columns are left to factor. Errors of estimates and degrees of freedom never are: they
        take the exact one, by differences of the gradient.
    smallest_eigenvalue : float
        Of the Hessian, blocks at zero left out.
    nll_error : float
        How far nll may be above the minimum: the Newton decrement, to second order, and what
        rounding may do to log|V| and to the sum of squares.
    theta_error : ndarray, shape of theta
        The size of the next Newton step, log units, or for the T of several effects relative to
        their standard deviations; 0 for blocks at zero.
    multipliers : dict
        By the names of the blocks with a variance of zero, or the terms with a singular covariance:
        the derivative of nll in the variance over sigma^2, or the smallest as the covariance
        becomes regular; not negative at an optimum.
    evaluations, seconds : dict
        By phase of the fit.
    """

    certified: bool
    reasons: tuple
    gradient: np.ndarray
    gradient_norm: float
    hessian: np.ndarray
    averaged: bool
    smallest_eigenvalue: float
    nll_error: float
    theta_error: np.ndarray
    multipliers: dict
    evaluations: dict
    seconds: dict

    def __repr__(self):
        phases = ", ".join(f"{count} {phase}" for phase, count in self.evaluations.items())
        curvature = "average information" if self.averaged else "Hessian"
        verdict = "certified"
        if not self.certified:
            verdict = f"not certified: {'; '.join(self.reasons)}"
        return (
            f"Optimum({verdict}; gradient {self.gradient_norm:.1e}, smallest eigenvalue of the "
            f"{curvature} {self.smallest_eigenvalue:.3g}, error of nll {self.nll_error:.1e}, "
            f"of theta {self.theta_error.max(initial=0):.1e}; evaluations: {phases or 'none'})"
        )


def certify(criterion, theta, value=None):
    """Whether theta is a local minimum of the criterion: an `Optimum`.

    It is certified if the gradient is small enough for an error of nll below 1e-9 (relative to
    |nll|) and of theta below 1e-6, the Hessian, or what takes its place, is positive definite, and
    no direction at zero would lower nll by leaving it. ArithmeticError where derivatives fail.
    """
    setup = criterion.setup
    covariance = setup.covariance
    value = criterion.profiled(theta, setup) if value is None else value
    D = criterion.derivatives(theta, value)
    free = covariance.free(theta)

    # -- curvature, scaled to a diagonal of 1: of a small sd it is small on the log scale, which is
    # no flatness
    H = D.step_hessian[free][:, free]
    scale = np.sqrt(np.abs(H.diagonal()))
    scale[scale == 0] = 1.0
    eigenvalues, vectors = np.linalg.eigh(H / scale / scale[:, None])
    definite = bool(eigenvalues[0] > CURVATURE)

    # -- Newton's next step, and its decrement g'H^-1 g / 2
    step = np.zeros(len(theta))
    step[free] = np.inf
    decrement = np.inf
    if definite:
        gradient = vectors.T @ (D.step_gradient[free] / scale)
        units = covariance.step_units(theta, np.exp(theta[0] + setup.units))[free]
        step[free] = np.abs(vectors @ (gradient / eigenvalues)) / scale / units
        decrement = float(0.5 * gradient @ (gradient / eigenvalues))

    # -- the boundary: no singular covariance should grow
    multipliers = {}
    for d, growth, slope in growths(setup, theta, D):
        if slope < 0 and not falls(D, covariance.entries.of(growth)):
            slope = 0.0                                     # a tie, but for rounding errors
        multipliers[setup.design.direction_names[d]] = float(slope)

    column = value.triangle[:, -1]                          # C_yy = |column|^2 in 1/2 g_yy^2
    rounding = value.rounding
    if rounding is None:
        rounding = setup.engine.rounding(value.phi, value.state)
    rounding += 0.5 * np.finfo(float).eps * (column @ column)
    reasons = []
    if D.df_used[0] < FEW:
        reasons.append(
            "the residual sd goes to 0, for the random effects can reproduce the response; "
            "no sd here is to be trusted"
        )
    elif not definite:
        reasons.append(flat_along(vectors[:, 0], free, setup))
    elif rounding > NLL_ERROR * size_of(value):
        reasons.append(f"rounding errors leave the criterion uncertain by {rounding:.1g}")
    elif decrement > NLL_ERROR * size_of(value) or step.max() > THETA_ERROR:
        slope = np.abs(D.gradient).max()
        reasons.append(f"the gradient is {slope:.2g}, so theta is off by {step.max():.2g}")
    reasons += [
        f"the likelihood grows when {name!r} leaves zero"
        for name, multiplier in multipliers.items()
        if not multiplier >= 0
    ]
    return Optimum(
        certified=not reasons,
        reasons=tuple(reasons),
        gradient=D.gradient,
        gradient_norm=float(np.abs(D.gradient).max()),
        hessian=D.hessian,
        averaged=not setup.engine.exact,
        smallest_eigenvalue=float(np.linalg.eigvalsh(D.hessian[free][:, free])[0]),
        nll_error=decrement + rounding,
        theta_error=step,
        multipliers=multipliers,
        **criterion.spent(),
    )


def flat_along(direction, free, setup):
    """What to say of a direction, in the free elements of theta, without curvature."""
    labels = [label for label, is_free in zip(setup.log_labels, free) if is_free]
    flat = [label for label, share in zip(labels, direction) if abs(share) > 0.3]
    return f"the criterion is flat, or falls, along {shorten(flat)}"
