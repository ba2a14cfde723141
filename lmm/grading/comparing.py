"""The numbers of an answer beside the right ones, and the criterion along a line.

They are for the eye. What is passed, and why not, is decided in `diagnosis`.
"""

import numpy as np

from .answers import Unusable, raised, read_answer, read_value
from .mistakes import matches
from .report import Drawing, Number

SD_OFF = 0.01           # relative: a standard deviation of a wrong theta that is marked
NEARLY = 1e-6           # relative: two values of a criterion that are the same to the eye
HIGHEST = 20.0          # in log-likelihood above the smallest: what is drawn
OUT_OF_TIME = "the time for it was up: an evaluation of LMMprof takes too long"
OWN_SCALE = {           # by what a criterion is multiplied with
    1.0: "",
    2.0: "twice the negative log-likelihood; it is drawn halved",
    -1.0: "the log-likelihood; it is drawn with its sign changed",
    -2.0: "twice the log-likelihood; it is drawn halved and with its sign changed",
}


# -- expected and found --------------------------------------------------------------------------

@np.errstate(all="ignore")                          # a submission's numbers may be anything
def numbers(judge, answer, is_wrong):
    """A tuple of `Number`: each standard deviation, each beta, and each theta of `LMMprof`."""
    found = []
    if "returned" in answer.get("fit", {}):
        found += _of_fit(judge, answer["fit"]["returned"], is_wrong)
    values = _values(answer)
    if values is not None and not judge.case.costs:
        found += _of_likelihood(judge, values)
    return tuple(found)


def _of_fit(judge, returned, is_wrong):
    """Those of the fit, if they are as many as were asked for."""
    case = judge.case
    try:
        given = read_answer(returned, len(judge.names), len(judge.blocks))
    except Unusable:
        return
    wrong_theta = is_wrong and not judge.is_right(given.theta)
    sds = np.exp(case.theta)
    least = SD_OFF * sds[0]             # what is as good as zero
    for name, expected, found in zip(_elements(judge), sds, np.exp(given.theta)):
        off = wrong_theta and not abs(found - expected) <= SD_OFF * max(expected, least)
        yield Number("sd", name, float(expected), float(found), float(found), bool(off))
    far = np.abs(given.beta - case.beta) / judge.se
    for name, expected, found, distance in zip(judge.names, case.beta, given.beta, far):
        off = is_wrong and not distance <= case.beta_tolerance
        yield Number("beta", name, float(expected), float(found), float(found), bool(off))


def _of_likelihood(judge, values):
    """Those of `LMMprof`, without scale and constant where it is right but for them."""
    thetas = judge.case.thetas
    found = matches(values, judge.nll, thetas)
    scale, constant = found or (1.0, 0.0)
    for theta, value in zip(thetas, values):
        expected = judge.nll(theta)
        on_scale = (value - constant) / scale
        off = not abs(on_scale - expected) <= NEARLY * max(1.0, abs(expected))
        name = ", ".join(f"{element:.3g}" for element in theta)
        yield Number("LMMprof", name, expected, float(value), float(on_scale), bool(off))


def _elements(judge):
    """What the elements of theta belong to."""
    return ["sigma", *judge.blocks]


def _values(answer):
    """The values of `LMMprof` at the case's thetas, or None if there is not one for each."""
    evaluations = answer.get("likelihood")
    if not evaluations or "error" in evaluations:
        return None
    values = [_value(one.get("returned")) for one in evaluations["values"]]
    return None if np.isnan(values).all() else np.array(values)


def _value(returned):
    """The number of a description, nan if there is none."""
    if returned is None:
        return np.nan
    try:
        return read_value(returned)[0]
    except Unusable:
        return np.nan


# -- along a line --------------------------------------------------------------------------------

@np.errstate(all="ignore")
def drawing(judge, answer, likelihood):
    """The `Drawing` of an answer, or None where none was asked for.

    Of the lines, one for each element of theta, it is that along which a wrong criterion differs
    most; of a right one, the first block's.
    """
    if judge.case.costs:
        return None
    evaluations = answer.get("likelihood")
    if evaluations is None:
        return Drawing(missing="the submission has no LMMsetup and LMMprof")
    if "error" in evaluations:
        return Drawing(missing=raised(evaluations["error"], "LMMsetup"))
    scale = _scale(judge, answer, likelihood)
    curves = [_curve(judge, answer, i, scale) for i in range(len(judge.case.lines))]
    curves = [curve for curve in curves if np.isfinite(curve.own).sum() > 1]
    if not curves:
        return Drawing(missing=_why_none(evaluations))
    if likelihood.right:
        return curves[min(1, len(curves) - 1)]
    return max(curves, key=_difference)


def _scale(judge, answer, likelihood):
    """By what the submission's criterion is multiplied, as far as it is known."""
    values = _values(answer)
    if values is None:
        return 1.0
    criteria = [judge.nll]
    if likelihood.mistakes:
        criteria += [one.nll for one in judge.mistakes if one.sentence in likelihood.mistakes]
    for criterion in criteria:
        found = matches(values, criterion, judge.case.thetas)
        if found is not None:
            return found[0]
    return -1.0 if likelihood.negative else 1.0


def _curve(judge, answer, i, scale):
    """The `Drawing` along the i-th line."""
    case = judge.case
    positions = case.lines[i][:, i]
    lines = answer.get("lines") or []
    own = np.full(len(positions), np.nan)
    if i < len(lines):
        given = [_value(one) for one in lines[i]]
        own[:len(given)] = np.array(given) / scale
    own[~np.isfinite(own)] = np.nan
    known = np.isfinite(own)
    right = case.drawn[i]
    if known.any():
        own = own - own[known].min()
        right = right - right[known].min()
    return Drawing(
        _elements(judge)[i],
        tuple(positions.tolist()),
        tuple(right.tolist()),
        tuple(own.tolist()),
        float(case.theta[i]),
        _reached(judge, answer, i),
        OWN_SCALE[scale],
    )


def _reached(judge, answer, i):
    """The i-th element of the submission's theta, nan if there is none."""
    try:
        returned = answer["fit"]["returned"]
        given = read_answer(returned, len(judge.names), len(judge.blocks))
    except (KeyError, Unusable):
        return np.nan
    return float(given.theta[i])


def _difference(curve):
    """How far the two curves are apart at most, beside the height of the right one."""
    right = np.array(curve.right)
    apart = np.abs(np.array(curve.own) - right)
    within = right <= HIGHEST
    return np.nanmax(np.where(within, np.minimum(apart, HIGHEST), 0.0))


def _why_none(evaluations):
    """Why there are no values to draw, in a clause."""
    for one in evaluations["values"]:
        if "error" in one:
            return raised(one["error"], "LMMprof")
        try:
            read_value(one["returned"])
        except Unusable as error:
            return str(error)
    values = [_value(one.get("returned")) for one in evaluations["values"]]
    if not np.isfinite(values).any():
        return "LMMprof returns no finite number"
    return OUT_OF_TIME
