"""Degrees of freedom of the fixed effects' t by the rules of several programs.

Sources: Satterthwaite and Kenward-Roger as in this package; containment and between-within: SAS
Institute, "The MIXED Procedure", option DDFM= of its MODEL statement; inner and outer groups:
Pinheiro and Bates (2000), "Mixed-Effects Models in S and S-PLUS", page 91.
"""

from itertools import pairwise

import numpy as np

from ..errors import LMMError

SATTERTHWAITE = "Satterthwaite's degrees of freedom"
KENWARD_ROGER = "Kenward and Roger's degrees of freedom"
ROWS_LESS_K = "degrees of freedom n - k"
NORMAL = "the normal distribution, infinite degrees of freedom"
CONTAINMENT = "degrees of freedom by containment, SAS's default"
INNER_OUTER = "degrees of freedom by inner and outer groups, as nlme's"
BETWEEN_WITHIN = "degrees of freedom between and within {}, SAS's DDFM=BW"
GROUPS = "the number of groups of {} less 1"
GROUPS_LESS_K = "the number of groups of {} less k"
MOST_CELLS_OF_RANKS = 10**6      # n (k + p), beyond which ranks of [X Z] are not found here
CONSTANT = 1e-9         # of a column's size: it does not vary within a group


def freedoms(fit):
    """(words, function, whether its covariance is Kenward and Roger's) for each rule.

    The function takes T, (k', k), of rows T beta, and in words by which coding of X they are the
    columns', () for its own; it returns None where the rule, counting columns, says nothing.
    """
    yield SATTERTHWAITE, lambda T, coding: fit.contrast(T)["df"].to_numpy(), False
    yield KENWARD_ROGER, lambda T, coding: _kenward_roger(fit, T)["df"].to_numpy(), True
    yield NORMAL, lambda T, coding: np.full(len(T), np.inf), False
    for words, values in counted(fit):
        yield words, lambda T, coding, values=values: None if coding else values, False


def _kenward_roger(fit, T):
    return fit.contrast(T, df="kr")


def kenward_roger_errors(fit, T):
    """Standard errors of T beta by Kenward and Roger's covariance; None where there is none."""
    try:
        return _kenward_roger(fit, T)["se"].to_numpy()
    except LMMError:
        return None


def counted(fit):
    """(words, degrees of freedom by column of X) of the rules that count rows, columns, groups."""
    design = fit.setup.design
    n, k = fit.nobs, len(fit.beta)
    yield ROWS_LESS_K, np.full(k, float(n - k))
    if not design.keeps_rows or not design.blocks:
        return
    codes = groupings(design)
    for name, code in codes.items():
        count = len(np.unique(code))
        yield GROUPS.format(name), np.full(k, count - 1.0)
        yield GROUPS_LESS_K.format(name), np.full(k, float(count - k))
        yield BETWEEN_WITHIN.format(name), between_within(design.X, code)
    if is_nested(list(codes.values())):
        yield INNER_OUTER, inner_outer(design.X, list(codes.values()))
    if n * (k + design.p) <= MOST_CELLS_OF_RANKS:
        yield CONTAINMENT, containment(design)


# -- groups ----------------------------------------------------------------------------------------


def groupings(design):
    """The group of each row, (n,), by grouping, those of fewer groups first."""
    found = {}
    for block in design.blocks:
        if block.group and block.group not in found:
            found[block.group] = np.asarray(block.matrix.tocsr().indices)
    sized = {name: code for name, code in found.items() if len(code) == design.n}
    return dict(sorted(sized.items(), key=lambda item: len(np.unique(item[1]))))


def is_nested(codes):
    """Whether each grouping's groups lie in one group of the grouping before it."""
    for outer, inner in pairwise(codes):
        pairs = np.unique(np.column_stack([outer, inner]), axis=0)
        if len(pairs) > len(np.unique(inner)):
            return False
    return bool(codes)


def varies_within(X, code):
    """Which columns of X vary within a group, (k,), bool."""
    _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    differences = np.abs(X - X[first][inverse]).max(axis=0)
    return differences > CONSTANT * np.abs(X).max(axis=0)


def between_within(X, code):
    """Groups less the columns that are constant in groups for these; what is left for others."""
    groups = len(np.unique(code))
    within = varies_within(X, code)
    between = float(groups - (~within).sum())
    rest = float(len(X) - groups - within.sum())
    return np.where(within, rest, between)


def inner_outer(X, codes):
    """denDF_i = m_i - (m_(i-1) + p_i), i being the level within whose groups a term is constant.

    m_i groups at level i, m_0 = 1 with an intercept, n at the last; the intercept is at the last.
    """
    n, k = X.shape
    constant = (np.ptp(X, axis=0) == 0) & (np.abs(X[0]) > 0)
    has_intercept = bool(constant.any())
    sizes = [int(has_intercept), *(len(np.unique(code)) for code in codes), n]
    level = np.full(k, len(codes) + 1)
    for i, code in reversed(list(enumerate(codes, 1))):
        level[~varies_within(X, code)] = i
    level[constant] = len(codes) + 1
    counts = [np.sum((level == i) & ~constant) for i in range(len(sizes))]
    return np.array([float(sizes[i] - sizes[i - 1] - counts[i]) for i in level])


# -- containment -----------------------------------------------------------------------------------


def containment(design):
    """The least rank that a random effect containing the fixed one adds to [X Z].

    What an effect adds is counted in the order in which they are written. One contains a fixed
    effect if it has all its variables; n - rank [X Z] where none has.
    """
    M = design.X
    whole = np.linalg.matrix_rank(M)
    added = []
    for block in design.blocks:
        M = np.column_stack([M, block.matrix.toarray()])
        rank = np.linalg.matrix_rank(M)
        added.append(float(rank - whole))
        whole = rank
    variables = [_variables(block) for block in design.blocks]
    found = []
    for name in design.x_names:
        of_column = _variables_of_column(name)
        ranks = [rank for rank, has in zip(added, variables) if of_column <= has]
        found.append(min(ranks, default=float(design.n - whole)))
    return np.array(found)


def _variables(block):
    """The names of a block's grouping factors and of its effect."""
    names = set(block.name.split(":"))
    return names | {block.effect} - {"Intercept"}


def _variables_of_column(name):
    """The variables in the name of a column of X, ``"a[T.x]:b"``: a and b."""
    if name == "Intercept":
        return set()
    return {part.split("[")[0] for part in name.split(":")}
