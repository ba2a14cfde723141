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

from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from .blocked import Blocked, eliminate
from .dense import Dense, factor
from .design import Design, make_design
from .errors import LMMError
from .identifiability import refuse_contained_blocks, refuse_dependent, refuse_perfect_fit, refuse_unidentified
from .matrices import are_matrices, matrix_design
from .triangular import back_substitute, log_diagonal, triangle

MOST_DENSE = 100        # columns of Z, beyond which the largest term is eliminated


@dataclass(frozen=True, eq=False)
class Setup:
    """A model ready for any theta: what `LMMsetup` returns. Nothing in it changes.

    X is represented by an orthonormal basis of its columns, X = Q_X R_X, and y by a residual, y = X beta_0 + e:
    the likelihood is the same whatever beta_0, and large means cannot cancel. Weights w, where the residuals have the
    variances sigma^2 / w, come in as rows times sqrt(w): log|V| is then the sum of log w less.
    """

    design: Design
    reml: bool                                  # the criterion: REML's, or the likelihood's
    engine: Dense | Blocked = field(repr=False)     # knows Z and U = [Q_X e]
    Q_X: np.ndarray = field(repr=False)         # (n, k) orthonormal
    R_X: np.ndarray = field(repr=False)         # (k, k) upper triangular
    beta_0: np.ndarray = field(repr=False)      # (k,)
    log_weights: float = 0.0                    # half the sum of the logs of the weights

    @property
    def engine_name(self):
        """Which linear algebra it uses: "dense" or "blocked"."""
        return "dense" if isinstance(self.engine, Dense) else "blocked"

    @property
    def df(self):
        """How many observations the criterion counts: n, or n - k for REML."""
        return len(self.design.y) - (len(self.beta_0) if self.reml else 0)

    @property
    def labels(self):
        """The names of theta's elements: 'sigma', then the blocks in the order of `ref`; see `Design.labels`."""
        return self.design.labels

    @property
    def log_labels(self):
        """The same with 'log' before those that are on the log scale."""
        return tuple(f"log {label}" if log else label for label, log in zip(self.labels, self.covariance.on_log))

    @property
    def covariance(self):
        """What theta means for psi: a `Covariance`."""
        return self.design.covariance

    def __repr__(self):
        d = self.design
        Z = ", ".join(f"{b.name}: {b.matrix.shape[1]}" for b in d.blocks) or "none"
        return (f"LMMsetup({d.form!r}{', reml' if self.reml else ''}: y ({len(d.y)},), X ({len(d.y)}, {len(d.x_names)}), "
                f"columns of Z by block ({Z}), theta ({', '.join(self.log_labels)}))")


class Profile(float):
    """The negative profile log-likelihood, with `beta`, (k,), the estimate it was profiled at.

    `factor`, (k + 1, k + 1), is the upper Cholesky factor of C = [Q_X e]' W [Q_X e], and `phi` sigma^2 and the entries of
    psi; `state` is what the engine can use again for `derivatives`, which are kept here once they have been asked for.
    """

    __slots__ = ("beta", "derivatives", "factor", "phi", "state")

    def __reduce__(self):
        return _profile, (float(self), self.beta, self.factor, self.phi)


def _profile(nll, beta, factor=None, phi=None, state=None):
    value = Profile(nll)
    value.beta, value.factor, value.phi, value.state, value.derivatives = beta, factor, phi, state, None
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
    Costs one QR of the n x p matrix Z, p being its number of columns, and holds a dense n x p array, the columns
    of the first block (by default the largest) left out.

    Examples
    --------
    >>> setup = LMMsetup("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> float(LMMprof([-0.039181011, 1.473499526, 1.222902944], setup))    # doctest: +ELLIPSIS
    63.01204267...
    """
    make = matrix_design if are_matrices(form) else make_design
    return set_up(make(form, dat, ref, weights, offset), checked_reml(reml), engine=engine)


def checked_reml(reml):
    if not isinstance(reml, (bool, np.bool_)):
        raise LMMError(f"reml is {reml!r}; it is True or False")
    return bool(reml)


def set_up(design, reml, beta_0=None, first=None, engine=None):
    """The `Setup` of a design, y represented by e = y - X beta_0; if not given, beta_0 is that of least squares.

    `first` is the block to factor first, see `factor`; `engine` is its name, or None for a choice by size.
    """
    Q_X, R_X = np.linalg.qr(design.weighted(design.X))
    if reml:
        refuse_contained_blocks(design, Q_X)
    if beta_0 is None:
        beta_0 = back_substitute(R_X, Q_X.T @ design.weighted(design.y - design.offset))
    e, low = residual(design, beta_0)
    blocks, U = [design.weighted(block.matrix) for block in design.blocks], np.column_stack([Q_X, e])
    if chosen(engine, design) == "blocked":
        refuse_dependent(design)
        U[:, -1] += low
        engine = eliminate(blocks, U, design.covariance)
    else:
        engine = factor(blocks, U, low, list(zip(design.covariance.rows, design.covariance.columns)), first)
        refuse_unidentified(design, engine)
        refuse_perfect_fit(design, engine, reml)
    log_weights = 0.0 if design.root_weights is None else float(np.sum(np.log(design.root_weights)))
    return Setup(design, reml, engine, Q_X, np.asfortranarray(R_X), beta_0, log_weights)


def chosen(engine, design):
    """The name of the engine to use: the one asked for, if the design allows it, or by the number of columns of Z."""
    if engine not in (None, "dense", "blocked"):
        raise LMMError(f"engine is {engine!r}; it is 'dense', 'blocked', or None for a choice by size")
    p = sum(block.matrix.shape[1] for block in design.blocks)
    one_entry = all((np.diff(block.matrix.indptr) == 1).all() for block in design.blocks)
    enough_rows = len(design.y) > p + len(design.x_names)
    if engine == "blocked" and not (p and one_entry and enough_rows):
        raise LMMError("the blocked engine takes one level of each block in each row, and more rows than columns of X and Z; "
                       "give engine='dense'")
    return engine or ("blocked" if p > MOST_DENSE and one_entry and enough_rows else "dense")


def responding(setup, y):
    """The `Setup` for another response: only what holds y is computed anew. O(n p)."""
    design = setup.design.responding(y)
    beta_0 = back_substitute(setup.R_X, setup.Q_X.T @ design.weighted(design.y - design.offset))
    engine = setup.engine.responding(*residual(design, beta_0))
    if isinstance(engine, Dense):
        refuse_perfect_fit(design, engine, setup.reml)
    return replace(setup, design=design, engine=engine, beta_0=beta_0)


def residual(design, beta):
    """y - offset - X beta, weighted, as a sum of two, the second what rounding takes from the first."""
    longer = np.longdouble                                             # where the platform has a longer type than float
    exact = design.weighted(design.y - design.offset.astype(longer) - design.X.astype(longer) @ beta)
    e = exact.astype(float)
    return e, (exact - e).astype(float)


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
    One p x p Cholesky factorisation: O(p^3), independent of n.

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
