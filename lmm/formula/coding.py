"""The terms of a formula's fixed effects: what they are made of, and X in other codings.

patsy's coding of X, a DesignInfo, says for each term which contrast matrix codes each factor. With
other matrices in their place the same formula gives other columns:

    treatment       each factor by the indicators of all its levels but the first,
    indicators      by those of all its levels, in each term: more columns than X has rank.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import patsy


class FixedTerm(NamedTuple):
    """A term of the fixed effects."""

    name: str               # "Machine:Days", as it was written
    factors: frozenset      # its categorical expressions, and ...
    covariates: frozenset   # ... its numerical ones, by what they are called
    columns: np.ndarray     # which columns of X are its

    @property
    def degree(self):
        """How many expressions it is the product of."""
        return len(self.factors) + len(self.covariates)

    def is_contained_in(self, other):
        """As SAS has it: the other has all its factors and more, and the same covariates."""
        return self.factors < other.factors and self.covariates == other.covariates

    def is_marginal_to(self, other):
        """Whether the other has all it has, and more."""
        mine = self.factors | self.covariates
        return mine < other.factors | other.covariates


@dataclass(frozen=True, eq=False)
class Coding:
    """The terms of X but the constant, by degree and as written; X in other codings.

    Offsets are in none of it.
    """

    terms: tuple
    treatment: np.ndarray       # (n, K), the columns of each term where X has them
    indicators: np.ndarray      # (n, K or more)


def coding_of(info, summands, is_offset, data):
    """The `Coding` of patsy's DesignInfo for these summands, on `data`, as columns enter it.

    `is_offset` says which columns come from offsets.
    """
    shift = np.cumsum(is_offset)
    written = {_key(summand): place for place, summand in enumerate(summands)}
    terms = []
    for term, place in info.term_slices.items():
        columns = np.arange(place.start, place.stop)
        if not term.factors or is_offset[columns].any():
            continue
        names = {"categorical": set(), "numerical": set()}
        for factor in term.factors:
            names[info.factor_infos[factor].type].add(factor.name())
        factors = frozenset(names["categorical"])
        covariates = frozenset(names["numerical"])
        terms.append((
            len(term.factors),
            written[_key(term.factors)],
            FixedTerm(term.name(), factors, covariates, columns - shift[columns]),
        ))
    terms = tuple(term for _, _, term in sorted(terms, key=lambda one: one[:2]))
    treatment = _columns(_recoded(info, _by_treatment), data)
    indicators = _columns(_recoded(info, _by_indicators), data)
    return Coding(terms, treatment, indicators)


def _key(expressions):
    """What a summand of ours and patsy's term of it share."""
    return frozenset(expression.code for expression in expressions)


def _recoded(info, subterms_of):
    """The DesignInfo with other subterms for each term."""
    codings = OrderedDict()                  # as patsy wants it
    names = []
    for term, subterms in info.term_codings.items():
        codings[term] = subterms_of(term, subterms, info.factor_infos)
        width = sum(subterm.num_columns for subterm in codings[term])
        names += [f"{term.name()} {j}" for j in range(width)]
    return patsy.DesignInfo(names, info.factor_infos, codings)


def _by_treatment(term, subterms, factor_infos):
    """Each contrast matrix by the treatment one of its width; one of fewer columns stays."""
    found = []
    for subterm in subterms:
        matrices = {}
        for factor, old in subterm.contrast_matrices.items():
            levels, width = old.matrix.shape
            indicators = np.eye(levels)[:, levels - width :]
            new = patsy.ContrastMatrix(indicators, list(map(str, range(width))))
            matrices[factor] = new if width >= levels - 1 else old
        found.append(patsy.design_info.SubtermInfo(
            subterm.factors, matrices, subterm.num_columns
        ))
    return found


def _by_indicators(term, subterms, factor_infos):
    """One subterm, each factor by the indicators of all its levels."""
    own = {}
    for subterm in subterms:
        own.update(subterm.contrast_matrices)
    matrices = {}
    width = 1
    for factor in term.factors:
        info = factor_infos[factor]
        if info.type == "numerical":
            width *= info.num_columns
            continue
        levels = len(info.categories)
        old = own[factor]
        whole = patsy.ContrastMatrix(np.eye(levels), list(map(str, range(levels))))
        matrices[factor] = whole if old.matrix.shape[1] >= levels - 1 else old
        width *= matrices[factor].matrix.shape[1]
    return [patsy.design_info.SubtermInfo(term.factors, matrices, width)]


def _columns(info, data):
    """The columns of a DesignInfo, (n, K), without those of offsets."""
    keep = patsy.NAAction(on_NA="raise", NA_types=[])
    X = patsy.build_design_matrices([info], data, NA_action=keep)[0]
    offsets = np.zeros(X.shape[1], bool)
    for term, place in info.term_slices.items():
        offsets[place] = any(factor.code.startswith("offset(") for factor in term.factors)
    return np.asarray(X)[:, ~offsets]
