"""Calls the submission's `LMMprof`, in whichever way it takes theta and the setup."""

import inspect
from collections.abc import Mapping

RESIDUAL_NAMES = ("sig", "res", "err", "eps", "noise")


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


class ByName(Mapping):
    """theta as a dict whose keys are not known: each new name gets the next element.

    One that sounds like the residual's gets the first.
    """

    def __init__(self, theta):
        self.sigma, *self.rest = theta
        self.given = {}

    def __getitem__(self, name):
        if not isinstance(name, str) or not (self.rest or name in self.given or _is_sigma(name)):
            raise KeyError(name)
        if name not in self.given:
            self.given[name] = self.sigma if _is_sigma(name) else self.rest.pop(0)
        return self.given[name]

    def __iter__(self):
        return iter(self.given)

    def __len__(self):
        return len(self.given)


def _is_sigma(name):
    return any(part in name.lower() for part in RESIDUAL_NAMES)


# how else `LMMprof` may want theta, in words, and as a function of the array
FORMS_OF_THETA = (
    ("a column", lambda theta: theta[:, None]),
    ("a dict", ByName),
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
