"""The practical: `LMMsetup`, `LMMprof`, Nelder-Mead, `lmm`. Every fit runs here.

    y = X beta + Z b + epsilon,  b ~ N(0, psi),  epsilon ~ N(0, sigma^2 I),  so  y ~ N(X beta, V),

    V = Z psi Z' + sigma^2 I,   W = V^-1,   y (n,),   X (n, k),   Z (n, p), in blocks of columns.

theta is log sigma, then the log standard deviation of each block, in the units of y; psi has
exp(2 theta_j) for every column of block j; phi is sigma^2 and these. With Z = Q [R ; 0], Q (n, n):

    (1)  W = Q [ (R psi R' + sigma^2 I)^-1, 0 ; 0, sigma^-2 I ] Q'     [the sheet's (1)]
    (2)  log|V| = log|R psi R' + sigma^2 I| + (n - p) log sigma^2
    (3)  beta(theta) = (X'WX)^-1 X'Wy                                  [the sheet's (2)]
    (4)  nll(theta) = 1/2 log|V| + 1/2 (y - X beta)' W (y - X beta)    [REML: + 1/2 log|X'WX|]

nll leaves out n/2 log(2 pi). It needs log|V| and C = U'WU alone: see engines/qr.py for (1) and (2).
If n < p, rows of zeros fill up R: each adds log sigma^2 to the first term of (2), n - p takes it
off. U = [Q_X e], not [X y], keeps digits: X = Q_X R_X, Q_X'Q_X = I, e = y - X beta_0. (4) is the
same then; beta, |X'WX| come back by R_X. Weights w: rows times sqrt(w), and log|V| less log w.

Beyond the sheet, in four places: psi of several effects of a level (model/covariance.py); an engine
with the same two answers for many levels (engines/blocked/); derivatives and Newton's iteration,
which take the criterion as an argument (fitting/); certificate and result (fitting/, result/).
"""

import warnings
from math import exp, expm1, inf

import numpy as np
from scipy.optimize import minimize

from .chunks import is_chunks, set_up_chunks
from .engines import Setup, back_substitute, log_diagonal, set_up, triangle_of
from .errors import LMMError
from .fitting import SEARCH, Criterion, Plan, finished, first_theta
from .machine import few_threads
from .model import make_design, matrix_design, refused_theta, with_arguments

METHOD = "Nelder-Mead"
TOLERANCE = 1.0         # of the simplex, log units, and of nll over it: loose, as Newton ends it
STEP = 0.5              # of the first simplex, log units
MOST_SCALAR = 60        # evaluations for each element of theta, ...
MOST_CORRELATED = 2     # ... with correlated effects, where Newton searches better


@with_arguments
def LMMsetup(form, dat, ref=(), reml=False, weights=None, offset=None, engine=None):
    """Build y, X and the blocks of Z, and QR-factor Z once: the `Setup` that `LMMprof` takes.

    Its ``design`` holds the matrices and their labels. O(n p^2); no evaluation depends on n. Raises
    an LMMError, or patsy's error, that says what to mend where this is no model that can be fitted.

    Examples
    --------
    >>> ref = ["Worker", ["Worker", "Machine"]]
    >>> setup = LMMsetup("score ~ Machine", load_data("Machines"), ref)
    >>> float(LMMprof([-0.039181011, 1.473499526, 1.222902944], setup))    # doctest: +ELLIPSIS
    63.01204267...
    """
    if is_chunks(dat):                                      # beyond memory: rows that stand for all
        return set_up_chunks(form, dat, ref, reml, weights, offset, engine)
    make = make_design if isinstance(form, str) else matrix_design
    design = make(form, dat, ref, weights, offset)
    return set_up(design, reml, engine)


def LMMprof(theta, setup, reml=None):
    """The criterion at theta, (4), profiled over beta: a float with the attribute ``beta``, (3).

    Parameters
    ----------
    theta : array_like, shape (1 + number of blocks,), more with correlated effects
        log sigma, then the log standard deviation of each block in the order of `ref`, units of y
        (per unit of numeric variables); -inf for a block is a standard deviation of zero. Of
        correlated effects T, by columns, T T' being their covariance: ``setup.log_labels``.
    setup : Setup
        From `LMMsetup`.
    reml : bool, optional
        Whether to add the REML term; by default as `setup` was made.

    Returns
    -------
    Nll
        A float, fit for any optimiser; ``inf``, and beta nan, where theta is so extreme that a
        triangle fails. No theta is an LMMError. Cholesky's of p x p and of C: O(p^3), whatever n.
    """
    theta = checked(theta, setup)
    try:
        phi = setup.design.covariance.phi(theta)            # sigma^2 and psi: exp(2 theta)
        found = setup.engine(phi)                           # (1), (2): log|V| and C = U'WU
        G = triangle_of(found)                              # C = G'G; g_yy^2: the form of (4)
        gamma = back_substitute(G[:-1, :-1], G[:-1, -1])    # (3): G_XX^-1 G_Xy, for Q_X and e ...
        beta = setup.beta_0 + back_substitute(setup.R_X, gamma)                 # ... for X and y
        nll = 0.5 * found.logdet + 0.5 * G[-1, -1] ** 2 - setup.log_weights     # (4)
        if setup.reml if reml is None else reml:
            nll += log_diagonal(G[:-1, :-1], setup.R_X)     # 1/2 log|X'WX| = log|G_XX R_X|
        return Nll(nll, beta, G, phi, found.state)
    except ArithmeticError:                                 # theta too extreme: worse than others
        return Nll(inf, np.full(len(setup.beta_0), np.nan))


def checked(theta, setup):
    """theta as a list of floats, if it is one: of the right length, finite or -inf for a block."""
    theta = np.asarray(theta)
    if isinstance(setup, Setup) and setup.design.covariance.accepts(theta):
        return theta.tolist()
    if not isinstance(setup, Setup):
        kind = type(setup).__name__
        raise LMMError(f"setup is of type {kind}; it is what LMMsetup returns, after theta")
    raise refused_theta(theta, setup.log_labels, setup.covariance)


class Nll(float):
    """A value of the criterion, with `beta`, (k,): the estimate (3) at this theta.

    For what follows it keeps the triangle G of C, phi, and what the engine can use again.
    """

    derivatives = rounding = None                           # once they have been asked for

    def __new__(cls, nll, beta, triangle=None, phi=None, state=None):
        self = super().__new__(cls, nll)
        self.beta, self.triangle, self.phi, self.state = beta, triangle, phi, state
        return self

    def rescaled(self, shift, df):
        """What a finite one is with all sds times c = exp(shift); `df` is n, for REML n - k.

        V becomes c^2 V: log|V| + 2 n log c, for REML log|X'WX| - 2 k log c, and C / c^2.
        """
        nll = self + df * shift + 0.5 * self.triangle[-1, -1] ** 2 * expm1(-2 * shift)
        phi = [exp(2 * shift) * v for v in self.phi]
        state = self.state and self.state.rescaled(phi[0])
        return Nll(nll, self.beta, self.triangle * exp(-shift), phi, state)

    def __reduce__(self):
        return Nll, (float(self), self.beta, self.triangle, self.phi)


def nelder_mead(criterion, theta):
    """Where the practical's optimiser ends, loosely, and its message."""
    if len(theta) == 1:
        return theta, "No random effects: the optimum is known in closed form."     # the start's
    covariance = criterion.setup.covariance
    units = covariance.simplex_units(theta)                 # 1 for a logarithm
    start = theta / units
    most = MOST_SCALAR if covariance.elementwise else MOST_CORRELATED
    options = {
        "initial_simplex": start + np.vstack([np.zeros(len(start)), STEP * np.eye(len(start))]),
        "xatol": TOLERANCE,
        "fatol": TOLERANCE,
        "maxfev": most * len(start),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)     # inf - inf among failed evaluations
        search = minimize(lambda x: criterion(x * units), start, method=METHOD, options=options)
    ended = search.message
    if not search.success:
        ended = "Left to Newton's iteration after so many evaluations."
    return search.x * units, f"{METHOD}: {ended}"


@with_arguments
def lmm(
    form, dat, ref=(), reml=False, start=None, verbose=False, weights=None, offset=None, engine=None
):
    """Fit a linear mixed model by maximum likelihood, or REML.

    Returns
    -------
    LMMResult
        A mapping with the keys ``"beta"`` (k,) and ``"theta"``: estimated fixed effects, and the
        estimated log sigma and log sds of the blocks, units of y, ``-inf`` for an sd of zero.
        All else is an attribute, as these are; printing it shows a table.

    Raises
    ------
    LMMError, patsy.PatsyError
        If the input is no model that can be fitted, or the likelihood grows without bound; an
        optimum that could not be certified is a ConvergenceWarning.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> fit.beta.round(3).tolist()
    [52.356, 7.967, 13.917]
    """
    setup = LMMsetup(form, dat, ref, reml, weights, offset, engine)
    return fit_of(setup, Plan(engine=engine, start=start, verbose=verbose))


def fit_of(setup, plan, theta=None):
    """The fit of a model: to the basin of an optimum, unless theta is there, and to the optimum."""
    criterion = Criterion(LMMprof, setup, plan)
    message = "No search: Newton's iteration alone."
    with few_threads(setup.engine.widest):
        if theta is None:
            theta = first_theta(criterion)
            if setup.engine.cheap:                          # else derivatives replace this search
                with criterion.phase(SEARCH):
                    theta, message = nelder_mead(criterion, theta)
        return finished(criterion, theta, message)
