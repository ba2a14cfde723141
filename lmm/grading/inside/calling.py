"""Calls the submission's `LMMprof`, in the forms that it may have."""

import inspect
from collections.abc import Mapping


def profile_of(module, form, dat, ref):
    """How `LMMprof` is called, in words, and a function of theta that does so; raises what the submission raises."""
    setup, function = module.LMMsetup(form, dat, ref), module.LMMprof
    names = parameters(function)
    for words, arguments in ways(names, setup):
        if fits(function, *arguments(None)):
            return words, caller(function, arguments)
    raise TypeError(f"LMMprof takes ({', '.join(names)}): neither LMMprof(theta, setup) nor what LMMsetup returned, of type "
                    f"{type(setup).__name__}, spread over its arguments")


def ways(names, setup):
    """(words, arguments as a function of theta); an `LMMprof` of two arguments is the sheet's own, LMMprof(theta, setup)."""
    theta_later = "theta" in names[1:]
    if isinstance(setup, Mapping) and len(names) != 2:
        yield "LMMprof(theta, **setup)", lambda theta: ((theta,), dict(setup))
    if isinstance(setup, (tuple, list)) and len(names) != 2:
        if theta_later:
            yield "LMMprof(*setup, theta=theta)", lambda theta: (tuple(setup), {"theta": theta})
        yield "LMMprof(theta, *setup)", lambda theta: ((theta, *setup), {})
    if theta_later:
        yield "LMMprof(setup, theta=theta)", lambda theta: ((setup,), {"theta": theta})
    yield "LMMprof(theta, setup)", lambda theta: ((theta, setup), {})


def caller(function, arguments):
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
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []
