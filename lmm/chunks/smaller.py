"""Another model of the same rows: with fewer columns of X, or other terms of the same cells."""

from dataclasses import replace

import numpy as np
import pandas as pd

from ..engines import back_substitute, set_up_condensed
from ..errors import LMMError, shorten
from ..model import (
    Covariance,
    check_distinct,
    check_not_response,
    full_rank,
    is_factor,
    read,
    values_of,
    with_factors,
)
from .blocks import blocks_of

SAME_VALUES = 1e-12         # relative, of a column at the remembered rows
AGAIN = "; fit the chunks again, with it"


def smaller_setup(setup, form, ref, reml, engine, functions, bars):
    """The `Setup` of a model whose X and Z the rows of another one know: no chunk is read.

    Its columns of X are among those of the other one, its groupings are made of the same factors,
    and its effects are among the same; an LMMError names what is not.
    """
    old = setup.design
    named = {name: old.data[name] for name in old.dtypes if name in old.data}
    frame = pd.DataFrame(named)
    formula, terms = read(form, frame, ref, functions, bars, tuple(old.given.values()))
    formula = formula.of_parts()
    check_not_response(formula, terms)
    if formula.response != old.response:
        raise LMMError(f"the rows of chunks are not kept, so {formula.response!r} is not known, a "
                       "response" + AGAIN)
    data = old.data
    if bars:
        terms, data = with_factors(formula, terms, data)

    # -- X: which of the old columns, and [Q_X e]
    _, X_of_data, names, known = formula.evaluate(data)
    places = known_columns(old, X_of_data, names, known)
    old_X = setup.Q_X @ setup.R_X
    whole = old.left_out.whole(old_X)[:, places]
    R = np.linalg.qr(whole, mode="r")
    padded = np.vstack([R, np.zeros((len(names) + 1 - len(R), len(names)))])
    _, x_names, left_out = full_rank(padded, names)
    kept = left_out.kept if left_out.names else np.arange(len(names))
    X = whole[:, kept]
    known_beta = dict(zip(old.x_names, setup.beta_0))
    beta = np.array([known_beta.get(name, 0.0) for name in x_names])
    is_left = np.array([name not in x_names for name in old.x_names], bool)
    e = old.e + old_X[:, is_left] @ setup.beta_0[is_left]
    Q, R_X = np.linalg.qr(X)
    R_X = np.asfortranarray(R_X)
    for _ in range(2):
        along = Q.T @ e
        e = e - Q @ along
        beta = beta + back_substitute(R_X, along)

    # -- Z
    blocks = []
    structures = []
    effects = []
    n_data = len(X_of_data)
    codes = old.codes
    for term in terms:
        numbers = tuple(name for name in term.variables if not is_factor(data[name]))
        of_data, of_effects = values_of(term, numbers, data, n_data)
        values = [known_effect(old, term, name, column)
                  for name, column in zip(of_effects, of_data.T)]
        unknown = [name for name in term.variables
                   if is_factor(data[name]) and name not in codes]
        if unknown:
            raise LMMError(f"the rows of chunks are not kept, so the levels of {unknown[0]!r} in "
                           "them are not known" + AGAIN)
        of_term, structure = blocks_of(term, data, np.column_stack(values), codes)
        blocks += of_term
        structures.append(structure)
        effects.append(of_data)
    check_distinct(blocks)
    design = replace(
        old,
        formula=formula,
        terms=terms,
        covariance=Covariance(structures),
        x_names=x_names,
        blocks=tuple(blocks),
        data=data,
        whole_x_of_data=X_of_data,
        effects=tuple(effects),
        R_X=R_X,
        e=e,
        form=form,
        left_out=left_out,
    )
    U = np.asfortranarray(np.column_stack([Q, e]))
    return set_up_condensed(design, reml, U, beta, setup.log_weights, engine)


def known_columns(old, X, names, known):
    """Which of the old columns of X these are, at the remembered rows (., K)."""
    all_names = old.left_out.all_names(old.x_names)
    before = old.whole_x_of_data
    *_, known_before = old.formula.evaluate(old.data)
    if not np.allclose(known, known_before, rtol=SAME_VALUES, atol=0.0):
        raise LMMError("the offset is another one" + AGAIN)
    places = []
    for name, column in zip(names, X.T):
        place = all_names.index(name) if name in all_names else None
        if place is None or not np.allclose(before[:, place], column, rtol=SAME_VALUES, atol=0.0):
            raise LMMError(
                f"the rows of chunks are not kept, and the column of X {name!r} is none of those "
                f"that are known, {shorten(all_names)}" + AGAIN
            )
        places.append(place)
    return places


def known_effect(old, term, name, column):
    """The values of an effect at the rows that stand for all, from those at the remembered ones."""
    for span, of_data in zip(old.covariance.spans, old.effects):
        for block, values in zip(old.blocks[span], of_data.T):
            if np.allclose(values, column, rtol=SAME_VALUES, atol=0.0):
                return block.matrix.data
    raise LMMError(
        f"the rows of chunks are not kept, and the random effect {name!r} of {term.written} is "
        "none of those that are known" + AGAIN
    )
