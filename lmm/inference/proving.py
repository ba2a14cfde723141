"""`fit.prove`: whether the optimum of a fit is global, and the better one where it is not."""

from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import ConvergenceWarning, LMMError, checked_flag, warn
from ..fit import certify, fit_of
from ..fitting import OPEN, PROVED, REFUTED, proved
from ..practical import LMMprof
from ..result import LMMResult


@dataclass(frozen=True, eq=False, repr=False)
class Proof:
    """What `fit.prove` found; printing it is one line.

    Attributes
    ----------
    proved : bool
        No theta has a criterion that is lower by more than the tolerance.
    refuted : bool
        There is one; ``better()`` is the fit from there.
    reason : str
        Why neither, "" otherwise.
    lower_bound : float
        No theta has a lower criterion than this, on the scale of ``fit.nll``; also where it is
        neither. -inf where nothing is known.
    nll : float
        The criterion of the fit or, if it is refuted, the lower one that was found.
    theta : ndarray or None
        Where that is.
    tolerance : float
    boxes, evaluations : int
        The cells that the variances were cut into, and evaluations of the criterion.
    seconds : float
    cells : ndarray
        Where it is proved, the cells, a row each; `plots.proof` draws them.
    """

    verdict: str
    reason: str
    lower_bound: float
    nll: float
    theta: np.ndarray | None = field(repr=False)
    tolerance: float
    boxes: int
    evaluations: int
    seconds: float
    cells: np.ndarray = field(repr=False)
    fit: object = field(repr=False)

    @property
    def proved(self):
        """Whether the optimum is global."""
        return self.verdict == PROVED

    @property
    def refuted(self):
        """Whether there is a better one."""
        return self.verdict == REFUTED

    def better(self):
        """The fit from the better theta, or the fit itself where it is not refuted.

        Returns
        -------
        LMMResult
            With a lower criterion than the fit: where the search from there ends at no lower one,
            as it may where sigma goes to zero, it is the better theta itself.

        Warns
        -----
        ConvergenceWarning
            If its optimum could not be certified.
        """
        if not self.refuted:
            return self.fit
        plan = replace(self.fit.plan, start=None, verbose=False, quiet=True)
        found = fit_of(self.fit.setup, plan, self.theta)
        if not found.nll <= self.nll:
            found = self._at_theta()
        if not found.converged:
            warn(
                "the better fit has no certified optimum, and a lower criterion than this one: "
                "the model is more than these data can tell; use fewer or coarser random effects",
                ConvergenceWarning,
            )
        return replace(found, plan=self.fit.plan)

    def _at_theta(self):
        """The better theta as a fit."""
        setup = self.fit.setup
        theta = np.array(self.theta)
        value = LMMprof(theta, setup)
        theta.flags.writeable = False
        return LMMResult(
            beta=value.beta,
            theta=theta,
            nll=float(value),
            triangle=value.triangle,
            setup=setup,
            optimum=certify(theta, setup, value),
            message="The better theta of a proof, from which the search ended higher.",
            evaluated=(),
            plan=self.fit.plan,
        )

    def __repr__(self):
        cost = f"{self.boxes} boxes, {self.evaluations} evaluations, {self.seconds:.2f} s"
        if self.proved:
            nothing = f"no theta has a criterion lower by {self.tolerance:g}"
            return f"Proof(proved global: {nothing}; {cost})"
        if self.refuted:
            lower = self.fit.nll - self.nll
            return f"Proof(refuted: nll is lower by {lower:.3g} elsewhere, see .better(); {cost})"
        known = f"; nll is at least {self.lower_bound:.6g}" if np.isfinite(self.lower_bound) else ""
        return f"Proof(open: {self.reason}{known}; {cost})"


USUAL_TOLERANCE = 1e-6        # of nll, unless another one is asked for


def prove(fit, tolerance=USUAL_TOLERANCE, seconds=30, *, keep=False):
    """Prove that the optimum is global, or find a better one.

    A certificate says that no theta near by is better. This one says that no theta is: branch and
    bound over all variances, relative to sigma^2.

    Parameters
    ----------
    tolerance : float, optional
        Of the criterion, minus the log-likelihood: what counts as lower.
    seconds : float, optional
        After which it is left open.
    keep : bool, optional
        Whether to keep the cells, for `plots.proof`.

    Returns
    -------
    Proof
        ``proved``, ``refuted`` with ``better()``, or open with the ``reason``; ``lower_bound``. The
        fit keeps it as ``fit.proof``, and `summary` says so.

    Raises
    ------
    LMMError
        If an argument is no positive number.

    Notes
    -----
    For independent effects, as ``(1 | g) + (1 | h)``, and one term of two correlated ones, ``(1 + x
    | g)``; ML and REML. Some milliseconds for one term, tens for two of up to 50 columns, tenths of
    a second for three; seconds, or no end, for hundreds of columns. With h = log|V| and q = (y - X
    beta)'V^-1(y - X beta), h is concave and q convex in the variances: q lies above its tangent,
    and so the criterion over a box above its least value at the corners. Bounds are lowered by an
    allowance for rounding errors; a better theta is confirmed by the engine.

    References
    ----------
    Land and Doig (1960) for branch and bound; `lmm/fitting/proof/` for the bounds.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> fit.prove().proved
    True
    """
    for name, value in (("tolerance", tolerance), ("seconds", seconds)):
        is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not (is_number and value > 0 and np.isfinite(value)):
            raise LMMError(f"{name} is {value!r}; it is a positive number")
    checked_flag(keep, "keep")
    found = proved(LMMprof, fit.setup, fit.nll, tolerance, seconds, keep)
    result = Proof(
        verdict=found.verdict,
        reason=found.reason,
        lower_bound=found.lower_bound,
        nll=found.nll,
        theta=found.theta,
        tolerance=tolerance,
        boxes=found.boxes,
        evaluations=found.evaluations,
        seconds=found.seconds,
        cells=found.cells,
        fit=fit,
    )
    if is_stronger(result, proof(fit)):
        fit.__dict__["_proof"] = result
        fit.__dict__["_verdict"] = said(result)
    return result


def is_stronger(found, before):
    """Whether a proof says more than an earlier one: a refutation, or of a smaller tolerance."""
    if found.verdict == OPEN or before is None:
        return found.verdict != OPEN
    return found.refuted or (before.proved and found.tolerance <= before.tolerance)


def said(found):
    """What a fit says of its optimum once this is known."""
    if found.refuted:
        return "certified, but there is a better one: see fit.proof"
    if found.tolerance == USUAL_TOLERANCE:
        return "proved global"
    return f"proved global, but for {found.tolerance:g} of nll"


def proof(fit):
    """What `prove` found, or None where it has not been asked for, or was left open."""
    return fit.__dict__.get("_proof")
