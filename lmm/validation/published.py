"""What has been published, every printed digit, beside the fits of this package.

`data/published.json` has the publications: their data or the name of shipped ones, the model, and
the numbers as text, as they were printed. A number that is printed wrong is there again, under
``differs``, with the right one: the fit's has to be that, the printed one not far from it, and the
fit's deviance lower than that at the printed variances.
What follows from wrong variances has to be as printed at these.
"""

import json
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from ..datasets import DATA_FOLDER, load_data
from ..errors import LMMError
from ..fit import lmer
from ..fitting import rescaled
from ..inference import anova
from ..practical import LMMprof
from .arbiter import compare, read
from .claims import VARIANCES, Claim, read_number
from .criteria import deviance_of
from .explaining import gives
from .rows import row_of_truth
from .verdicts import claimed_theta

SECTION = "Published outputs"
EVERY_DIGIT = "every printed digit"
GOOD = "the {} digits that are good"
WRONG = ", but for what is printed wrong"
FARTHEST = 0.01             # of a misprint from the right number, as a share of it
NOT_QUICK = 1000            # rows, beyond which a publication is left out where it is to be quick


@dataclass(frozen=True)
class Checked:
    """A publication beside the fit.

    Attributes
    ----------
    count : int
        How many numbers were compared.
    agree : int
        How many are the fit's to every printed digit, or by the convention that is named.
    follow : int
        How many are not, but are as printed at the printed variances.
    wrong : tuple of str
        What is printed wrong, as the file says, and by how much.
    unexpected : tuple of str
        What differs and should not, or is named as wrong and is not.
    verdict : Verdict
        Of the printed variances, if there are any.
    printed_deviance_is_no_lower : bool
        Whether a deviance is printed, and is the fit's to its digits.
    good : int or None
        To how many digits the publication is good; None if to all that it prints.
    """

    count: int
    agree: int
    follow: int
    wrong: tuple
    unexpected: tuple
    verdict: object
    printed_deviance_is_no_lower: bool = False
    good: int | None = None

    @property
    def passed(self):
        """Whether nothing is unexpected, and the fit is better where the publication is wrong."""
        return self.count > 0 and not self.unexpected and (not self.wrong or self.is_better)

    @property
    def is_better(self):
        """Whether the deviance at the printed variances, or else the printed one, is no lower."""
        if self.verdict is None:
            return False
        if self.verdict.lower == "":
            return self.printed_deviance_is_no_lower
        return self.verdict.lower in ("fit", "neither")

    @property
    def detail(self):
        """What came out, in a sentence or two."""
        to = f"{self.good} digits" if self.good else "every printed digit"
        said = [f"{self.agree} of {self.count} numbers to {to}"]
        if self.follow:
            said.append(f"{self.follow} more at the printed variances")
        said += self.wrong
        said += [f"UNEXPECTED: {one}" for one in self.unexpected]
        if self.wrong and self.verdict is not None:
            said.append(f"deviance {self.verdict}")
        return "; ".join(said)


def publications():
    """The publications, dicts as in ``data/published.json``."""
    text = (DATA_FOLDER / "published.json").read_text(encoding="utf-8")
    return json.loads(text)["publications"]


def rows(quick):
    """A `Row` for each publication; those of much data are left out where it is to be quick."""
    for one in publications():
        dat = data_of(one)
        if quick and len(dat) > NOT_QUICK:
            continue
        criterion = "REML" if one["reml"] else "maximum likelihood"
        yield row_of_truth(
            SECTION,
            requirement_of(one),
            f"{one['form']}, by {criterion}",
            one["source"],
            partial(_judged, one, dat),
        )


def _judged(one, dat):
    """Whether a publication is met, and what came out."""
    found = checked(one, dat)
    return found.passed, found.detail


def requirement_of(one):
    """What is required of a publication, by what its file says alone."""
    digits = GOOD.format(one["good"]) if "good" in one else EVERY_DIGIT
    return f"{one['name']}: {digits}" + (WRONG if one.get("differs") else "")


def data_of(one):
    """The data of a publication."""
    if "rows" in one:
        dat = pd.DataFrame(one["rows"])
        texts = [name for name in dat if isinstance(dat[name].iloc[0], str)]
        return dat.astype(dict.fromkeys(texts, "category"))
    dat = load_data(one["data"])
    left_out = [place - 1 for place in one.get("without", ())]      # R counts from 1
    return dat.drop(index=dat.index[left_out]).reset_index(drop=True)


def checked(one, dat=None):
    """The `Checked` of a publication."""
    fit = lmer(one["form"], data_of(one) if dat is None else dat, reml=one["reml"])
    there = at_printed_variances(one, fit)
    found = compare(fit, one["claimed"], one["source"]) if one["claimed"] else None
    at_printed = dict(numbers(one, there)) if there is not None else {}
    differs = one.get("differs", {})
    wrong = []
    unexpected = []
    agree = follow = 0
    deviance_agrees = False
    for claim, value in numbers(one, fit):
        misprint = differs.get(claim.quantity, {}).get(claim.term)
        what = f"{claim.quantity} {claim.term}".strip()
        shown = f"{what} is printed {claim.text}, and is {value:.{claim.printed + 3}g}"
        if is_printed(one, claim, value) or by_convention(one, claim, fit):
            agree += 1
            deviance_agrees |= claim.quantity == "deviance"
            if misprint:
                unexpected.append(f"{what} is named as wrong, and is not")
        elif misprint:
            (wrong if is_misprint(claim, value, *misprint, fit) else unexpected).append(shown)
        elif claim.quantity not in VARIANCES and is_printed(one, claim, at_printed.get(claim)):
            follow += 1
        else:
            unexpected.append(shown)
    count = len(wrong) + len(unexpected) + agree + follow
    verdict = None if found is None else found.verdict
    found = (count, agree, follow, tuple(wrong), tuple(unexpected), verdict, deviance_agrees)
    return Checked(*found, good=one.get("good"))


def is_misprint(claim, value, printed, right, fit):
    """Whether a number is wrong as the file says: it is printed so, and the fit's is the right one.

    It is near the right one; near zero is small beside sigma.
    """
    right = Claim(claim.quantity, claim.term, None, *read_number(right, claim.quantity))
    size = abs(right.value) or fit.sigma
    is_near = abs(claim.value - right.value) <= FARTHEST * size
    return claim.text == printed and right.prints(value) and is_near


def is_printed(one, claim, value):
    """Whether a number is printed so; of a publication that is good for fewer digits, to these."""
    if value is None:
        return False
    good = one.get("good")
    return claim.prints(value) or (good is not None and claim.digits(value) >= good)


def at_printed_variances(one, fit):
    """The result at the printed variances; None where not all are printed."""
    if not one["claimed"]:
        return None
    _, claims, _ = read(fit, one["claimed"])
    try:
        theta = claimed_theta(fit, claims, {})
    except LMMError:
        return None
    if theta is None:
        return None
    value = LMMprof(theta, fit.setup)
    return replace(fit, beta=value.beta, theta=theta, nll=float(value), triangle=value.triangle)


def by_convention(one, claim, fit):
    """Whether a number is the fit's by the convention that the file names for its quantity."""
    parts = one.get("by", {}).get(claim.quantity)
    if parts is None:
        return False
    facts, claims, _ = read(fit, one["claimed"])
    return any(
        each.parts == tuple(parts) and gives(each, claims.of(claim.quantity), fit)
        for each in facts.alternatives(claim.quantity)
    )


def numbers(one, fit):
    """(claim, the fit's number) of everything that is printed."""
    if one["claimed"]:
        _, claims, own = read(fit, one["claimed"])
        for claim in claims:
            yield claim, own(claim)
    yield from others(one, fit)


# -- what `compare` does not know ------------------------------------------------------------------


def others(one, fit):
    """(claim, the fit's number) of all else that is printed."""
    getters = {
        "t": _t_values,
        "other": _other_criterion,
        "modes": _modes,
        "kr": _kenward_roger,
        "F": _f_tests,
        "means": _means,
    }
    for quantity, get in getters.items():
        if quantity in one:
            for term, text, value in get(one[quantity], fit):
                number = read_number(text, f"{quantity} {term}")
                yield Claim(quantity, term, None, *number), float(value)


def _t_values(printed, fit):
    return zip(fit.params.index, printed, fit.tvalues)


def _other_criterion(printed, fit):
    """-2 log-likelihood by the criterion that was not fitted.

    It is taken at this fit's ratios of standard deviations and the best sigma for them, as lme4 of
    2008 has it.
    """
    setup = replace(fit.setup, reml=not fit.reml)
    theta, _ = rescaled(fit.theta, LMMprof(fit.theta, setup), setup)
    yield "", printed, deviance_of(LMMprof(theta, setup), setup.df)


def _modes(printed, fit):
    for block, by_level in printed.items():
        modes = fit.ranef()[block]["Intercept"]
        modes.index = [_level(level) for level in modes.index]
        for level, text in by_level.items():
            yield f"{block} {level}", text, modes[level]


def _level(level):
    """A level, or one of several factors, as text."""
    return ":".join(map(str, level)) if isinstance(level, tuple) else str(level)


def _kenward_roger(printed, fit):
    table = fit.contrast(np.eye(len(fit.beta)), df="kr")
    table.index = fit.params.index
    for column, by_name in printed.items():
        for name, text in by_name.items():
            yield f"{column} {name}", text, table.loc[name, column]


def _f_tests(printed, fit):
    table = anova(fit, type=printed["type"]).table
    for term, text in printed["terms"].items():
        yield term, text, table.loc[term, "F"]


def _means(printed, fit):
    table = fit.means(printed["of"], df=printed["df"]).table
    columns = {"estimate": "mean", "se": "se", "den_df": "df", "lower": "lower",
               "upper": "upper"}
    for key, column in columns.items():
        for place, text in enumerate(printed[key]):
            yield f"{key} {place}", text, table[column].iloc[place]
