"""What the cases of a submission say of one another: what one tells, others bear out or refute."""

from collections import Counter
from dataclasses import replace

from .diagnosis import AT_ITS_MINIMUM, GOES_WITH_THETA, STOPPED
from .likelihoods import OVERFLOW, UNKNOWN
from .report import either

ENOUGH_UNKNOWN = 2      # cases that fail for no known reason, to doubt one that is known


def compared(results, judges):
    """The results, with what other cases say of what is wrong."""
    by_name = {result.name: result for result in results}
    cases = [judge.case for judge in judges]
    results = [
        _beside_twin(result, by_name.get(case.same_as)) for result, case in zip(results, cases)
    ]
    results = _narrowed(_not_by_chance(_not_refuted(results)))
    named = {}
    for result in results:
        if result.mistakes and not result.hidden:
            named.setdefault(result.mistake, result.name)
    return tuple(_compared(result, named) for result in results)


def _beside_twin(result, twin):
    """A result, with what the same model in other words says of it.

    There the same mistakes are made; in other units terms are so small that others look the same.
    """
    if result.passed or twin is None:
        return result
    others = [
        mistake
        for mistake in result.mistakes
        if mistake not in twin.mistakes and not mistake.startswith(OVERFLOW)
    ]
    if others and not twin.hidden:
        result = _without_mistakes(result)
    if twin.passed and twin.right is not False:
        said = f"{twin.name}, the same model, is fitted right: {result.why}"
        result = replace(result, causes=(*result.causes, said))
    return result


def _without_mistakes(result):
    """A result whose mistakes are not told: the cause is unknown."""
    return replace(_said(result, either(result.mistakes), UNKNOWN), mistakes=())


def _said(result, old, new):
    """A result that says something else in its causes and notes."""
    causes = tuple(cause.replace(old, new) for cause in result.causes)
    notes = tuple(note.replace(old, new) for note in result.notes)
    return replace(result, causes=causes, notes=notes)


def _not_refuted(results):
    """The results; what a fit alone tells is only supposed where `LMMprof` is otherwise wrong."""
    wrong = [result for result in results if result.right is False and not result.hidden]
    known = {mistake for result in wrong for mistake in result.mistakes}
    kept = []
    for result in results:
        if wrong and result.right is None and known.isdisjoint(result.mistakes):
            supposed = (*result.supposed, *result.mistakes)
            causes = (UNKNOWN,) if result.mistakes else result.causes
            result = replace(result, mistakes=(), supposed=supposed, causes=causes)
        kept.append(result)
    return kept


def _not_by_chance(results):
    """The results; what a fit alone tells in one case, and in no other that fails, is not told."""
    told = Counter(cause.partition(AT_ITS_MINIMUM)[2] for one in results for cause in one.causes)
    unknown = sum(any(UNKNOWN in cause for cause in one.causes) for one in results)
    kept = []
    for result in results:
        for cause in result.causes:
            explained = cause.partition(AT_ITS_MINIMUM)[2]
            if explained and told[explained] == 1 and unknown >= ENOUGH_UNKNOWN:
                result = _said(result, AT_ITS_MINIMUM + explained, UNKNOWN)
        kept.append(result)
    return kept


def _narrowed(results):
    """The results, of the mistakes that come to their numbers those that explain most cases."""
    shown = [result for result in results if not result.hidden]
    count = Counter(mistake for result in shown for mistake in result.mistakes)
    narrowed = []
    for result in results:
        most = max((count[mistake] for mistake in result.mistakes), default=0)
        mistakes = tuple(mistake for mistake in result.mistakes if count[mistake] == most)
        if mistakes != result.mistakes:
            result = _said(result, either(result.mistakes), either(mistakes))
            result = replace(result, mistakes=mistakes)
        narrowed.append(result)
    return narrowed


def _compared(result, named):
    """A result, with a mistake that is named elsewhere as a cause.

    A mistake that its own numbers agree with is told; one that they were not compared with, for
    want of an `LMMprof`, is possible.
    """
    if result.passed:
        return result
    causes = list(result.causes)
    agreed = [mistake for mistake in result.supposed if mistake in named]
    if agreed:
        causes = [cause for cause in causes if not is_vague(cause)]
        causes = [f"as in {named[agreed[0]]!r}: {agreed[0]}", *causes]
    elif named and result.right is None and any(UNKNOWN in cause for cause in causes):
        mistake, other = next(iter(named.items()))
        causes = [cause for cause in causes if cause != GOES_WITH_THETA]
        causes.append(f"perhaps what is wrong in {other!r}: {mistake}")
    return replace(result, causes=tuple(causes))


def is_vague(cause):
    """Whether a cause is none of the known ones."""
    return UNKNOWN in cause or STOPPED in cause or cause == GOES_WITH_THETA
