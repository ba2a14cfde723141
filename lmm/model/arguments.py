"""What the arguments of `LMMsetup`, `lmm` and `lmer` mean, said once.

It is put into the docstring of each.
"""

import inspect
import re

from ..translation import explained

ARGUMENTS = {
    "form": """
form : str
    The fixed effects, as patsy reads them, e.g. ``"score ~ Machine"``. Variables are
    columns of `dat`, by their names, in backticks where these hold blanks or signs;
    a dot is all the others. Functions are R's everyday ones (``log(x)``, ``poly(x, 2)``),
    numpy's (``np.log(x)``), patsy's (``C(x)``) and your own, which get floats for columns of
    integers or of true and false. Or, for a model that no formula says, y itself:
    array_like, (n,).""",
    "formula": """
formula : str
    Fixed effects and, in parentheses with a bar, random ones: ``"Reaction ~ Days + (Days |
    Subject)"``. Left of the bar stand the effects, as patsy reads them, their intercept
    included; right of it the grouping. Effects of one bar are correlated:

    ==============================  ===========================================================
    ``(1 | g)``                     a random intercept for each level of g
    ``(x | g)``, ``(1 + x | g)``    an intercept and a slope in x, correlated
    ``(0 + x | g)``                 a slope alone
    ``(0 + f | g)``                 one effect for each level of the factor f, correlated
    ``(x + z || g)``                independent effects, also ``diag(x + z | g)``; of a factor one
                                    for each of its levels, with an intercept or without, where
                                    lme4 does not split it
    ``cs(0 + f | g)``               compound symmetry: one variance and one correlation, which
                                    may be negative
    ``(1 | a:b)``, ``(1 | a/b)``    for each combination of a and b; the same and ``(1 | a)``
    ==============================  ===========================================================

    A grouping by numbers is a factor here, unlike in the `ref` of `lmm`.""",
    "dat": """
dat : pandas.DataFrame, n rows
    The data; never changed. Also a frame of polars or pyarrow (what has ``to_pandas``), a dict
    of columns, a record array, a list of dicts. Or chunks of a frame, beyond memory: names of
    CSV or Parquet files in a list, a pattern such as ``"data/*.parquet"``, a function that
    makes an iterator of frames, or what has ``to_delayed``, as a Dask DataFrame. Rows with a
    missing value in any variable of the model are left out together; columns of X that those
    before them make are left out and named in ``dropped``. Where `form` is y, X: array_like or
    sparse, (n, k); a DataFrame's columns give the names.""",
    "ref": """
ref : str or list, optional
    The random effects, one element per block of Z: a column of `dat` or a list of columns,
    whose interaction is meant, as in ``["Worker", ["Worker", "Machine"]]``. Text, bool and
    categorical columns are factors, numeric ones multiply. ``()``: no random effects. Where
    `form` is y, a dict from names to blocks of Z, array_like or sparse, (n, p_j), each
    column a level with the same variance; or to (block, levels), the level that each column
    belongs to: of a level with several columns these are its effects, in their order, with
    a covariance matrix; or to (block, levels, names of the effects).""",
    "responses": """
responses : list of str, or DataFrame or array_like, shape (rows of `dat`, m)
    The responses: columns of `dat` by their names; or a frame, which goes by its index, an
    array or a sparse matrix with a column for each. Missing values leave out their rows for
    that response.""",
    "progress": """
progress : bool, optional
    Whether to show a progress bar after two seconds, if tqdm is installed.""",
    "reml": """
reml : bool, optional
    Whether the criterion is REML's. By default `lmm` maximises the likelihood, as the
    practical does, and `lmer` the REML criterion, as lme4 does.""",
    "start": """
start : array_like, shape of theta, optional
    Where the search starts: finite log sigma and log standard deviations, units of y;
    ``setup.log_labels`` names the elements. By default the data decide.""",
    "verbose": """
verbose : bool, optional
    Whether to print every evaluation: its number and phase, the criterion, theta.""",
    "weights": """
weights : str or array_like, one per row of `dat`, optional
    Positive: the residual of a row with weight w has the variance sigma^2 / w. A name is a
    column of `dat`; a Series goes by its index; where one is missing the row is left out.""",
    "offset": """
offset : str or array_like, one per row of `dat`, optional
    What is known of the mean, added to X beta; also written ``+ offset(x)`` in the formula.
    Given as `weights` are.""",
    "engine": """
engine : {None, "dense", "blocked"}, optional
    The linear algebra: the practical's QR of Z, or for many levels the elimination of the
    largest term. By default the number of columns of Z decides.""",
}


def with_arguments(function):
    """The function, its arguments described after the first paragraph of its docstring.

    Arguments that it has not are `explained`.
    """
    doc = inspect.getdoc(function)
    if doc is None:                                             # python -OO
        return explained(function)
    summary, _, more = doc.partition("\n\n")
    texts = [ARGUMENTS[name].strip("\n") for name in inspect.signature(function).parameters]
    described = "\n".join(["Parameters", "----------", *texts])
    whole = "\n\n".join(part for part in (summary, described, more) if part)
    function.__doc__ = re.sub(r"(?m)^(?=.)", "    ", whole).lstrip() + "\n    "
    return explained(function)
