"""Which curves a fit has: of each parameter, in a set-up whose theta has it for an element."""

from dataclasses import replace

import numpy as np

from ..errors import LMMError
from ..model import (
    ByCommonCorrelation,
    ByCorrelation,
    CompoundSymmetry,
    Covariance,
    Independent,
)
from ..result import correlation_pairs, on_straight_scale, parameter_names
from .curves import BetaCurve, CommonCorrelationCurve, CorrelationCurve, SdCurve, SigmaCurve
from .starts import Branches


def curves_of(fit):
    """The curves of a fit by maximum likelihood: a dict by kind and name, as in `conf_int`.

    What compound symmetry makes equal has one curve under several names; None stands for a
    correlation with an effect whose standard deviation is zero.
    """
    if not fit.converged:
        reasons = "; ".join(fit.optimum.reasons)
        raise LMMError(f"the optimum is not certified ({reasons}), so it has no profile")
    errors = on_straight_scale(fit)[1]
    J = len(fit.sd)
    curves = [BetaCurve(fit, i, se) for i, se in enumerate(fit.bse)]
    curves.append(SigmaCurve(fit, errors[0]))
    sd_curves = curves_of_sds(fit, errors[1 : 1 + J])
    correlations = curves_of_correlations(fit, errors[1 + J :], sd_curves)
    curves += [*sd_curves, *correlations]
    shared = Branches(fit.setup.covariance)
    for curve in curves:
        if curve is not None:
            curve.branches = shared
    return dict(zip(parameter_names(fit), curves))


def curves_of_sds(fit, errors):
    """The curve of each block's standard deviation; one for all in a compound symmetric term."""
    curves = []
    for j, se in enumerate(errors):
        _, span, structure = term_of(fit, j)
        if isinstance(structure, CompoundSymmetry) and j > span.start:
            curves.append(curves[span.start])
        else:
            curves.append(sd_curve(fit, j, se))
    return curves


def curves_of_correlations(fit, errors, sd_curves):
    """The curve of each correlation, likewise."""
    curves = []
    common = {}                                                 # by term
    pairs, _ = correlation_pairs(fit.setup.design)
    for (i, j), se in zip(pairs, errors):
        term, _, structure = term_of(fit, i)
        if term in common:
            curves.append(common[term])
            continue
        curve = None
        if fit.sd.iloc[[i, j]].all():
            own_sds = [sd_curves[i], sd_curves[j]]
            curve = correlation_curve(fit, i, j, se, own_sds)
        if isinstance(structure, CompoundSymmetry):
            common[term] = curve
        curves.append(curve)
    return curves


def term_of(fit, j):
    """The number of the term of block j, its blocks, a slice, and its structure."""
    covariance = fit.setup.covariance
    term = next(t for t, span in enumerate(covariance.spans) if j < span.stop)
    return term, covariance.spans[term], covariance.structures[term]


def sd_curve(fit, j, se):
    """The curve of the standard deviation of block j.

    Independent effects have its log in theta; in an unstructured term it is T_11 if block j is put
    first; in a compound symmetric one it is an element of `ByCommonCorrelation`.
    """
    term, span, structure = term_of(fit, j)
    first = fit.setup.covariance.shares[term].start
    if isinstance(structure, Independent):
        place = first + j - span.start
        return SdCurve(fit, fit.setup, fit.theta, place, se)
    if isinstance(structure, CompoundSymmetry):
        by_common = ByCommonCorrelation(structure.c)
        setup, theta = with_structure(fit.setup, fit.theta, term, by_common)
        place = first + by_common.s
        return SdCurve(fit, setup, theta, place, se)
    setup, theta, order = in_front(fit, [j])
    return SdCurve(fit, setup, theta, first, se, order)


def correlation_curve(fit, i, j, se, sd_curves):
    """The curve of the correlation of blocks i and j, whose sds have these curves."""
    term, _, structure = term_of(fit, i)
    if isinstance(structure, CompoundSymmetry):
        by_common = ByCommonCorrelation(structure.c)
        setup, theta = with_structure(fit.setup, fit.theta, term, by_common)
        return CommonCorrelationCurve(fit, setup, theta, term, se, sd_curves)
    by_correlation = ByCorrelation(structure.c)
    setup, theta, order = in_front(fit, [j, i])
    setup, theta = with_structure(setup, theta, term, by_correlation)
    place = setup.covariance.shares[term].start + by_correlation.z
    return CorrelationCurve(fit, setup, theta, place, se, sd_curves, order)


def in_front(fit, chosen):
    """The set-up with the chosen blocks of one term put first in it, its theta, and the order."""
    setup = fit.setup
    covariance = setup.covariance
    span = term_of(fit, chosen[0])[1]
    others = [j for j in range(span.start, span.stop) if j not in chosen]
    before = range(span.start)
    after = range(span.stop, len(fit.sd))
    order = [*before, *chosen, *others, *after]
    if order == sorted(order):
        return setup, fit.theta, order
    blocks = tuple(setup.design.blocks[j] for j in order)
    setup = replace(
        setup,
        design=replace(setup.design, blocks=blocks),
        engine=setup.engine.reordered(order, covariance.entries),
    )
    psi = covariance.psi(fit.theta)[np.ix_(order, order)]
    return setup, covariance.theta(fit.theta[0], psi), order


def with_structure(setup, theta, term, structure):
    """The same model, and the same psi, with another structure for the parameters of one term."""
    structures = list(setup.covariance.structures)
    structures[term] = structure
    covariance = Covariance(structures)
    psi = setup.covariance.psi(theta)
    design = replace(setup.design, covariance=covariance)
    return replace(setup, design=design), covariance.theta(theta[0], psi)
