"""Linear hypotheses about the fixed effects, L beta = rhs: t for each row, F for all together.

Sources: Satterthwaite (1946) for one row; Fai and Cornelius (1996) for several, in lmerTest's form;
Kenward and Roger (1997); the notes of kenward_roger.py.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import chdtrc, fdtrc, stdtrit

from ..errors import LMMError, checked_flag, shorten, warn
from ..formula import rows_of_text, separate
from ..result import check_level, cov_params
from .kenward_roger import kenward_roger
from .satterthwaite import p_of_t, satterthwaite

SAME_SPACE = 2.0**-26   # of the largest eigenvalue of L C L', below which rows depend on others
SAME_DF = 1e-8          # difference of degrees of freedom that are the same
CONTRADICTION = 1e-8    # of rows that depend on each other, relative to what they are sums of
ROUNDED = 1e-8          # of a covariance that was given, relative to its largest element
DF_METHODS = ("satterthwaite", "kr", "normal")


# -- the errors of L beta, by method ---------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Satterthwaite:
    """(X'WX)^-1, with Satterthwaite's degrees of freedom for each row."""

    fit: object = field(repr=False)
    cov: np.ndarray

    words = "Satterthwaite's method"

    def df(self, L):
        """Degrees of freedom of the t of each row of L beta, (r,)."""
        return satterthwaite(self.fit, L)

    def f_test(self, L, difference):
        """F, its degrees of freedom and its scale, 1; L of full row rank.

        The rows turned so that their estimates are uncorrelated have the degrees of freedom nu; the
        sum of their t^2 has the expectation E = sum nu / (nu - 2), and q F that of E if

            df = 2 E / (E - q).
        """
        values, vectors = np.linalg.eigh(L @ self.cov @ L.T)
        t_squared = (vectors.T @ difference) ** 2 / values
        nu = self.df(vectors.T @ L)
        return t_squared.mean(), len(L), float(summed_df(nu)), 1.0


def summed_df(nu):
    """Degrees of freedom of F, from those, (..., r), of the t whose squares it is the mean of."""
    r = nu.shape[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        expectation = np.sum(nu / (nu - 2), axis=-1)
        found = 2 * expectation / (expectation - r)
    found = np.where((nu > 2).all(axis=-1), found, 2.0)
    same = np.abs(nu - nu[..., :1]).max(axis=-1) < SAME_DF
    found = np.where(same, nu.mean(axis=-1), found)
    return np.where(np.isnan(nu).any(axis=-1), np.nan, found)


@dataclass(frozen=True, eq=False)
class Fixed:
    """A given covariance, with the same degrees of freedom for every row."""

    fit: object = field(repr=False)
    cov: np.ndarray
    given: float

    @property
    def words(self):
        """How the degrees of freedom come about."""
        if np.isinf(self.given):
            return "the normal distribution"
        return f"{self.given:g} degrees of freedom, as given"

    def df(self, L):
        """The one that was given, (r,)."""
        return np.full(len(L), self.given)

    def f_test(self, L, difference):
        """F, its degrees of freedom and its scale, 1."""
        wald = difference @ np.linalg.solve(L @ self.cov @ L.T, difference)
        return wald / len(L), len(L), self.given, 1.0


def errors_of(fit, df="satterthwaite", cov=None):
    """The errors of L beta by a method, "satterthwaite", "kr", "normal", or by a number as df.

    With a covariance, such as `robust_cov` returns, normal or a number.
    """
    if isinstance(df, str) and df.lower() in DF_METHODS:
        df = df.lower()
    elif isinstance(df, (str, bool)) or not np.isscalar(df) or not df > 0:
        raise LMMError(
            f"df is {df!r}; it is 'satterthwaite', 'kr' (Kenward and Roger), 'normal', "
            "or a positive number"
        )
    if cov is not None:
        if df in ("satterthwaite", "kr"):
            raise LMMError(
                f"df is {df!r}, which has a covariance of its own; beside cov= it is 'normal' or a "
                "positive number, such as the number of clusters less 1"
            )
        cov = _checked_cov(cov, fit)
    if df == "kr":
        return kenward_roger(fit)
    if cov is None:
        cov = cov_params(fit).to_numpy()
    if df == "satterthwaite":
        return Satterthwaite(fit, cov)
    return Fixed(fit, cov, np.inf if df == "normal" else float(df))


def _checked_cov(cov, fit):
    """A covariance of beta as an array, (k, k), in the order of X's columns."""
    names = list(fit.setup.design.x_names)
    if isinstance(cov, pd.DataFrame):
        if set(cov.index) != set(names) or set(cov.columns) != set(names):
            raise LMMError(f"cov has the columns {shorten(list(cov.columns))}; X has {names}")
        cov = cov.loc[names, names]
    k = len(names)
    try:
        cov = np.asarray(cov, float)
    except (TypeError, ValueError):
        raise LMMError(
            f"cov is {cov!r}, no matrix; it is a covariance of beta, ({k}, {k}), such as "
            "fit.robust_cov(cluster) returns"
        ) from None
    if cov.shape != (k, k):
        raise LMMError(f"cov has shape {cov.shape}; it takes ({k}, {k}), by columns of X")
    if not np.isfinite(cov).all():
        raise LMMError("cov holds values that are no finite numbers")
    largest = np.abs(cov).max(initial=0.0)
    if np.abs(cov - cov.T).max(initial=0.0) > ROUNDED * largest:
        raise LMMError("cov is not symmetric, so it is no covariance of beta")
    if k and np.linalg.eigvalsh(cov)[0] < -ROUNDED * largest:
        raise LMMError("cov has a negative eigenvalue, so it is no covariance of beta")
    return 0.5 * (cov + cov.T)


def remark_on_reml(fit, errors):
    """What to know where Kenward and Roger's method refitted a fit; none otherwise."""
    if errors.fit is fit:
        return []
    return ["the fit was by maximum likelihood; for Kenward and Roger's method it was refitted "
            "by REML, whose estimates these are"]


# -- tests -----------------------------------------------------------------------------------------


def t_table(errors, L, rhs, level, labels):
    """A DataFrame by row of L: estimate, se, df, t, pvalue, lower, upper."""
    estimate = L @ errors.fit.beta
    se = np.sqrt(np.einsum("ri,ij,rj->r", L, errors.cov, L))
    with np.errstate(divide="ignore", invalid="ignore"):       # of rows that cannot be estimated
        df = errors.df(L)
    return pd.DataFrame(t_table_of(estimate, se, df, rhs, level), labels)


def t_table_of(estimate, se, df, rhs, level):
    """The columns of such a table, a dict of arrays like these."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (estimate - rhs) / se
    half = stdtrit(df, 0.5 + level / 2) * se
    return {
        "estimate": estimate,
        "se": se,
        "df": df,
        "t": t,
        "pvalue": p_of_t(t, df),
        "lower": estimate - half,
        "upper": estimate + half,
    }


def f_test(errors, L, rhs):
    """F, num_df, den_df, pvalue and the scale of F, of L beta = rhs; rows may depend on others."""
    difference = L @ errors.fit.beta - rhs
    values, vectors = np.linalg.eigh(L @ errors.cov @ L.T)
    kept = values > SAME_SPACE * values.max(initial=0.0)
    if not kept.all():
        size = np.abs(vectors.T) @ (np.abs(L) @ np.abs(errors.fit.beta) + np.abs(rhs))
        if (np.abs(vectors.T @ difference) > CONTRADICTION * size)[~kept].any():
            raise LMMError(
                "rows of L depend on each other, and their rhs contradict each other, so no beta "
                "meets the hypothesis; leave one out"
            )
        L = vectors[:, kept].T @ L
        difference = vectors[:, kept].T @ difference
    if not kept.any():
        return np.nan, 0, np.nan, np.nan, 1.0
    F, num_df, den_df, scale = errors.f_test(L, difference)
    return F, num_df, den_df, p_of_f(F, num_df, den_df), scale


def p_of_f(F, num_df, den_df):
    """P(F_{num, den} > F)."""
    normal = np.isinf(den_df)
    p = np.where(normal, chdtrc(num_df, num_df * F), fdtrc(num_df, den_df, F))
    return p if np.ndim(p) else float(p)


# -- the user's hypotheses -------------------------------------------------------------------------


def contrast(fit, L, rhs=0, *, df="satterthwaite", joint=False, level=0.95, cov=None):
    """Tests of linear hypotheses about the fixed effects, L beta = rhs.

    Parameters
    ----------
    L : array_like, DataFrame, Series, dict or str
        The rows of the hypotheses: (r, k) or (k,) numbers in the order of ``fit.params``; a
        DataFrame or Series by coefficient, what it lacks being 0; a dict from coefficients to
        weights, or from labels to rows; or text such as ``"Machine[T.B] - Machine[T.C]"``, several
        separated by commas, each with ``= number`` or not.
    rhs : float or array_like, shape (r,), optional
        What L beta is under the hypothesis, units of y.
    df : {"satterthwaite", "kr", "normal"} or float, optional
        Satterthwaite's method; Kenward and Roger's, with their covariance, an ML fit being refitted
        by REML; none; or degrees of freedom of your own.
    joint : bool, optional
        Whether to test all rows together, by F.
    level : float, optional
        Of the intervals, between 0 and 1.
    cov : DataFrame or array_like, shape (k, k), optional
        A covariance of beta in place of the model's, such as ``fit.robust_cov("Subject")``; `df` is
        normal then, unless it is a number.

    Returns
    -------
    DataFrame
        By row ``estimate se df t pvalue lower upper``, estimate, se and bounds in units of y; or
        with `joint` one row, ``F num_df den_df pvalue``.

    Raises
    ------
    LMMError
        If L is none of these, is of the wrong width, or names a coefficient that there is not; if
        rows contradict each other; if Kenward and Roger's method cannot be had.

    Warns
    -----
    LMMWarning
        About rows that cannot be estimated, columns of X having been left out: they are nan; and
        where an ML fit was refitted by REML.

    Notes
    -----
    A row costs O(p k) beyond the fit; see `kenward_roger` for that method. F by Satterthwaite's
    method depends on the rows through its degrees of freedom (Fai and Cornelius 1996), as in
    lmerTest.

    Examples
    --------
    >>> fit = lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
    >>> found = fit.contrast("Machine[T.B] - Machine[T.C]")
    >>> found[["estimate", "se", "df", "t", "pvalue"]].round(3).to_dict("records")
    [{'estimate': -5.95, 'se': 1.987, 'df': 12.0, 't': -2.994, 'pvalue': 0.011}]
    """
    check_level(level)
    checked_flag(joint, "joint")
    labels, whole, rhs = rows_of(fit, L, rhs)
    if cov is not None and df == "satterthwaite":
        df = "normal"
    errors = errors_of(fit, df, cov)
    for remark in remark_on_reml(fit, errors):
        warn(remark)
    left_out = fit.setup.design.left_out
    bad = left_out.not_estimable(whole).any(axis=1)
    if bad.any():
        lost = [label for label, is_bad in zip(labels, bad) if is_bad]
        warn(
            f"cannot be estimated, columns of X having been left out, and nan: {shorten(lost)}"
        )
    L = left_out.reduced(whole)
    if joint:
        if bad.any():
            found = np.nan, len(L), np.nan, np.nan
        else:
            *found, _ = f_test(errors, L, rhs)
        return pd.DataFrame([found], columns=["F", "num_df", "den_df", "pvalue"])
    table = t_table(errors, L, rhs, level, labels)
    table.loc[bad] = np.nan
    return table


def rows_of(fit, L, rhs=0):
    """``(labels, rows, rhs)`` of the user's L: rows, (r, K), by all columns, the left out too."""
    design = fit.setup.design
    names = design.left_out.all_names(design.x_names)
    labels, rows, of_text = _read(L, names, design)
    if not np.isfinite(rows).all():
        raise LMMError("L holds values that are no finite numbers")
    zero = ~rows.any(axis=1)
    if zero.any():
        raise LMMError(f"row {int(np.argmax(zero))} of L, counted from 0, is zero: it says nothing")
    rhs = np.asarray(rhs)
    if rhs.dtype.kind not in "iuf" or rhs.ndim > 1 or rhs.shape not in ((), (1,), (len(rows),)):
        raise LMMError(
            f"rhs has shape {rhs.shape}; it is one number, or one for each of {len(rows)} rows of L"
        )
    if of_text.any() and rhs.any():
        raise LMMError("rhs is given both in the text of the hypothesis and by rhs=; give it once")
    rhs = np.broadcast_to(rhs + of_text, len(rows)).astype(float)
    if not np.isfinite(rhs).all():
        raise LMMError("rhs holds values that are no finite numbers")
    return labels, rows, rhs


def _read(L, names, design):
    """Labels, rows and right-hand sides."""
    if isinstance(L, str):
        return _read_texts([L] if L in names else separate(L), names)
    if isinstance(L, (list, tuple)) and L and all(isinstance(one, str) for one in L):
        return _read_texts(L, names)
    if isinstance(L, dict):
        return _read_dict(L, names, design)
    if isinstance(L, pd.Series):
        L = L.to_frame().T
    if isinstance(L, pd.DataFrame):
        rows = np.zeros((len(L), len(names)))
        for column in L.columns:
            rows[:, _place(column, names)] = _numbers(L[column])
        return [str(label) for label in L.index], rows, np.zeros(len(L))
    rows = np.atleast_2d(_numbers(L))
    k = len(design.x_names)
    if rows.ndim != 2 or rows.shape[1] not in (k, len(names)) or not len(rows):
        raise LMMError(
            f"L has shape {np.shape(L)}; it takes rows of {k} numbers, by coefficient: "
            f"{shorten(list(design.x_names))}"
        )
    if rows.shape[1] == k < len(names):
        whole = np.zeros((len(rows), len(names)))
        whole[:, design.left_out.kept] = rows
        whole[:, design.left_out.places] = rows @ design.left_out.combinations
        rows = whole
    return [described(row, names) for row in rows], rows, np.zeros(len(rows))


def _read_dict(L, names, design):
    """A row by coefficient, or several by label."""
    values = list(L.values())
    if values and all(np.isscalar(value) and not isinstance(value, str) for value in values):
        row = np.zeros((1, len(names)))
        for name, value in L.items():
            row[0, _place(name, names)] = _numbers(value)
        return [described(row[0], names)], row, np.zeros(1)
    labels, rows, rhs = [], [], []
    for label, one in L.items():
        _, of_one, of_rhs = _read(one, names, design)
        several = len(of_one) > 1
        labels += [f"{label} {i}" if several else str(label) for i in range(len(of_one))]
        rows.append(of_one)
        rhs.append(of_rhs)
    if not rows:
        raise LMMError("L is empty; it holds the rows of hypotheses")
    return labels, np.vstack(rows), np.concatenate(rhs)


def _read_texts(texts, names):
    """Each text, one row or several; one that is a coefficient's name is that coefficient."""
    labels, rows, rhs = [], [], []
    for text in texts:
        if text in names:
            labels.append(text)
            rows.append(np.equal(names, text)[None] * 1.0)
            rhs.append(np.zeros(1))
            continue
        of_text, constants = rows_of_text(text, names)
        single = len(of_text) == 1
        labels += [text] if single else [described(row, names) for row in of_text]
        rows.append(of_text)
        rhs.append(constants)
    return labels, np.vstack(rows), np.concatenate(rhs)


def _place(name, names):
    """Where a coefficient is."""
    if name not in names:
        raise LMMError(
            f"L names {name!r}, which is no coefficient; these are {shorten(list(names))}"
        )
    return names.index(name)


def _numbers(values):
    """Values as floats."""
    values = np.asarray(values)
    if values.dtype.kind not in "iuf":
        try:
            return np.asarray(values, float) if values.dtype.kind == "O" else _refused(values)
        except (TypeError, ValueError):
            _refused(values)
    return values.astype(float)


def _refused(values):
    raise LMMError(
        f"L holds values of type {values.dtype.name}; it holds numbers by coefficient, or text"
    )


def described(row, names):
    """A row as text: ``"Machine[T.B] - 0.5 Machine[T.C]"``."""
    parts = []
    for weight, name in zip(row, names):
        if weight:
            sign = "-" if weight < 0 else "+"
            size = "" if abs(weight) == 1 else f"{abs(weight):.4g} "
            parts.append(f"{sign} {size}{name}")
    text = " ".join(parts)
    return text[2:] if text.startswith("+") else "-" + text[2:]
