"""The fits of blocks of responses: in stacks where the design allows it, and one by one where not.

A response goes alone where its optimum is not certified, or digits would be lost; all do where the
design is none for stacks (engines/many/families.py). What is missing is left out: responses with
the same rows go together, and those with rows of their own are stacked too, each with its design.
"""

from collections import Counter
from dataclasses import dataclass, fields, replace
from itertools import combinations

import numpy as np
from scipy import sparse

from ..engines import (
    Unsuitable,
    families_of_patterns,
    family_of,
    family_of_rows,
    padded_pieces,
    told_apart,
)
from ..errors import LMMError
from ..fit import fit_alone
from ..fitting import FEW_ROWS, Batch, found_at, search
from ..machine import few_threads

NUMBERS_AT_A_TIME = 1_000_000       # that the responses of a block need at once, and of their rows
NUMBERS_MASKED = 4_000_000          # the same where each response has rows of its own
MOST_IN_ROWS = 4_000_000            # numbers in the rows of a block, if these are many
FEWEST_TOGETHER = 64                # responses of a block
MOST_TOGETHER = 8192
OWN_FAMILY = 64                     # responses with the same rows, from which these are a block
NEARLY_ONE_LINE = 0.98              # of two effects' columns, the correlation about zero
LEAST_SINGULAR = 1e-10              # of the matrices that V is linear in, each of length 1


@dataclass(frozen=True, eq=False)
class Estimates:
    """What is known of each of B responses after its fit; nan where it failed.

    Attributes
    ----------
    beta : ndarray, shape (B, k)
    theta : ndarray, shape (B, size)
    nll, error : ndarray, shape (B,)
        The criterion, and how far it may be above its minimum.
    variance, df : ndarray, shape (B, k)
        Of each fixed effect: the variance of its estimate, Satterthwaite's degrees of freedom.
    converged : ndarray of bool, shape (B,)
    alone : ndarray of bool, shape (B,)
        Which were fitted one by one.
    reasons : ndarray of str, shape (B,)
        Why there is no fit, or none that is certified.
    """

    beta: np.ndarray
    theta: np.ndarray
    nll: np.ndarray
    error: np.ndarray
    variance: np.ndarray
    df: np.ndarray
    converged: np.ndarray
    alone: np.ndarray
    reasons: np.ndarray

    @classmethod
    def empty(cls, B, setup):
        """All of them failed, so far."""
        k = len(setup.beta_0)

        def nothing(*shape):
            return np.full((B, *shape), np.nan)

        return cls(
            beta=nothing(k),
            theta=nothing(setup.covariance.size),
            nll=nothing(),
            error=nothing(),
            variance=nothing(k),
            df=nothing(k),
            converged=np.zeros(B, bool),
            alone=np.zeros(B, bool),
            reasons=np.full(B, "", object),
        )

    def put(self, rows, others):
        """Write the others' numbers at these rows."""
        for one in fields(self):
            getattr(self, one.name)[rows] = getattr(others, one.name)

    def put_fit(self, b, fit):
        """Write those of a single fit."""
        self.beta[b] = fit.beta
        self.theta[b] = fit.theta
        self.nll[b] = fit.nll
        self.error[b] = fit.optimum.nll_error
        self.variance[b] = fit.bse.to_numpy() ** 2
        if fit.converged:
            self.df[b] = fit.df.to_numpy()
        self.converged[b] = fit.converged
        self.reasons[b] = "; ".join(fit.optimum.reasons)


@dataclass(frozen=True, eq=False)
class Errors:
    """The errors of L beta of the responses of a block, by Satterthwaite's method.

    With C = (X'WX)^-1 = sigma^2 C~(x), x the coordinates for steps and tau = log sigma, the
    variance c = l'C l of a row has dc/dtau = 2 c; and where sigma is profiled out, H being the
    Hessian of nll in x then, and m that of nll in tau and x,

        df = 2 c^2 / (g'A g) = 2 / (2 / df_0 + d'H^-1 d),    d = (dc/dx) / c - m / df_0,

    df_0 being n, for REML n - k: A, the inverse of the whole Hessian, by its blocks.
    """

    R_X: np.ndarray             # (b, k, k)
    df_0: np.ndarray            # (b,)
    sigma2: np.ndarray          # (B,)
    root: np.ndarray            # (B, k, k) G_XX'^-1 relative to sigma
    X_forms: np.ndarray         # (B, q, k, k)
    forms: np.ndarray           # (B, q)
    jacobian: np.ndarray        # (B, q, s)
    hessian: np.ndarray         # (B, s, s)

    def of(self, L):
        """The variances and the degrees of freedom of the rows of L, (r, k) or (B, r, k)."""
        L = np.broadcast_to(L, (max(len(L) if L.ndim == 3 else 1, len(self.R_X)), *L.shape[-2:]))
        in_Q = np.linalg.solve(self.R_X.swapaxes(1, 2), L.swapaxes(1, 2))
        rows = self.root @ in_Q                                         # (B, k, r)
        c = np.sum(rows**2, axis=1)
        in_rho = np.sum(rows[:, None] * (self.X_forms @ rows[:, None]), axis=2)
        in_x = np.einsum("bqs,bqr->bsr", self.jacobian, in_rho)
        mixed = np.einsum("bqs,bq->bs", self.jacobian, self.forms)
        df_0 = self.df_0[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            d = in_x / c[:, None] - mixed[:, :, None] / df_0[:, :, None]
            spread = np.sum(d * np.linalg.solve(self.hessian, d), axis=1)
            return self.sigma2[:, None] * c, 2 / (2 / df_0 + spread)


@dataclass(frozen=True, eq=False)
class Part:
    """Responses of a block that go together: B of its columns.

    Attributes
    ----------
    batch : Batch
    columns : ndarray of int, shape (B,)
    beta_0 : ndarray, shape (B, k)
        Of least squares.
    whole : ndarray, shape (B,)
        e'e, e = y - X beta_0.
    R_X : ndarray, shape (B, k, k) or (1, k, k)
    has_own_rows : bool
        Whether rows of the design are missing.
    """

    batch: Batch
    columns: np.ndarray
    beta_0: np.ndarray
    whole: np.ndarray
    R_X: np.ndarray
    has_own_rows: bool

    def chosen(self, which):
        """Some of them, (B,) of bool; None if that is none."""
        if which.all():
            return self
        rows = np.flatnonzero(which)
        if not len(rows):
            return None
        R_X = self.R_X if len(self.R_X) == 1 else self.R_X[rows]
        return Part(
            self.batch.chosen(rows),
            self.columns[rows],
            self.beta_0[rows],
            self.whole[rows],
            R_X,
            self.has_own_rows,
        )


class Batches:
    """The fits of responses of one set-up."""

    def __init__(self, setup, plan, start=None):
        self.setup = setup
        self.plan = replace(plan, quiet=True, verbose=False, start=None)
        self.start = start                                      # theta, relative to sigma
        self.why_alone = ""
        try:
            if plan.engine == "dense" and setup.engine.name != "dense":
                raise Unsuitable("another engine was asked for")
            if setup.design.n <= setup.design.p + len(setup.beta_0):
                raise Unsuitable("X and Z have as many columns as there are rows")
            refuse_nearly_the_same(setup)
            if self.has_several_optima(setup.design.n):
                raise Unsuitable("three or more effects, and few rows")
            self.family = family_of(setup)
        except Unsuitable as error:
            self.family = None
            self.why_alone = str(error)

    def has_several_optima(self, n):
        """Whether the grid, coarse for three effects and more, may miss optima of n rows."""
        return (n <= FEW_ROWS) & (len(self.setup.design.blocks) > 2)

    def together(self, are_sparse=False):
        """How many responses go in a block; sparse ones are not kept by row."""
        rows = len(self.setup.design.y)
        if self.family is None:
            return int(np.clip(NUMBERS_AT_A_TIME // rows, 1, MOST_TOGETHER))
        if are_sparse and self.family.is_one_grouping:
            rows = 1
        fewest = min(FEWEST_TOGETHER, max(1, MOST_IN_ROWS // rows))
        numbers = max(rows, self.family.design.numbers_each)
        return int(np.clip(NUMBERS_AT_A_TIME // numbers, fewest, MOST_TOGETHER))

    @property
    def together_masked(self):
        """The same where each response has rows of its own, and so no pieces are alike."""
        design = self.family.design
        more = self.setup.design.p / max(1, len(design.X1) * design.X1.shape[-1])
        numbers = max(4 * len(self.setup.design.y), more * design.numbers_each)
        return int(np.clip(NUMBERS_MASKED // numbers, FEWEST_TOGETHER, MOST_TOGETHER))

    def fit(self, Y, alone=None):
        """The `Estimates` of a block of responses, (n, B), nan where a value is missing.

        `alone` fits one of them, a column, by itself, where that is needed.
        """
        found = Estimates.empty(Y.shape[1], self.setup)
        if self.family is not None:
            with few_threads(0):
                for part in self._parts(Y):
                    self._fit_together(part, found)
        for b in np.flatnonzero(~found.converged):
            self._fit_alone(b, Y, found, alone)
        return found

    def errors(self, Y, theta):
        """`Errors` of a block of responses where the optima are known, by parts: with columns."""
        with few_threads(0):
            for part in self._parts(Y):
                covariance = self.setup.covariance
                of_part = theta[part.columns]
                relative = covariance.rescaled(of_part, -of_part[:, :1])
                found = found_at(part.batch, covariance.turned(relative, self._back))
                yield part.columns, self._errors(part.batch, found, part.R_X)

    # -- which go together

    def _parts(self, Y):
        """The `Part` of each set of responses that go together; those that cannot are in none."""
        if sparse.issparse(Y):
            yield from self._parts_of_sparse(Y)
            return
        for columns, kept in self._by_rows(Y, self._usable(Y)):
            part = self._part(Y, columns, kept)
            if part is not None:
                yield part

    def _parts_of_sparse(self, Y):
        """The same of a sparse matrix: by its entries alone, and a few columns at a time in full.

        In full are those with values missing, or with digits lost in one pass over the entries.
        """
        left = np.arange(Y.shape[1])
        if self.family.is_one_grouping:
            column_of_entry = np.repeat(left, np.diff(Y.indptr))
            odd = column_of_entry[~np.isfinite(Y.data)]
            complete = np.setdiff1d(left, odd)
            part = self._part(Y, complete, None) if len(complete) else None
            if part is not None:
                yield part
                left = np.setdiff1d(left, part.columns)
        most = max(1, MOST_IN_ROWS // Y.shape[0])
        for start in range(0, len(left), most):
            some = left[start : start + most]
            for part in self._parts(Y[:, some].toarray()):
                yield replace(part, columns=some[part.columns])

    def _usable(self, Y):
        """The columns of Y that may go together: finite, with all effects in two levels or more.

        With all rows, where X would be another one without some of them.
        """
        good = ~np.isinf(Y).any(axis=0)
        missing = np.isnan(Y)
        some = missing.any(axis=0)
        if some.any():
            if not self.setup.design.is_row_by_row:
                return np.flatnonzero(good & ~some)
            there = (~missing[:, some]).astype(float)
            for Z in self.family.rows.blocks:
                indicators = sparse.csr_array((np.ones(len(Z.data)), Z.indices, Z.indptr), Z.shape)
                levels_left = np.count_nonzero(indicators.T @ there, axis=0)
                values_left = abs(Z).sum(axis=1) @ there
                good[some] &= (levels_left >= min(2, Z.shape[1])) & (values_left > 0)
        return np.flatnonzero(good)

    def _by_rows(self, Y, usable):
        """Those of these columns of Y that go together, and the rows of each: None, or a list.

        An empty list where the family takes missing values as they are.
        """
        missing = np.isnan(Y)
        some = missing.any(axis=0)
        complete = usable[~some[usable]]
        if len(complete):
            yield complete, None
        columns = usable[some[usable]]
        if not len(columns):
            return
        packed = np.packbits(missing[:, columns], axis=0)
        _, first, pattern = np.unique(packed.T, axis=0, return_index=True, return_inverse=True)
        pattern = np.asarray(pattern).reshape(-1)
        counts = np.bincount(pattern)
        for number in np.flatnonzero(counts >= OWN_FAMILY):
            kept = ~missing[:, columns[first[number]]]
            yield columns[pattern == number], [kept]
        order = np.argsort(pattern, kind="stable")
        few = columns[order][counts[pattern[order]] < OWN_FAMILY]
        as_they_are = self.family.is_one_grouping
        most = max(FEWEST_TOGETHER, self.together_masked if as_they_are else self.together() // 4)
        for start in range(0, len(few), most):
            chosen = few[start : start + most]
            yield chosen, [] if as_they_are else [~missing[:, column] for column in chosen]

    def _part(self, Y, columns, kept):
        """The `Part` of some columns, those without digits that are lost; None if none is left."""
        if kept is None:
            return self._of_one_family(self.family, Y[:, columns], columns)
        if not kept:
            of = self.family.respond_masked(Y[:, columns])
            batch = self._batch(of.design, of.responses)
            batch.nearly = self._batch(self.family.design, self.family.of_residuals(of.E))
            part = Part(batch, columns, of.beta_0, of.whole, of.R_X, has_own_rows=True)
            return part.chosen(~of.lost & (of.whole > 0))
        if len(kept) == 1:
            try:
                family = family_of_rows(self.setup, self.family, kept[0])
            except Unsuitable:
                return None
            of_rows = Y[np.ix_(kept[0], columns)]
            return self._of_one_family(family, of_rows, columns, has_own_rows=True)

        # -- one after the other, those with the same rows being next to each other
        parts = []
        places = []
        families = []
        last = None
        for column, rows in zip(columns, kept):
            if last is None or not np.array_equal(rows, last):
                last = rows
                try:
                    family = family_of_rows(self.setup, self.family, rows)
                except Unsuitable:
                    family = None
            if family is not None:
                families.append(family)
                parts.append(family.respond(Y[rows, column][:, None]))
                places.append(column)
        alike = of_the_commonest_kind([family.kind for family in families])
        if not len(alike):
            return None
        families, parts, places = ([them[i] for i in alike] for them in (families, parts, places))
        design = families_of_patterns([family.design for family in families])
        responses = _joined([responses for responses, *_ in parts])
        beta_0, whole, lost = (np.concatenate([part[i] for part in parts]) for i in (1, 2, 3))
        R_X = np.array([family.rows.R_X for family in families])
        batch = self._batch(design, responses)
        part = Part(batch, np.array(places), beta_0, whole, R_X, has_own_rows=True)
        return part.chosen(~lost & (whole > 0))

    def _of_one_family(self, family, Y, columns, has_own_rows=False):
        """The `Part` of these columns, Y, of one family; None if no one is left."""
        responses, beta_0, whole, lost = family.respond(Y)
        batch = self._batch(family.design, responses)
        R_X = family.rows.R_X[None]
        part = Part(batch, columns, beta_0, whole, R_X, has_own_rows)
        return part.chosen(~lost & (whole > 0))

    def _batch(self, design, responses):
        return Batch(design, self.setup.covariance, self.family.rows.units, responses)

    @property
    def _back(self):
        """K^-1, from the user's effects to those of the family."""
        return np.linalg.inv(self.family.rows.turn)

    # -- fits

    def _fit_together(self, part, found):
        """Write the estimates of a `Part`."""
        batch = part.batch
        covariance = self.setup.covariance
        start = None if self.start is None else covariance.turned(self.start, self._back)
        ends = search(batch, part.whole, start)
        k = 0 if self.setup.reml else len(self.setup.beta_0)            # what df has not lost yet
        sigma2 = ends.at.quadratic / batch.design.df
        good = ends.reasons == ""
        if part.has_own_rows:
            good &= batch.design.df > self.setup.design.p + k
            n = batch.design.df + len(self.setup.beta_0) - k
            good &= ~self.has_several_optima(n)
            free = self.setup.covariance.free_parts
            good &= told_apart(batch.design, batch.responses, free) > LEAST_SINGULAR
        with np.errstate(all="ignore"):
            gamma = np.linalg.solve(part.R_X, ends.at.gamma[:, :, None])[:, :, 0]
            theta = covariance.rescaled(ends.theta, 0.5 * np.log(sigma2)[:, None])
            theta = covariance.turned(theta, self.family.rows.turn)
            variance, df = self._errors(batch, ends, part.R_X).of(np.eye(gamma.shape[1]))
        these = Estimates(
            beta=part.beta_0 + gamma,
            theta=theta,
            nll=ends.at.nll,
            error=ends.error,
            variance=variance,
            df=df,
            converged=good,
            alone=np.zeros(len(part.columns), bool),
            reasons=ends.reasons,
        )
        found.put(part.columns, these)

    def _errors(self, batch, ends, R_X):
        """The `Errors` where the search ended."""
        theta = ends.theta
        covariance = self.setup.covariance
        if covariance.elementwise:
            jacobian = 2 * np.exp(2 * theta[:, 1:])[:, :, None] * np.eye(theta.shape[1] - 1)
        else:
            jacobian = covariance.jacobian(theta)
        return Errors(
            R_X=R_X,
            df_0=batch.design.df,
            sigma2=ends.at.quadratic / batch.design.df,
            root=ends.at.root,
            X_forms=ends.slopes.X_forms,
            forms=ends.slopes.forms,
            jacobian=jacobian,
            hessian=ends.hessian,
        )

    def _fit_alone(self, b, Y, found, alone):
        """Fit one response by itself, and write its estimates, or why there are none."""
        y = Y[:, b] if isinstance(Y, np.ndarray) else Y[:, [b]].toarray()[:, 0]
        nothing = Estimates.empty(1, self.setup)
        nothing.alone[:] = True
        found.put([b], nothing)
        if np.isnan(y).all():
            found.reasons[b] = "all its values are missing"
            return
        if np.isinf(y).any():
            row = int(np.flatnonzero(np.isinf(y))[0])
            found.reasons[b] = f"a value is {y[row]}, in row {row} of those used; none is finite"
            return
        try:
            fit = fit_alone(self.setup, self.plan, y) if alone is None else alone(y)
        except LMMError as error:
            found.reasons[b] = str(error)
            return
        found.put_fit(b, fit)


def refuse_nearly_the_same(setup):
    """Raise Unsuitable where independent effects of one grouping are nearly of one line.

    As an intercept and a slope in a variable far from zero are: then the criterion has narrow
    valleys, which a grid does not see. Correlated effects are mixed until they are orthogonal.
    """
    blocks = setup.design.blocks
    related = set(setup.covariance.entries.pairs)
    for i, j in combinations(range(len(blocks)), 2):
        if (j, i) in related or not np.array_equal(blocks[i].codes, blocks[j].codes):
            continue
        a, b = (setup.design.weighted(blocks[k].matrix).data for k in (i, j))
        if len(a) == len(b) and abs(a @ b) > NEARLY_ONE_LINE * np.sqrt((a @ a) * (b @ b)):
            raise Unsuitable(f"{blocks[i].name!r} and {blocks[j].name!r} are nearly the same")


def of_the_commonest_kind(kinds):
    """The places of those that are of the kind that most are of."""
    if not kinds:
        return []
    (commonest, _), *_ = Counter(kinds).most_common()
    return [i for i, kind in enumerate(kinds) if kind == commonest]


def _joined(several):
    """What stands for responses of several families of one kind, as for those of one."""
    first = several[0]
    if first[0].ndim == 2:
        return tuple(np.concatenate(parts) for parts in zip(*several))
    most = max(y1.shape[-1] for y1, *_ in several)
    y1 = np.concatenate([padded_pieces(one[0], most) for one in several], axis=1)
    Xy, yy = (np.concatenate([one[i] for one in several]) for i in (1, 2))
    return y1, Xy, yy
