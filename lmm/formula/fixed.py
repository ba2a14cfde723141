"""Formulas that have been read: to y and X, by patsy; and what they are for other data.

patsy's words: a formula's right-hand side is a sum of terms, each a product of factors. A *factor*
is a categorical variable here, so these are *summands*, each a product of *expressions*.
"""

import importlib
import math
import sys
from types import FunctionType, ModuleType

import numpy as np
import pandas as pd
import patsy
from patsy.origin import Origin

from ..errors import LMMError, warn
from .coding import coding_of
from .expressions import CONVERTERS, entering
from .functions import NAMED_FUNCTIONS, STANDARD
from .names import Names
from .reading import read_by_patsy, read_plain_names
from .text import squeezed
from .updating import with_columns_for_dots

MOST_NUMBERS = 10_000_000           # in X, where it has more columns than rows
LAST_DIGITS = 1e-12     # in which a function may differ from one row to the same row elsewhere
GOLDEN = 0.5 * (np.sqrt(5) - 1)     # whose multiples spread evenly, so that the rows below this
SHARE_TRIED = 0.7                   # ... are so many, and of no pattern
NAMED_AS_STR = ("string", "integer", "boolean")         # levels that patsy writes as str does
KEEP = patsy.NAAction(on_NA="raise", NA_types=[])       # the design reports what is not finite


class Formula:
    """A formula that has passed every check: ready to be evaluated on the columns it uses.

    Parameters
    ----------
    form : str
        As patsy reads it, e.g. ``"score ~ Machine"``.
    columns : list of str
        The columns of the data: the only variables a formula may use.
    kind_of : callable
        What a column, given by its name, holds: "numbers", "booleans" or "categories".
    frame : frame
        Where the user called from; functions, never variables, are looked up there.
    functions : dict, optional
        Functions and modules by name that are meant before any found there: those of a formula
        that this one continues.
    shown : str, optional
        What errors show in place of `form`: a string with the same at the same places.
    others : list of str, optional
        The columns that a lone dot stands for, but for those of the response.

    Attributes
    ----------
    variables : list of str
        The columns that the formula uses, in order of appearance.
    left : Expression
        The left-hand side.
    response_variables, predictors : tuple of str
        The columns that the two sides use, those of an ``offset(...)`` included.
    summands : tuple of tuple of Expression
        The right-hand side: each summand's expressions, whose product it is; () is the constant.
    functions : dict
        What the expressions need besides the columns: functions, modules, constants.
    dotted : tuple of str
        The columns that a lone dot stands for; `form` has their names.

    Notes
    -----
    patsy's descriptions cannot be pickled, and cost more than all else that a formula of plain
    names needs: there is one only when patsy is asked, made of the expressions.
    """

    _description = None                 # patsy's, once it was asked
    _right = None                       # patsy's coding of X, once it has made one
    _is_of_parts = False                # whether it is evaluated on a part of the rows at a time

    def __init__(self, form, columns, kind_of, frame, functions=(), shown=None, others=None):
        said = read_plain_names(form, columns)
        if said is None:
            names = Names(columns, frame, dict(functions), NAMED_FUNCTIONS)
            said = read_by_patsy(form, shown or form, names, kind_of, others)
        vars(self).update(said._asdict())           # each part of a Reading is an attribute
        self.variables = list(dict.fromkeys(said.response_variables + said.predictors))
        form = with_columns_for_dots(form, said.dotted)
        self.form = form if shown is None else squeezed(form)
        self.shown = shown or self.form

    @property
    def response(self):
        """The left-hand side as it is shown."""
        return self.left.shown

    def summand_names(self):
        """The names of the summands, ``"Intercept"`` for the constant."""
        names = []
        for summand in self.summands:
            names.append(":".join(expression.shown for expression in summand) or "Intercept")
        return names

    def of_summand(self, summand):
        """The formula of one summand alone, coded as if there were no other."""
        part = object.__new__(Formula)
        used = [name for expression in summand for name in expression.variables]
        predictors = tuple(dict.fromkeys(used))
        vars(part).update(vars(self))
        vars(part).update(
            summands=(summand,),
            predictors=predictors,
            variables=list(dict.fromkeys(self.response_variables + predictors)),
            _description=None,
            _right=None,
        )
        return part

    # -- y and X of the data

    def evaluate(self, data):
        """``(y, X, names of X's columns, offset)`` on `data`, a dict of complete Series."""
        response = self.left.column
        if response is not None and is_plain_number(data[response]):
            plain = self._plain_columns(data)
            if plain is not None:
                return np.asarray(data[response], float), *plain
        y, X = self._matrices(patsy.dmatrices, self._described(), data)
        _check_response(self.response, y)
        return np.array(y)[:, 0], *self._with_names(X)

    def evaluate_right(self, data):
        """``(X, names of X's columns, offset)``, without the response."""
        plain = self._plain_columns(data)
        if plain is not None:
            return plain
        right = patsy.ModelDesc([], self._described().rhs_termlist)
        return self._with_names(self._matrices(patsy.dmatrix, right, data))

    def _plain_columns(self, data):
        """``(X, names, offset)`` if each summand is the constant or a column of `data`, else None.

        For speed alone, and patsy's answer: for the 54 rows of Machines patsy takes 0.95 ms, this
        0.03 ms, and all of `LMMsetup` with it 1.2 ms. What patsy does, and this repeats:

        1. X holds the constant, then factors, then numbers, each in the order of the formula;
        2. a column of numbers is itself, under its name;
        3. a factor f with the levels l0, l1, l2 is the indicators of l1 and l2, under the names
           f[T.l1] and f[T.l2]; without the constant the first factor is those of all its levels,
           under the names f[l0], f[l1] and f[l2].

        Left to patsy are levels whose names it may write otherwise than `str` does.
        """
        has_constant = () in self.summands
        numbers = {}
        factors = {}
        for summand in self.summands:
            if summand:
                column = data.get(_column(summand))
                if column is None:
                    return None
                name = summand[0].shown
                if is_plain_number(column):
                    numbers[name] = column
                else:
                    factors[name] = column.array
        if not data or not _are_named(factors):
            return None
        n = len(next(iter(data.values())))
        X = [np.ones((n, int(has_constant)))]
        names = ["Intercept"] * has_constant
        first, mark = (1, "T.") if has_constant else (0, "")
        for name, values in factors.items():
            levels = values.categories
            X.append(values.codes[:, None] == np.arange(first, len(levels)))
            names += [f"{name}[{mark}{level}]" for level in levels[first:]]
            first, mark = 1, "T."
        names += numbers
        _refuse_same_names(names)
        parts = [*X, *(np.asarray(column)[:, None] for column in numbers.values())]
        X = np.empty((n, len(names)), order="F")
        start = 0
        for part in parts:
            X[:, start : start + part.shape[1]] = part
            start += part.shape[1]
        nothing = np.broadcast_to(0.0, n)                       # zeros that take no memory
        return X, tuple(names), nothing

    def _described(self):
        """patsy's description of the formula."""
        if self._description is None:
            _refuse_same_names(self.summand_names())
            right = [self._term(summand) for summand in self.summands]
            self._description = patsy.ModelDesc([self._term((self.left,))], right)
        return self._description

    def _term(self, summand):
        """patsy's term of a summand."""
        factors = []
        for expression in summand:
            place = self.places.get(expression.code)
            origin = None if place is None else Origin(self.shown, *place)
            factors.append(ShownAsWritten(expression, origin))
        return patsy.Term(factors)

    def _matrices(self, make, description, data):
        """What one of patsy's functions makes of a description."""
        self._check_width(data)
        environment = patsy.EvalEnvironment([self.functions | CONVERTERS])
        try:
            with np.errstate(all="ignore"):
                columns = entering(data, self.variables)
                return make(description, columns, environment, NA_action=KEEP)
        except LMMError:
            raise
        except (TypeError, ValueError) as error:
            raise LMMError(
                f"form cannot be evaluated: {error}; a function in it does not return numbers or "
                "categories, one per row"
            ) from error

    def _check_width(self, data):
        """Refuse more columns than rows before they are built, unless few of them are not zero.

        So many levels are text that should be numbers, or groups; but of factors nested in each
        other there are as many columns that are not zero as combinations of levels.
        """
        if self._is_of_parts:
            return
        n = len(next(iter(data.values()), ()))
        for summand in self.summands:
            columns = [expression.column for expression in summand if expression.column]
            factors = [name for name in columns if not is_plain_number(data[name])]
            width = math.prod(len(data[name].array.categories) - 1 for name in factors)
            if factors and width >= n > 0:
                combinations = set(zip(*(data[name].array.codes for name in factors)))
                if len(combinations) < n and n * width <= MOST_NUMBERS:
                    continue
                raise LMMError(
                    f"X has {width} columns or more for {n} observations, from "
                    f"{' and '.join(map(repr, factors))}; turn it into numbers, or name it in ref"
                )

    def _with_names(self, X):
        """``(X, names, offset)`` of patsy's matrix, whose coding is kept."""
        self._right = X.design_info
        self._warn_of_what_is_beyond()
        names = np.array(self._right.column_names)[~self._is_offset()].tolist()
        _refuse_same_names(names)
        X, offset = self._without_offset(X)
        return X, tuple(names), offset

    def _warn_of_what_is_beyond(self):
        """Warn where the last values were beyond a spline's boundary knots."""
        for factor, info in self._right.factor_infos.items():
            for basis in info.state["transforms"].values():
                beyond = getattr(basis, "beyond", None)
                if beyond is not None:
                    warn(
                        f"{factor.name()!r} is evaluated at {beyond:g}, beyond its boundary knots "
                        f"{basis.lower:g} and {basis.upper:g}, where {basis.goes_on}, as in R; "
                        "no data say that it does"
                    )

    def _is_offset(self):
        """Which columns that patsy makes come from an ``offset(...)``."""
        coding = self._right
        found = np.zeros(len(coding.column_names), bool)
        for term, columns in coding.term_slices.items():
            calls = [expression.code.startswith("offset(") for expression in term.factors]
            if any(calls) and len(calls) > 1:
                raise LMMError(
                    f"form holds {term.name()!r}; an offset is a term of its own, "
                    "as in 'y ~ x + offset(z)'"
                )
            found[columns] = any(calls)
        return found

    def _without_offset(self, X):
        """X without the columns of ``offset(...)``, and their sum."""
        X = np.array(X)
        is_offset = self._is_offset()
        return X[:, ~is_offset], X[:, is_offset].sum(axis=1)

    # -- X of other data

    def columns_at(self, new, n, data, X):
        """X and offset for n rows of `new`, coded and transformed as they were for `data`.

        Dicts of Series, factors alike; X is that of `data`. Refused where the rows of X depend on
        each other: what they are for new rows is not known then.
        """
        self._recall(data)
        for row in {0, len(X) // 2, len(X) - 1}:
            alone, _ = self._coded({name: data[name].iloc[[row]] for name in self.predictors}, 1)
            if not np.allclose(alone, X[row], rtol=1e-9, atol=1e-9 * np.abs(X).max(initial=0)):
                raise LMMError(
                    "form holds a function of all rows, such as mean(x), so new rows cannot be "
                    "predicted; use center(x) or scale(x), which keep what they found, "
                    "or compute the variable as a column of dat"
                )
        coded = self._coded({name: new[name] for name in self.predictors}, n)
        self._warn_of_what_is_beyond()
        return coded

    def is_row_by_row(self, data):
        """Whether rows of X are the same where others are left out: no mean or knot is in them.

        What remembers something of the data is none; for other functions X is made anew for some of
        the rows, also without the largest and the smallest values, and compared.
        """
        if self._plain_columns(data) is not None:
            return True
        n = len(next(iter(data.values()), ()))
        whole = self._anew()
        X, names, offset = whole.evaluate_right(data)
        if any(info.state["transforms"] for info in whole._right.factor_infos.values()):
            return False
        there = np.column_stack([X, offset])
        for some in self._some_rows(data, n):
            part = {name: column.iloc[some] for name, column in data.items()}
            try:
                X_part, names_part, offset_part = self._anew().evaluate_right(part)
            except (LMMError, patsy.PatsyError):
                return False
            of_part = np.column_stack([X_part, offset_part])
            if names_part != names:
                return False
            if not np.allclose(there[some], of_part, rtol=LAST_DIGITS, atol=0.0):
                return False
        return True

    def _some_rows(self, data, n):
        """The places of some of n rows, several times."""
        yield np.flatnonzero(np.arange(n) * GOLDEN % 1 < SHARE_TRIED)
        for name in self.predictors:
            if is_plain_number(data[name]):
                values = data[name].to_numpy(float)
                middle = np.median(values)
                for some in (values < middle, values > middle):
                    if some.any():
                        yield np.flatnonzero(some)

    def of_parts(self):
        """The same formula, to be evaluated on a part of the rows at a time, however few."""
        found = self._anew()
        found._is_of_parts = True
        return found

    def _anew(self):
        """The same formula, which remembers no data."""
        anew = object.__new__(Formula)
        vars(anew).update(vars(self), _description=None, _right=None)
        return anew

    def width(self, data):
        """How many columns X has for `data`."""
        self._recall(data)
        return np.count_nonzero(~self._is_offset())

    def coding(self, data):
        """The `Coding` of X: its terms, and its columns in other codings, for the `data` of it."""
        self._recall(data)
        columns = {name: data[name] for name in self.predictors}
        n = len(next(iter(data.values())))
        frame = pd.DataFrame(entering(columns, columns), index=None if columns else range(n))
        with np.errstate(all="ignore"):
            return coding_of(self._right, self.summands, self._is_offset(), frame)

    def _recall(self, data):
        """Let patsy code X, unless it has: `data` are those of the fit."""
        if self._right is not None:
            return
        lost = [name for name, value in self.functions.items() if value is None]
        if lost:
            raise LMMError(
                f"form uses the function {lost[0]!r}, which is not kept in a file or sent to "
                "another process, being defined within a function; fit again, "
                "or define it in a module"
            )
        _, X = self._matrices(patsy.dmatrices, self._described(), data)
        self._right = X.design_info

    def _coded(self, columns, n):
        """X and offset for n rows of other data, by the coding that is known."""
        entered = entering(columns, columns)
        frame = pd.DataFrame(entered, index=None if columns else range(n))
        try:
            with np.errstate(all="ignore"):
                X = patsy.build_design_matrices([self._right], frame, NA_action=KEEP)[0]
        except (TypeError, ValueError, NotImplementedError, patsy.PatsyError) as error:
            raise LMMError(
                f"form cannot be evaluated on new data: {str(error).splitlines()[0]}"
            ) from error
        return self._without_offset(X)

    # -- pickles

    def __getstate__(self):
        standard = [name for name, value in self.functions.items() if value is STANDARD.get(name)]
        others = self.functions.keys() - standard
        own = {name: _portable(self.functions[name]) for name in others}
        return vars(self) | {
            "functions": own,
            "standard": standard,
            "_description": None,
            "_right": None,
        }

    def __setstate__(self, state):
        functions = {name: STANDARD[name] for name in state.pop("standard")}
        for name, value in state["functions"].items():
            is_module = isinstance(value, str)
            functions[name] = importlib.import_module(value) if is_module else value
        vars(self).update(state, functions=functions)


def _portable(value):
    """What can be pickled of what a formula calls: a module's name, None for a local function."""
    if isinstance(value, ModuleType):
        return value.__name__
    if not isinstance(value, FunctionType):
        return value
    found = sys.modules.get(value.__module__)
    for part in value.__qualname__.split("."):
        found = getattr(found, part, None)
    return value if found is value else None


class ShownAsWritten(patsy.EvalFactor):
    """patsy's factor of an `Expression`, which has its name for labels and its code for Python."""

    def __init__(self, expression, origin):
        super().__init__(expression.code, origin)
        self._shown = expression.shown

    def name(self):
        """What patsy puts into the names of columns and into its errors."""
        return self._shown


# -- columns


def is_plain_number(column):
    """Whether a column that is ready for a formula holds numbers."""
    return not isinstance(column.dtype, pd.CategoricalDtype)


def _column(summand):
    """The column that a summand is; None if it is more than one, or no column."""
    return summand[0].column if len(summand) == 1 else None


def _are_named(factors):
    """Whether patsy writes the levels of these categoricals as `str` does."""
    return all(values.categories.inferred_type in NAMED_AS_STR for values in factors.values())


def _refuse_same_names(names):
    """Raise an LMMError if two of X's columns, or summands, have one name."""
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise LMMError(
            f"form has two columns of X that are called {twice!r}, one of them by the name of a "
            "column of dat; rename that"
        )


def _check_response(name, y):
    """The response is one column of numbers."""
    (info,) = y.design_info.factor_infos.values()
    if info.type == "categorical":
        shown = ", ".join(repr(str(category)) for category in info.categories[:3])
        raise LMMError(
            f"the response {name!r} is not numeric: its values are {shown}, ...; it takes numbers"
        )
    if y.shape[1] != 1:
        raise LMMError(f"the response {name!r} has {y.shape[1]} columns; it takes one")
