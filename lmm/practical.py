"""The likelihood: `LMMsetup` meets the n rows once, `LMMprof` evaluates equations (1) to (4) for any theta.

The model is y = X beta + Z b + e with b ~ N(0, psi), e ~ N(0, sigma^2 I), hence y ~ N(X beta, V) with

    V = Z psi Z' + sigma^2 I,    W = V^-1,    psi = diag(sd_j^2), the same sd_j for all columns of block j of Z.

`theta` holds the logarithms of sigma and of the sd_j. (A term with several correlated effects in each level has a matrix T T'
in psi, and T in theta: covariance.py.) With Z = QR (engine in dense.py):

    (1)  V^-1 = Q [ (R psi R' + sigma^2 I)^-1, 0 ; 0, sigma^-2 I ] Q'
    (2)  log|V| = log|R psi R' + sigma^2 I| + (n - p) log sigma^2
    (3)  beta(theta) = (X' W X)^-1 X' W y
    (4)  nll(theta) = 1/2 log|V| + 1/2 (y - X beta)' W (y - X beta)      [REML: + 1/2 log|X' W X|]

so that all a theta needs is log|V| and C = [X y]' W [X y]. Source: the course practical this package ports;
the criterion is minus the log-likelihood without its constant n/2 log(2 pi).
"""

from math import exp, expm1, inf

import numpy as np

from .engines import Setup, back_substitute, checked_reml, log_diagonal, set_up, triangle
from .errors import LMMError
from .model import are_matrices, make_design, matrix_design


class Profile(float):
    """The negative profile log-likelihood, with `beta`, (k,), the estimate it was profiled at.

    `triangle`, (k + 1, k + 1), is the upper Cholesky factor of C = [Q_X e]' W [Q_X e], and `phi` sigma^2 and the entries of
    psi; `state` is what the engine can use again for `derivatives`, which are kept here once they have been asked for.
    """

    __slots__ = ("beta", "derivatives", "phi", "state", "triangle")

    def rescaled(self, shift, df):
        """What it is where all standard deviations are multiplied by c = exp(shift); `df` is the set-up's.

        V becomes c^2 V: log|V| + 2 n log c, (y - X beta)' W (y - X beta) / c^2 and, for REML, log|X'WX| - 2 k log c.
        """
        nll = self + df * shift + 0.5 * self.triangle[-1, -1] ** 2 * expm1(-2 * shift)
        phi = [exp(2 * shift) * v for v in self.phi]
        return _profile(nll, self.beta, self.triangle * exp(-shift), phi, self.state and self.state.at(phi[0]))

    def __reduce__(self):
        return _profile, (float(self), self.beta, self.triangle, self.phi)


def _profile(nll, beta, triangle=None, phi=None, state=None):
    value = Profile(nll)
    value.beta, value.triangle, value.phi, value.state, value.derivatives = beta, triangle, phi, state, None
    return value


def LMMsetup(form, dat, ref=(), reml=False, weights=None, offset=None, engine=None):
    """Build y, X and the blocks of Z, and QR-factor Z once.

    Parameters
    ----------
    form : str
        The fixed effects, as patsy reads them, e.g. ``"score ~ Machine"``. Variables are columns of `dat`;
        functions are R's everyday ones (``log(x)``), numpy's (``np.log(x)``), patsy's (``C(x)``) and your own.
        Or, for a model that no formula says, y itself: array_like, (n,).
    dat : pandas.DataFrame, n rows
        The data; never changed. Rows with a missing value in any variable of the model are left out together.
        Where `form` is y, X: array_like or sparse, (n, k); a DataFrame's columns give the names.
    ref : str or list, optional
        The random effects, one element per block of Z: a column of `dat` or a list of columns, whose
        interaction is meant, as in ``["Worker", ["Worker", "Machine"]]``. Text, bool and categorical
        columns are factors, numeric ones multiply. ``()``: no random effects.
        Where `form` is y, a dict from names to blocks of Z, array_like or sparse, (n, p_j), each column a level with the
        same variance; or to (block, levels), the level that each column belongs to: of a level with several columns these
        are its effects, in their order, with a covariance matrix; or to (block, levels, names of the effects).
    reml : bool, optional
        Whether the criterion is REML's; the default is the likelihood, as in the practical.
    weights : str or array_like, one per row of `dat`, optional
        Positive: the residual of a row with weight w has the variance sigma^2 / w. A name is a column of `dat`.
    offset : str or array_like, one per row of `dat`, optional
        What is known of the mean, added to X beta; also written ``+ offset(x)`` in `form`.
    engine : {None, "dense", "blocked"}, optional
        The linear algebra: the practical's QR of Z, or for many levels the elimination of the largest term (see
        ``lmm/blocked.py``). By default the number of columns of Z decides.

    Returns
    -------
    Setup
        For `LMMprof`. Its ``design`` holds the matrices and their labels.

    Raises
    ------
    LMMError
        If the input is no model that can be fitted; the message says what to mend.
    patsy.PatsyError
        If patsy cannot read or evaluate `form`.

    Warns
    -----
    LMMWarning
        If a block has no factor, or a text variable of `form` mostly reads as numbers.

    Notes
    -----
    Up to 100 columns: one QR of the n x p matrix Z, p being its number of columns, and a dense n x p array, the columns
    of the first block (by default the largest) left out.

    Examples
    --------
    >>> setup = LMMsetup("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> float(LMMprof([-0.039181011, 1.473499526, 1.222902944], setup))    # doctest: +ELLIPSIS
    63.01204267...
    """
    make = matrix_design if are_matrices(form) else make_design
    return set_up(make(form, dat, ref, weights, offset), checked_reml(reml), engine=engine)


def LMMprof(theta, setup, reml=None):
    """The negative profile log-likelihood of theta, equation (4), without the constant n/2 log(2 pi).

    Parameters
    ----------
    theta : array_like, shape (1 + number of blocks,), more with vector-valued terms
        log sigma, then the log standard deviation of each block in the order of `ref`, in the units of y
        (per unit of the numeric variables). ``-inf`` for a block is a standard deviation of zero. A term of `lmer` with c
        effects has c (c + 1) / 2 elements: the T of its covariance T T' column by column, the diagonal on the log scale;
        ``setup.log_labels`` names them.
    setup : Setup
        From `LMMsetup`.
    reml : bool, optional
        Whether to add the REML term; by default as `setup` was made.

    Returns
    -------
    Profile
        A float, fit for any optimiser, with the attribute ``beta``, (k,): the estimate of the fixed effects
        at this theta. ``inf`` where theta is so extreme that a factorisation fails.

    Raises
    ------
    LMMError
        If theta has the wrong length, or an element is not a number or is infinite (but see above).

    Notes
    -----
    One p x p Cholesky factorisation: O(p^3), independent of n. Beyond 100 columns of Z, one of those columns that are left when
    terms have been eliminated, see ``lmm/blocked.py``.

    References
    ----------
    The course practical "Linear Mixed Models", equations (1) and (2) there. REML: Laird and Ware (1982).
    """
    theta = checked(theta, setup)
    k = len(setup.beta_0)
    try:
        phi = setup.covariance.phi(theta)                       # sigma^2 and the entries of psi
        V = setup.engine(phi)                                   # (1), (2): log|V| and C = [X y]' W [X y]
        G = triangle(V)                                         # C = G'G, G = [ G_XX  G_Xy ; 0  g_yy ]
    except ArithmeticError:                                     # theta too extreme: worse than any other
        return _profile(np.inf, np.full(k, np.nan))
    gamma = back_substitute(G[:k, :k], G[:k, k])                # (3): (X'WX)^-1 X'Wy = G_XX^-1 G_Xy, for Q_X and e,
    beta = setup.beta_0 + back_substitute(setup.R_X, gamma)     #      hence beta for X and y
    nll = 0.5 * V.logdet + 0.5 * G[k, k] ** 2 - setup.log_weights   # (4): (y - X beta)' W (y - X beta) = g_yy^2
    if setup.reml if reml is None else reml:
        nll += log_diagonal(G[:k, :k], setup.R_X)               # 1/2 log|X'WX| = log|G_XX R_X|
    return _profile(nll, beta, G, phi, V.state)


def checked(theta, setup):
    """theta as a list of floats, if it is one: of the right length, and finite or -inf for a block."""
    if not isinstance(setup, Setup):
        raise LMMError(f"setup is of type {type(setup).__name__}; it is what LMMsetup returns, after theta")
    theta = np.asarray(theta)
    if theta.dtype != float and theta.dtype.kind not in "iuf":
        raise LMMError(f"theta holds {theta.dtype.name}, not numbers; it is a list or array of log standard deviations")
    values = theta.tolist()
    covariance = setup.covariance
    if theta.shape == covariance.on_log.shape and -inf < values[0] and (
            sum(values) < inf or all(t < inf for t in values)) and (    # the sum is quick, but may overflow; both fail for nan
            covariance.scalar or all(values[i] > -inf for i in covariance.below)):
        return values
    labels = setup.log_labels
    wanted = f"it takes {len(labels)} numbers: {', '.join(labels)}"
    if theta.shape != (len(labels),):
        raise LMMError(f"theta has shape {theta.shape}; {wanted}")
    i = next((i for i, t in enumerate(values) if not t < inf or (t == -inf and not (i and covariance.on_log[i]))), 0)
    raise LMMError(f"theta[{i}] ({labels[i]}) is {values[i]}; {wanted}, all finite "
                   "(or -inf for a block, a standard deviation of zero)")
