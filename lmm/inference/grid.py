"""The reference grid: every combination of the factors' levels, with the covariates at one value.

Its rows go through the formula, so interactions, splines and polynomials are what they are in it.
Source: Searle, Speed and Milliken (1980), "Population marginal means in the linear model".
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten
from ..model import Matrices

MOST_CELLS = 1_000_000      # rows of a grid


@dataclass(frozen=True, eq=False)
class Grid:
    """The cells, and their rows of X.

    Attributes
    ----------
    axes : dict
        From each variable of the fixed effects to its values in the grid.
    cells : DataFrame
        By cell the values of the variables.
    X : ndarray, shape (cells, K)
        By all columns of X, those that are left out too.
    offset : ndarray, shape (cells,)
    """

    axes: dict
    cells: pd.DataFrame
    X: np.ndarray
    offset: np.ndarray


def variables_of(fit):
    """The variables of the fixed effects that have levels, and the numeric ones."""
    formula = fit.setup.design.formula
    if isinstance(formula, Matrices):
        raise LMMError(
            "this is a fit of matrices, which has no variables to make a grid of; "
            "test rows of X by fit.contrast(L)"
        )
    data = fit.setup.design.data
    coded = {one.coded for summand in formula.summands for one in summand if one.coded}
    factors = {}
    covariates = []
    for name in formula.predictors:
        if isinstance(data[name].dtype, pd.CategoricalDtype):
            factors[name] = list(data[name].array.categories)
        elif name in coded:
            factors[name] = sorted(np.unique(data[name]).tolist())
        else:
            covariates.append(name)
    return factors, covariates


def make_grid(fit, at=None, spread=()):
    """The `Grid` of a fit, `at` given values of some variables.

    `spread` are covariates that take several values, one after the other, so that derivatives can
    be found: pairs of a name and what is added to its value, (d,).
    """
    design = fit.setup.design
    factors, covariates = variables_of(fit)
    axes = dict(factors)
    for name in covariates:
        axes[name] = [design.mean_of(name)]
    for name, values in _checked_at(at, axes, factors, design).items():
        axes[name] = values
    size = int(np.prod([len(values) for values in axes.values()], dtype=float))
    if size > MOST_CELLS:
        raise LMMError(
            f"the reference grid has {size} cells, one for each combination of levels; "
            "give at= with fewer values"
        )
    index = pd.MultiIndex.from_product(axes.values(), names=list(axes)) if axes else None
    cells = index.to_frame(index=False) if axes else pd.DataFrame(index=range(1))
    X, offset = rows_of_cells(design, cells)
    return Grid(axes, cells, X, offset)


def rows_of_cells(design, cells):
    """X by all its columns, (cells, K), and the offset of cells of variables."""
    formula = design.formula
    new = {}
    for name in formula.predictors:
        column = design.data[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            new[name] = pd.Series(pd.Categorical(cells[name], dtype=column.dtype))
        else:
            new[name] = pd.Series(cells[name].to_numpy().astype(column.dtype.type)
                                  if column.dtype.kind == "b" else cells[name].to_numpy(float))
    in_fit = design.whole_x_of_data
    if not formula.predictors:
        return np.repeat(in_fit[:1], len(cells), axis=0), np.full(len(cells), given_offset(design))
    X, offset = formula.columns_at(new, len(cells), design.data, in_fit)
    if not np.isfinite(X).all():
        place, column = np.argwhere(~np.isfinite(X))[0]
        values = ", ".join(f"{name} = {cells[name].iloc[place]}" for name in cells)
        raise LMMError(f"a column of X is {X[place, column]} at {values}; give at= other values")
    return X, offset + given_offset(design)


def given_offset(design):
    """The mean over the rows of the offset that was given beside the formula."""
    given = design.given["offset"]
    if given is None:
        return 0.0
    if isinstance(given, str):
        return design.mean_of(given)
    *_, of_formula = design.formula.evaluate_right(design.data)
    return float(np.mean(design.offset - of_formula))


def _as_level(value, levels):
    """The level that equals a value: True for 1; the value itself if there is none."""
    return levels[levels.index(value)] if value in levels else value


def _checked_at(at, axes, factors, design):
    """`at` as lists of values by variable, each a level where the variable is a factor."""
    if at is None:
        return {}
    if not isinstance(at, dict):
        raise LMMError(f"at is {at!r}; it is a dict from variables to values, as in {{'age': 40}}")
    found = {}
    for name, values in at.items():
        if name not in axes:
            raise unknown_variable(name, "at", axes, design)
        scalar = np.isscalar(values) or isinstance(values, str)
        values = [values] if scalar else list(values)
        if not values:
            raise LMMError(f"at holds no value of {name!r}")
        if name in factors and isinstance(design.data[name].dtype, pd.CategoricalDtype):
            values = [_as_level(value, factors[name]) for value in values]
            for value in values:
                if value not in factors[name]:
                    raise LMMError(
                        f"at holds {value!r}, which is no level of {name!r}; "
                        f"its levels are {shorten(factors[name])}"
                    )
        else:
            try:
                values = [float(value) for value in values]
            except (TypeError, ValueError):
                raise LMMError(f"at holds {values!r} for {name!r}, which is numeric") from None
            if not np.isfinite(values).all():
                raise LMMError(f"at holds {values!r} for {name!r}; it takes finite numbers")
            if name in factors and not set(values) <= set(map(float, factors[name])):
                raise LMMError(
                    f"at holds {values!r} for {name!r}, whose levels are "
                    f"{shorten(factors[name])}"
                )
        if len(set(values)) < len(values):
            raise LMMError(f"at holds a value of {name!r} twice")
        found[name] = values
    return found


def unknown_variable(name, argument, axes, design):
    """The LMMError about a name that is no variable of the fixed effects."""
    if not isinstance(name, str):
        return LMMError(f"{argument} holds {name!r}, which is no name of a variable")
    known = f"its variables are {', '.join(map(repr, axes)) or 'none'}"
    if name in design.dtypes:
        return LMMError(
            f"{name!r} is in no fixed effect of {design.formula.form!r}; {known}"
        )
    for summand in design.formula.summands:
        for expression in summand:
            if name == expression.shown and len(expression.variables) == 1:
                variable = expression.variables[0]
                return LMMError(f"{argument} holds {name!r}; give the variable, {variable!r}")
    if ":" in name or "*" in name or "+" in name:
        return LMMError(f"{argument} holds {name!r}; for several variables give a list of names")
    return LMMError(f"{argument} holds {name!r}, which is no variable of the fit; {known}")
