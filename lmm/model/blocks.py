"""The blocks of Z: from a term and the data to sparse matrices with labelled columns."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from ..errors import LMMError, shorten, warn
from ..formula import ticked
from .columns import LARGEST_SMALL, is_factor
from .grouping import Grouping, observed_levels, plain_grouping

# What the effects before leave of an effect's values, relative to their length, below which ...
DEPENDENT_EFFECT = 1e-10    # ... it is their combination, and ...
NEARLY_DEPENDENT = 2e-4     # ... their covariances, in the square of this, are lost to rounding.

RESIDUAL = 1e-10            # of I, what no psi makes of it, below which some psi makes all of it
LARGEST_SYSTEM = 5e7        # numbers, of the equations for that

MOST_PER_LEVEL = 2          # (co)variances of a term per level, beyond which there is a warning
SMALLEST_VALUE = 1e-100     # of an effect, the largest in absolute value: its square ...
LARGEST_VALUE = 1e100       # ... is to be a number, neither 0 nor inf


@dataclass(frozen=True, eq=False)
class Block:
    """One block of Z: one random effect, in each level of a grouping.

    Attributes
    ----------
    factors : tuple of str
        The variables whose combinations of levels are the grouping.
    predictors : tuple of str
        The variables that its values depend on.
    effect : str
        What each level has a random one of: ``"Intercept"``, or the slope in a variable,
        ``"Days"``.
    grouping : Grouping
        The levels, one per column: observed combinations of the factors' values.
    matrix : scipy.sparse.csr_array, shape (n, number of levels)
        Of a model by formula with at most one entry per row, so that its columns are orthogonal.
    name : str
        ``"Worker:Machine"``: the variables in the order of `ref`; or the grouping, and the effect
        if it is no intercept.
    """

    factors: tuple
    predictors: tuple
    effect: str
    grouping: Grouping
    matrix: sparse.csr_array = field(repr=False)
    name: str

    @property
    def group(self):
        """The factors' names joined by colons: ``"Subject"`` for ``"Subject:Days"``."""
        return ":".join(self.factors)

    @property
    def levels(self):
        """A label for each level, ``"6:A"``: a tuple of str."""
        return self.grouping.labels

    @property
    def codes(self):
        """The number of the level of each row."""
        entries_by_row = np.diff(self.matrix.indptr)
        if (entries_by_row != 1).any():
            raise LMMError(
                f"the rows of block {self.name!r} belong to no level, or to several, "
                "where one each is needed"
            )
        return self.matrix.indices


def codes_of(blocks):
    """The number of the level of each row, of blocks with the same levels.

    An LMMError where a row has none, or several.
    """
    together = sum(abs(block.matrix) for block in blocks)
    return replace(blocks[0], matrix=sparse.csr_array(together)).codes


# -- from a term to its blocks


def make_blocks(term, data, structure_of, root_weights=None):
    """The blocks of Z of a term, and its structure.

    A block for each effect, with a column per level of its grouping. `structure_of` is that of a
    term and its number of effects.
    """
    # -- the grouping: factors, and the level of each row
    factors = tuple(name for name in term.variables if is_factor(data[name]))
    numbers = tuple(name for name in term.variables if name not in factors)
    if factors:
        columns = [data[name].array for name in factors]
        codes, grouping = observed_levels(factors, columns)
    else:
        codes, grouping = _one_level(term, data)
    n = len(codes)

    # -- the effects: their values by row
    values, effects = values_of(term, numbers, data, n)
    check_independent(term, values, effects)
    structure = structure_of(term, len(effects))
    predictors = numbers + effect_variables(term)
    for name, column, effect in zip(block_names(term, effects), values.T, effects):
        _check_size(name, effect, np.abs(column).max())
    if factors:
        _refuse_levels(term, grouping, codes, values, structure, root_weights)
    if len(effects) > 1:
        _refuse_factors_of_levels(term, data, codes)
    if len(effects) > 1 and term.structure == "unstructured":
        _warn_of_many_effects(term, len(effects), len(grouping))
    if len(effects) > 1 and term.structure == "compound symmetry" and "Intercept" in effects:
        warn(
            f"{term.written} gives the intercept and the other effects one variance, which depends "
            f"on how they are coded; for the levels themselves write cs(0 + {term.bar})"
        )

    # -- a block for each: row i has its value in the column of its level
    blocks = []
    starts = np.arange(n + 1, dtype=np.int32 if n < LARGEST_SMALL else np.int64)
    for name, column, effect in zip(block_names(term, effects), values.T, effects):
        entries = (np.ascontiguousarray(column), codes, starts)
        matrix = sparse.csr_array(entries, shape=(n, len(grouping)))
        blocks.append(Block(factors, predictors, effect, grouping, matrix, name))
    return blocks, structure


def block_names(term, effects):
    """The names of a term's blocks: its own, with the effect if it is no intercept."""
    names = []
    for effect in effects:
        implied = term.effects is None or effect == "Intercept"
        names.append(term.name if implied else f"{term.name}:{effect}")
    return names


def effect_variables(term):
    """The variables left of a term's bar; of a term of `ref` none."""
    return () if term.effects is None else term.effects.predictors


# -- the grouping


def _one_level(term, data):
    """A term without a factor is one column of Z; with a warning, since integers may be labels."""
    numbers = [data[name] for name in term.variables]
    whole = all(column.dtype.kind == "i" for column in numbers)
    what = "integers" if whole else "numbers"
    groups = len(set(zip(*numbers)))
    kinds = ", ".join(f'"{name}": "category"' for name in term.variables)
    warn(
        f"{term.name!r} holds {what} and no factor, so it is one slope, not {groups} groups; "
        f"if it labels groups make it a category: dat = dat.astype({{{kinds}}})"
    )
    return np.zeros(len(numbers[0]), np.int64), plain_grouping("level", [term.name])


def _refuse_levels(term, grouping, codes, values, structure, root_weights):
    """Raise an LMMError if there is one level, or the effects can be the residual."""
    n, c = values.shape
    m = len(grouping)
    if m == 1:
        raise LMMError(
            f"block {term.name!r} has one level, {grouping.labels[0]!r}, so its variance cannot be "
            "estimated; leave it out"
        )
    if not are_residuals(codes, values, structure, root_weights):
        return
    if c == 1:
        raise LMMError(
            f"block {term.name!r} has {m} levels for {n} observations, "
            "so its variance cannot be told from the residual's; use a coarser grouping"
        )
    raise LMMError(
        f"the (co)variances of ({term.bar}), {c} effects in each of {m} levels for {n} "
        "observations, and the residual's cannot be told apart, whatever the response; "
        "use fewer random effects, or a coarser grouping"
    )


def are_residuals(codes, values, structure, root_weights=None):
    """Whether some psi of this structure makes Z psi Z' the covariance of the residuals.

    Weighted, that is I: within each level z psi z' = I, z (rows, c) being the effects' values there
    times the square roots of the weights. The rank of z psi z' is at most c, so no level has more
    rows; then it is least squares in the entries of psi, an equation for each two rows of a level.
    Where these are too many it is left to what is found of V as a whole.
    """
    n, c = values.shape
    sizes = np.bincount(codes)
    most = sizes.max()
    if most > c or n * most * len(structure.pairs) > LARGEST_SYSTEM:
        return False
    z = values if root_weights is None else values * root_weights[:, None]
    z = z / np.abs(z).max()                     # so that no square is inf

    # -- the pairs of rows within levels, each once: a row, and the one so many places after it
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(sizes)[codes[order]]
    pairs = []
    for after in range(most):
        places = np.arange(n)[np.arange(n) + after < ends]
        pairs.append((order[places], order[places + after]))
    first, second = map(np.concatenate, zip(*pairs))

    # -- z_a' psi z_b = 1 if a = b, else 0, linear in the entries of psi that are free to vary
    products = np.empty((len(first), len(structure.pairs)))
    for column, (i, j) in enumerate(structure.pairs):
        products[:, column] = z[first, i] * z[second, j]
        if i != j:
            products[:, column] += z[first, j] * z[second, i]
    products = products @ structure.entries
    lengths = np.linalg.norm(products, axis=0)
    products /= np.where(lengths > 0, lengths, 1.0)
    wanted = (first == second).astype(float)
    found = np.linalg.lstsq(products, wanted, rcond=1e-12)[0]
    return np.linalg.norm(products @ found - wanted) < RESIDUAL * np.sqrt(n)


def _refuse_factors_of_levels(term, data, codes):
    """Raise an LMMError about an effect of a factor that is constant within each level.

    What a level has at the factor's other values is never seen, nor its covariance with the rest.
    """
    _, first_rows = np.unique(codes, return_index=True)
    for expression, is_number in _beside_others(term, data):
        column = data[expression.coded or expression.column]
        values = column.array.codes if is_factor(column) else column.to_numpy()
        of_level = values[first_rows]
        n_values = len(np.unique(of_level))
        if n_values == 1 or not np.array_equal(values, of_level[codes]):
            continue
        if is_number and n_values > 2:                      # the variance is a parabola in it
            continue
        written = expression.shown if expression.coded else ticked(expression.column)
        factor = f"C({written})" if is_number else written
        grouping = ":".join(map(ticked, term.variables))
        raise LMMError(
            f"{expression.shown!r} is constant within each level of {term.name!r}, so the "
            f"(co)variances of {term.written} cannot be told apart; "
            f"write {written} + (1 | {grouping}), "
            f"or for a variance in each of its levels (0 + {factor} || {grouping})"
        )


def _beside_others(term, data):
    """The factors in the effects of a term that share covariances or a level's variance.

    And numbers that share them with an intercept; each with whether it is numbers.
    """
    if term.effects is None or term.structure == "compound symmetry":
        return
    summands = term.effects.summands
    is_correlated = term.structure == "unstructured"
    for summand in summands:
        has_equals = () in summands and len(summand) == 1
        for expression in summand:
            column = expression.column
            is_number = column is not None and not is_factor(data[column])
            if is_number and is_correlated and has_equals:
                yield expression, True
            elif (expression.coded or column) and not is_number and (is_correlated or has_equals):
                yield expression, False


def _warn_of_many_effects(term, c, m):
    """Warn where c effects have more variances and covariances than m levels can tell."""
    several = c * (c + 1) // 2
    if several > MOST_PER_LEVEL * m:
        warn(
            f"the {c} correlated effects of {term.written} have {several} variances and "
            f"covariances, for {m} levels: the fit will be slow and singular; "
            "use fewer effects, or independent ones, with ||"
        )


# -- the effects


def values_of(term, numbers, data, n):
    """The values of a term's effects by row, (n, c), and their names.

    Of a term of `ref` the one effect is the product of its `numbers`, or the constant.
    """
    if term.effects is None and not numbers:
        return np.ones((n, 1)), ["Intercept"]
    if term.effects is None:
        return _product(numbers, data, n), [":".join(numbers)]
    if "offset" in term.effects.functions:
        raise LMMError(f"{term.written} holds an offset, which belongs to the fixed effects")
    values, names, _ = term.effects.evaluate_right(data)
    if not names:
        raise LMMError(
            f"{term.written} holds no random effect; for a random intercept write (1 | g)"
        )
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise LMMError(
            f"the random effect {names[column]!r} of {term.bar} is {values[row, column]} "
            "in some row; a function in it is not defined for the values there"
        )
    return values, list(names)


def _product(numbers, data, n):
    """The product of some columns, (n, 1), inf where it is too large."""
    values = np.ones((n, 1))
    with np.errstate(over="ignore"):
        for name in numbers:
            values *= data[name].to_numpy(float)[:, None]
    return values


def check_independent(term, values, names):
    """Raise an LMMError if an effect's values are a combination of those before it, or nearly so.

    Those of other structures than unstructured may sum to each other: V decides. With columns of
    length 1, values = QR, |R_jj| is the length of what the columns before j leave of column j.
    Columns of zeros are refused as blocks, with their name.
    """
    norms = np.linalg.norm(values, axis=0)
    if term.effects is None or term.structure != "unstructured" or not norms.all():
        return
    R = np.linalg.qr(values / norms, mode="r")
    left = np.abs(R.diagonal())
    smallest = left.min() if len(R) == len(names) else 0.0          # 0: fewer rows than effects
    if smallest < DEPENDENT_EFFECT:
        raise LMMError(
            f"the random effects of ({term.bar}), {shorten(names)}, "
            "are linear combinations of each other; drop one of them"
        )
    if smallest < NEARLY_DEPENDENT:
        name = names[int(np.argmin(left))]
        raise LMMError(
            f"the random effect {name!r} of ({term.bar}) is nearly a combination of those before "
            "it, its values being so far from zero beside their spread; "
            f"write center({name}), or shift it"
        )


def _check_size(name, effect, largest):
    """Raise an LMMError if an effect's values are all 0, or too small or too large."""
    if SMALLEST_VALUE < largest < LARGEST_VALUE:
        return
    if largest == 0:
        raise LMMError(f"block {name!r} is zero in every row; leave it out")
    raise LMMError(f"block {name!r} reaches {largest:.3g}; rescale {effect!r}")


# -- the blocks beside each other


def check_distinct(blocks):
    """Raise an LMMError if two blocks are the same grouping, or differ and have one name."""
    for i, one in enumerate(blocks):
        for other in blocks[:i]:
            if same_grouping(one, other):
                raise LMMError(
                    f"{_said_twice(one, other)}, so their variances cannot be told apart; "
                    "drop one of them"
                )
            if one.group == other.group and one.factors != other.factors:
                raise _one_name(one.group)
            if one.name == other.name:
                raise _one_name(one.name)


def _one_name(name):
    """The LMMError about two groupings, or two blocks, whose names are the same."""
    return LMMError(
        f"two different blocks would be called {name!r}; "
        "rename a column, so that none holds a colon"
    )


def _said_twice(one, other):
    """What is said of two blocks that are the same grouping."""
    if one.name == other.name:
        return f"the effect {one.effect!r} of {one.group!r} comes twice"
    return f"blocks {other.name!r} and {one.name!r} are the same grouping"


def same_grouping(one, other):
    """Whether two blocks have the same Z Z', whatever their names and the order of their levels.

    Each row has one entry, z_i of the one and w_i of the other: they have if |z_i| = |w_i|, and
    the levels met (rows with z_i = 0 aside) go in pairs, z_i w_i being of one sign in each pair.
    """
    a, b = one.matrix, other.matrix
    if not np.array_equal(np.abs(a.data), np.abs(b.data)):
        return False
    if a.shape != b.shape and a.data.all():
        return False                            # each level is met, and there are more of one
    met = a.data != 0
    level = a.indices[met].astype(np.int64)
    other_level = b.indices[met]
    same_sign = (a.data * b.data > 0)[met]
    meetings = (level * b.shape[1] + other_level) * 2 + same_sign
    n_meetings = len(np.unique(meetings))
    return n_meetings == len(np.unique(level)) == len(np.unique(other_level))
