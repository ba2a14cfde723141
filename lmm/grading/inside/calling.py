"""Calls the submission's `LMMprof`, in whichever way it takes theta and the setup."""

import inspect
from collections.abc import Mapping


def likelihood_of(module, form, dat, ref):
    """How `LMMprof` is called, in words, and a function of theta that does so.

    Raises what the submission raises.
    """
    setup = module.LMMsetup(form, dat, ref)
    function = module.LMMprof
    names = parameters(function)
    for words, arguments in ways(names, setup):
        if fits(function, *arguments(None)):
            return words, caller(function, arguments)
    taken = ", ".join(names)
    raise TypeError(
        f"LMMprof takes ({taken}): neither LMMprof(theta, setup) nor what LMMsetup returned, of "
        f"type {type(setup).__name__}, spread over its arguments"
    )


def ways(names, setup):
    """(words, arguments as a function of theta), the likelier ones first.

    An `LMMprof` of two arguments is the sheet's own, LMMprof(theta, setup), unless the second is
    called theta.
    """
    is_sheets = len(names) == 2
    theta_later = "theta" in names[1:]
    if isinstance(setup, Mapping) and not is_sheets:
        yield (
            "LMMprof(theta, **setup)",
            lambda theta: ((theta,), dict(setup)),
        )
    if isinstance(setup, (tuple, list)) and not is_sheets:
        if theta_later:
            yield (
                "LMMprof(*setup, theta=theta)",
                lambda theta: (tuple(setup), {"theta": theta}),
            )
        yield (
            "LMMprof(theta, *setup)",
            lambda theta: ((theta, *setup), {}),
        )
    if theta_later:
        yield (
            "LMMprof(setup, theta=theta)",
            lambda theta: ((setup,), {"theta": theta}),
        )
    yield (
        "LMMprof(theta, setup)",
        lambda theta: ((theta, setup), {}),
    )


def caller(function, arguments):
    """A function of theta that calls `function` with the arguments for it."""
    def call(theta):
        positional, named = arguments(theta)
        return function(*positional, **named)

    return call


def fits(function, positional, named):
    """Whether a call with such arguments fits the signature; True where that is not known."""
    try:
        inspect.signature(function).bind(*positional, **named)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def parameters(function):
    """The names of a function's parameters, none where they are not known."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
