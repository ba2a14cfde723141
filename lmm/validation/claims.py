"""What somebody claims of a fit: each number with the digits that were printed.

A number may be text or a decimal, whose digits are those that were printed; of a float they are
those that Python shows of it.
"""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import isfinite, isinf, isnan

import numpy as np
import pandas as pd

from ..errors import LMMError, shorten, unknown_name
from .rows import ALL_DIGITS, digits_of

# -- the quantities -------------------------------------------------------------------------------

BY_COEFFICIENT = ("beta", "se", "df", "pvalue")
BY_BLOCK = ("sd", "var")
LIKELIHOODS = ("llf", "deviance", "aic", "bic")
SINGLE = ("sigma", *LIKELIHOODS, "nobs")
VARIANCES = ("sd", "var", "corr", "sigma", "theta")
CLAIMED_QUANTITIES = (*BY_COEFFICIENT, *VARIANCES, *LIKELIHOODS, "nobs")
SIGMA_TERM = "Residual"                 # what sigma is called among standard deviations, ...
SIGMA_NAMES = ("residual", "sigma")     # ... and may be called where no block is

# -- digits ---------------------------------------------------------------------------------------

CLOSE_DIGITS = 6.0      # of two searches that have found the same optimum, ...
CLOSE_CRITERION = 8.0   # ... and of a likelihood there, to which their distance is squared
OF_HALF = 1e-6          # of half a unit in the last place: numbers in the middle go either way
LAST_BITS = 1e-12       # relative: what two orders of the same sums differ by
MOST_EXPONENT = 307     # of ten, beyond which no float is
MOST_CHARACTERS = 40    # of what is no number or name, in a message
BEYOND = f"beyond 1e{MOST_EXPONENT}, what can be compared"
PRINTED_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
PRINTED_INFINITY = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True)
class Claim:
    """One claimed number.

    Attributes
    ----------
    quantity, term : str
        What it is, such as ``"beta"`` of ``"Machine[T.B]"``.
    place : int or None
        Its place in the list that it came in; None where it came by name.
    text : str
        The number as it was given.
    value : float
        The number.
    half : float
        Half a unit in its last printed place.
    printed : int
        How many significant digits were printed.
    below : bool
        Whether it is a bound, such as ``"<.0001"``.
    of_sigma : bool
        Whether it is sigma's among standard deviations, or its variance; a block may have the name.
    """

    quantity: str
    term: str
    place: int | None
    text: str
    value: float
    half: float
    printed: int
    below: bool = False
    of_sigma: bool = False

    def agrees(self, exact):
        """Whether a number is this one, to the digits that were printed, or as two searches are.

        That is to six digits, of a likelihood to eight.
        """
        if self.prints(exact):
            return True
        close = CLOSE_CRITERION if self.quantity in LIKELIHOODS else CLOSE_DIGITS
        near = abs(self.value - exact) <= 10.0**-close * abs(exact)
        return bool(exact != 0 and isfinite(exact) and not self.below and near)

    def prints(self, exact):
        """Whether a number is printed so: it is this one to the digits that were printed."""
        if isnan(exact):
            return False
        if isinf(exact) or isinf(self.value):
            return exact == self.value
        if self.below:
            return exact < self.value
        within = self.half * (1 + OF_HALF) + LAST_BITS * abs(exact)
        return abs(exact - self.value) <= within

    def digits(self, exact):
        """How many digits of it are those of a number: its log relative error."""
        if not isfinite(exact) or isinf(self.value):
            return ALL_DIGITS if exact == self.value else 0.0
        if exact and abs(self.value - exact) >= abs(exact):
            return 0.0
        return digits_of(self.value, exact)


@dataclass(frozen=True)
class Claims:
    """All that is claimed, by quantity: lists of `Claim`."""

    by_quantity: dict

    def of(self, quantity):
        """The claims of a quantity, a list, empty if there are none."""
        return self.by_quantity.get(quantity, [])

    def value(self, quantity, term=""):
        """The claimed number, or None."""
        for one in self.of(quantity):
            if one.term == term:
                return one
        return None

    def sigma_among(self, quantity):
        """The claim of sigma among standard deviations or variances, or None."""
        return next((one for one in self.of(quantity) if one.of_sigma), None)

    def replacing(self, old, new):
        """The same with another claim in the place of one."""
        changed = [new if one is old else one for one in self.of(old.quantity)]
        return Claims({**self.by_quantity, old.quantity: changed})

    def arranging(self, arrangement):
        """The same with other claims of some quantities, a dict by quantity."""
        return Claims({**self.by_quantity, **arrangement})

    def __iter__(self):
        return (claim for claims in self.by_quantity.values() for claim in claims)


# -- numbers ---------------------------------------------------------------------------------------


def brief(text):
    """The beginning of a text that is too long for a message; all else as it is."""
    is_long = isinstance(text, str) and len(text) > MOST_CHARACTERS
    return f"{text[:MOST_CHARACTERS]}..." if is_long else text


def read_number(given, key):
    """(text, value, half, printed, below) of a claimed number; `key` names it in messages."""
    if isinstance(given, (bool, np.bool_)) or given is None:
        raise LMMError(f"{key} is {given!r}; it is a number, or text that shows one")
    if not isinstance(given, (str, int, float, Decimal, np.integer, np.floating)):
        raise LMMError(
            f"{key} is of type {type(given).__name__}; it is a number, or text that shows one"
        )
    try:
        text = str(given).strip()
    except ValueError:                              # Python shows no integer of so many digits
        raise LMMError(f"{key} is an integer {BEYOND}") from None
    below = text.startswith("<")
    bare = text.removeprefix("<").strip().replace("\u2212", "-")
    shown = repr(brief(text))
    if bare.lower() == "nan":
        raise LMMError(f"{key} is nan; leave out what was not printed")
    if PRINTED_INFINITY.fullmatch(bare):
        return text, float(bare), 0.0, 1, below
    if not PRINTED_NUMBER.fullmatch(bare):
        raise LMMError(f"{key} is {shown}, which is no number")
    try:
        number = Decimal(bare)
        is_known = number.adjusted() <= MOST_EXPONENT
    except InvalidOperation:                        # an exponent of very many digits
        is_known = False
    if not is_known:
        raise LMMError(f"{key} is {shown}, {BEYOND}")
    _, digits, exponent = number.as_tuple()
    half = 0.5 * 10.0**exponent
    significant = "".join(map(str, digits)).lstrip("0")
    return text, float(number), half, max(len(significant), 1), below


# -- names -----------------------------------------------------------------------------------------


def bare_name(name):
    """A coefficient's name without what programs write differently.

    ``(Intercept)``, ``Intercept``; ``MachineB``, ``Machine[T.B]``; ``b:a``, ``a*b``.
    """
    parts = re.split(r"[:*]", str(name).replace("**", "").replace("^", ""))
    bare = [re.sub(r"\[[TS]\.", "[", part) for part in parts]
    bare = [re.sub(r"[^\w.]|_", "", part).lower() for part in bare]
    return ":".join(sorted(bare))


def name_in_r(name):
    """A coefficient's name as R writes it: ``MachineB`` for ``Machine[T.B]``."""
    return re.sub(r"\[(?:[TS]\.)?(.*?)\]", r"\1", str(name)).replace("(Intercept)", "Intercept")


def same_names(name, known):
    """Those of the known names that a name may be: itself, or as R writes it, or by `bare_name`."""
    for form in (str, name_in_r, bare_name):
        found = [one for one in dict.fromkeys(known) if form(one) == form(name)]
        if found:
            return found
    return []


def first_among(name, known):
    """The first of the known names that a name may be; None if it is none."""
    return next(iter(same_names(name, known)), None)


def name_among(name, known, what):
    """The known name that a name is, None if none; an LMMError if it may be several."""
    found = same_names(name, known)
    if len(found) > 1:
        raise LMMError(f"{what} {name!r} may be any of {shorten(found)}; write one of these")
    return found[0] if found else None


def read_claims(claimed, names):
    """The `Claims` of a dict; an LMMError names the key that cannot be used.

    Parameters
    ----------
    claimed : dict
        By quantity: one number, a list in the order of X or of ref, or a dict by name.
    names : dict
        By quantity the names that its numbers may have, in order; those of ``"beta"`` may be
        followed by names of other codings, in ``names["other"]``.
    """
    if not isinstance(claimed, Mapping):
        kind = type(claimed).__name__
        raise LMMError(f"claimed is of type {kind}; it is a dict by quantity, such as {{'sigma': "
                       "'0.962'}")
    if not claimed:
        raise LMMError(f"claimed is empty; it holds one or more of {', '.join(CLAIMED_QUANTITIES)}")
    found = {}
    for quantity, given in claimed.items():
        if quantity not in CLAIMED_QUANTITIES:
            raise unknown_name("quantity", brief(quantity), CLAIMED_QUANTITIES)
        if quantity in SINGLE:
            found[quantity] = [Claim(quantity, "", None, *read_number(given, quantity))]
            continue
        found[quantity] = _several(quantity, given, names)
    if not any(found.values()):
        raise LMMError(f"claimed holds no number: {', '.join(found)} is empty")
    _refuse_two_sigmas(found)
    return Claims({name: found[name] for name in CLAIMED_QUANTITIES if found.get(name)})


def as_mapping(given):
    """A Series as a dict by name, and all else as it is; an LMMError of a name that is twice."""
    if isinstance(given, pd.Series) and not given.index.is_unique:
        twice = given.index[given.index.duplicated()][0]
        raise LMMError(f"{twice!r} is claimed twice in a Series; leave one out")
    return given.to_dict() if isinstance(given, pd.Series) else given


def _several(quantity, given, names):
    """The claims of a quantity that has several numbers."""
    given = as_mapping(given)
    if isinstance(given, Mapping):
        return list(_by_name(quantity, given, names))
    if isinstance(given, (str, int, float, Decimal)):
        given = [given]
    if isinstance(given, (bytes, bytearray, Set)) or not isinstance(given, Iterable):
        kind = type(given).__name__
        raise LMMError(f"{quantity} is of type {kind}; it is a list or a dict by name")
    given = list(given)
    known = list(names[quantity])
    lengths = {len(known)}
    if quantity in BY_BLOCK:
        lengths.add(len(known) + 1)         # sigma's, last
    if quantity == "theta":
        lengths.add(len(known) - 1)         # lme4's, without sigma
    if len(given) not in lengths:
        takes = " or ".join(map(str, sorted(lengths)))
        raise LMMError(
            f"{quantity} has {len(given)} numbers; it takes {takes}: {shorten(known)}"
        )
    blocks = len(known) if quantity in BY_BLOCK else len(given)
    if len(given) > blocks:
        known.append(SIGMA_TERM)
    if quantity == "theta" and len(given) < len(known):
        known = known[1:]
    return [
        Claim(quantity, name, place, *read_number(one, f"{quantity}[{place}]"), place >= blocks)
        for place, (name, one) in enumerate(zip(known, given))
    ]


def _by_name(quantity, given, names):
    """The claims of a dict by name."""
    what = f"{'coefficient' if quantity in BY_COEFFICIENT else 'term'} of {quantity}"
    written = {}
    for name, one in given.items():
        term = name_among(name, names[quantity], what)
        of_sigma = term is None and quantity in BY_BLOCK and bare_name(name) in SIGMA_NAMES
        if term is None and quantity in BY_COEFFICIENT:
            term = first_among(name, names["other"])
        if of_sigma:
            term = SIGMA_TERM
        if term is None:
            raise unknown_name(what, brief(name), names[quantity])
        known = (term, of_sigma)
        if known in written:
            raise LMMError(f"{quantity} of {term!r} is claimed twice, as {written[known]!r} and as "
                           f"{name!r}")
        written[known] = name
        number = read_number(one, f"{quantity}[{name!r}]")
        yield Claim(quantity, term, None, *number, of_sigma)


def _refuse_two_sigmas(found):
    """Raise an LMMError where sigma is claimed beside standard deviations and among them."""
    for quantity in BY_BLOCK:
        residual = any(one.of_sigma for one in found.get(quantity, []))
        if residual and "sigma" in found:
            raise LMMError(f"sigma is claimed twice: as sigma, and as {SIGMA_TERM!r} of "
                           f"{quantity}")
