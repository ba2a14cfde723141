"""The functions and constants that a formula knows by their bare names."""

import numpy as np
import patsy.builtins

from .bases import bs, cr, ns, poly

R_NAMES_OF_NUMPY = (
    "log exp sqrt abs sin cos tan sinh cosh tanh log2 log10 log1p expm1 floor ceil trunc sign round"
)
R_FUNCTIONS = {name: getattr(np, name) for name in R_NAMES_OF_NUMPY.split()} | {
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "ceiling": np.ceil,
    "mean": np.mean,
    "median": np.median,
    "ifelse": np.where,
    "offset": np.positive,
    "poly": poly,
    "bs": bs,
    "ns": ns,
    "cr": cr,
}
PATSY_NAMES = "I C center standardize scale cc te Treatment Poly Sum Helmert Diff"
PATSY_FUNCTIONS = {name: getattr(patsy.builtins, name) for name in PATSY_NAMES.split()}
NAMED_FUNCTIONS = PATSY_FUNCTIONS | R_FUNCTIONS
CONSTANTS = {"pi": np.pi}
# R's words, and Python's where they are names of columns but none can be meant.
WORDS_OF_CONSTANTS = {"TRUE": True, "True": True, "FALSE": False, "False": False, "NULL": None}
STANDARD = NAMED_FUNCTIONS | CONSTANTS

# -- those whose arguments are judged by rules of their own
CODINGS = {name: PATSY_FUNCTIONS[name] for name in "C Treatment Poly Sum Helmert Diff".split()}
BASES = {name: NAMED_FUNCTIONS[name] for name in "bs ns poly cr cc te".split()}

# -- what may be taken from numpy by its name, besides the elementwise functions
NUMPY_FUNCTIONS = frozenset(
    "where clip round mean median std var min max sum minimum maximum cumsum isin interp".split()
)

# -- what others' formulas call, and how that is written here
SPLINE = "a spline is written bs(x, df=5) here, or ns(x, df=4), a natural one"
INSTEAD = {
    "Q": 'write the name of the column in quotes, Q("x")',
    "s": SPLINE,
    "t2": SPLINE,
    "ti": SPLINE,
    "lo": SPLINE,
    "rcs": SPLINE,
    "Error": 'strata of errors are random effects: (1 | g) in lmer\'s formulas, ref=["g"] in lmm',
    "relevel": 'the first level is chosen by C(f, Treatment("b"))',
    "ordered": "polynomial contrasts are written C(f, Poly)",
    "as.character": "numbers become categories by C(x)",
    "as.numeric": 'turn the column into numbers first, by pd.to_numeric(dat["x"])',
    "as.integer": 'turn the column into numbers first, by pd.to_numeric(dat["x"])',
    "interaction": "the combinations of a and b are written a:b",
    "pmin": "write np.minimum(a, b)",
    "pmax": "write np.maximum(a, b)",
}
