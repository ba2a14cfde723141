"""Fits against exact optima: closed forms, stored optima, and sixty digits of hard numbers."""

import json
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from ..datasets import DATA_FOLDER, lme4_reference, load_data, models
from ..fit import lmer
from ..inference import anova
from ..practical import lmm
from .closed_forms import one_way, split_plot, sums_of
from .definition import Definition, in_sixty_digits
from .rows import row_of_digits, row_of_truth

OPTIMA = "Exact optima"
RATIONALS = "closed form in exact rationals of the doubles"
STORED = "data/exact.csv: closed forms, or Newton's iteration in 40 digits"
ANCHORS = "data/anchors.json: closed forms of balanced designs"
SIXTY = "Newton's iteration on the definition in sixty decimal digits"
OF_CLOSED_FORM = 13.0
OF_STORED = 10.0            # some are stored to 12 digits
OF_LARGE = 6.0              # where average information drives, theta is promised to 1e-6
LARGEST_DATA = "InstEval"          # 73,421 rows
CRITERION_NAMES = {False: "ML", True: "REML"}


def rows(quick):
    """All of them; if quick, without InstEval, and half of the hard numbers."""
    yield from _one_way_rows()
    yield from _split_plot_rows()
    yield from _stored_rows(quick)
    yield from _anchored_rows()
    yield from _hard_rows(quick)


# -- closed forms ----------------------------------------------------------------------------------


def _one_way_rows():
    """Balanced one-way layouts: variances, the mean and its error, the criterion."""
    for name in ("Dyestuff", "Rail"):
        model, dat = models().loc[name], load_data(name)
        yield row_of_digits(
            OPTIMA,
            f"{name}: variances, mean, its standard error, criterion",
            f"{model.form} + (1 | {model.ref[0]}), ML and REML",
            RATIONALS,
            OF_CLOSED_FORM,
            _one_way_pairs(model, dat),
        )
    yield row_of_truth(
        OPTIMA,
        "a variance whose estimate is zero is zero exactly",
        "Dyestuff2, ML and REML: sd, theta, and sigma^2 to 14 digits",
        RATIONALS,
        _zero_variance,
    )


def _one_way_pairs(model, dat):
    for reml, method in CRITERION_NAMES.items():
        exact, fit = _one_way(model, dat, reml), lmm(model.form, dat, model.ref, reml=reml)
        yield f"{method} sigma^2", fit.sigma**2, exact.residual
        yield f"{method} variance", fit.sd.iloc[0] ** 2, exact.group
        yield f"{method} mean", fit.beta[0], exact.mean
        yield f"{method} error of the mean", fit.bse.iloc[0] ** 2, exact.variance_of_mean
        yield f"{method} nll", fit.nll, exact.nll


def _one_way(model, dat, reml):
    """The closed form of a balanced one-way layout."""
    response = model.form.split(" ~ ")[0]
    groups = dat.groupby(model.ref[0], observed=True)[response]
    return one_way(sums_of([list(map(float, values)) for _, values in groups]), reml)


def _zero_variance():
    model, dat = models().loc["Dyestuff2"], load_data("Dyestuff2")
    for reml in CRITERION_NAMES:
        exact, fit = _one_way(model, dat, reml), lmm(model.form, dat, model.ref, reml=reml)
        off = abs(fit.sigma**2 / float(exact.residual) - 1)
        if exact.group != 0 or fit.sd.iloc[0] != 0 or fit.theta[1] != -np.inf or off > 1e-14:
            return False, f"sd {fit.sd.iloc[0]:g}, theta {fit.theta[1]:g}, sigma^2 off by {off:.1g}"
        if not (fit.converged and fit.singular):
            return False, "not certified, or not called singular"
    return True, ""


def _split_plot_rows():
    """Oats: three strata, the tests of whole plots and of sub-plots."""
    oats = load_data("Oats").astype({"nitro": "category"})
    cells = [
        [of_plot.sort_values("nitro")["Yield"].tolist() for _, of_plot in sorted(plots)]
        for plots in (
            list(of_block.groupby("Variety", observed=True))
            for _, of_block in oats.groupby("Block", observed=True)
        )
    ]
    form = "Yield ~ Variety * nitro + (1 | Block) + (1 | Block:Variety)"

    def variances():
        for reml, method in CRITERION_NAMES.items():
            exact, fit = split_plot(cells, reml), lmer(form, oats, reml=reml)
            yield f"{method} sigma^2", fit.sigma**2, exact.residual
            yield f"{method} of plots", fit.sd["Block:Variety"] ** 2, exact.plot
            yield f"{method} of blocks", fit.sd["Block"] ** 2, exact.block

    def tests(method):
        exact, table = split_plot(cells, True), anova(lmer(form, oats), df=method).table
        terms = {"whole": "Variety", "sub": "nitro", "both": "Variety:nitro"}
        for term, name in terms.items():
            numerator, denominator = exact.df[term]
            yield f"F of {name}", table.loc[name, "F"], exact.F[term]
            yield f"numerator df of {name}", table.loc[name, "num_df"], numerator
            yield f"denominator df of {name}", table.loc[name, "den_df"], denominator

    yield row_of_digits(
        OPTIMA,
        "a split plot: the three variances",
        f"Oats, {form}, ML and REML",
        RATIONALS,
        12.0,
        variances(),
    )
    for method, whose in (("satterthwaite", "Satterthwaite"), ("kr", "Kenward and Roger")):
        yield row_of_digits(
            OPTIMA,
            f"a split plot: F and degrees of freedom by {whose}",
            "Oats by REML: 2 and 10, 3 and 45, 6 and 45 degrees of freedom",
            RATIONALS,
            10.0,
            tests(method),
        )


# -- stored optima ---------------------------------------------------------------------------------


def _stored_rows(quick):
    """The data sets whose exact optima are stored."""
    for name, model in models().iterrows():
        if quick and name == LARGEST_DATA:
            continue
        exact = lme4_reference(name)["exact"].dropna()
        if len(exact):
            methods = sorted(set(exact.index.get_level_values("method")))
            yield row_of_digits(
                OPTIMA,
                f"{name}: criterion, standard deviations, fixed effects",
                f"{model.lmer}, {' and '.join(methods)}",
                STORED,
                OF_LARGE if name == LARGEST_DATA else OF_STORED,
                _stored_pairs(name, model, exact),
            )


def _stored_pairs(name, model, exact):
    dat = load_data(name)
    fits = {}
    for (method, quantity, term), right in exact.items():
        if method not in fits:
            fits[method] = lmm(model.form, dat, model.ref, reml=method == "REML")
        fit = fits[method]
        values = {"sd": fit.sd, "beta": fit.params, "se": fit.bse}
        if quantity == "criterion":
            found = fit.deviance
        elif (quantity, term) == ("sd", "Residual"):
            found = fit.sigma
        else:
            found = values[quantity][term]
        yield f"{method} {quantity} {term}".rstrip(), found, float(right)


@dataclass(frozen=True)
class Anchored:
    """A model of data/anchors.json with correlated effects."""

    key: str
    form: str
    data: str


CORRELATED = (
    Anchored("sleepstudy ~ (Days|Subject)", "Reaction ~ Days + (Days | Subject)", "sleepstudy"),
    Anchored(
        "Machines ~ (0+Machine|Worker)", "score ~ Machine + (0 + Machine | Worker)", "Machines"
    ),
)


def _anchored_rows():
    """Terms with correlated effects, balanced: closed forms too."""
    anchors = json.loads((DATA_FOLDER / "anchors.json").read_text())
    for one in CORRELATED:
        yield row_of_digits(
            OPTIMA,
            f"{one.data}, correlated effects: criterion, standard deviations, correlations",
            f"{one.form}, ML and REML",
            ANCHORS,
            OF_STORED,
            _anchored_pairs(one, anchors[one.key]),
        )


def _anchored_pairs(one, anchor):
    dat = load_data(one.data)
    for reml, method in CRITERION_NAMES.items():
        fit, right = lmer(one.form, dat, reml=reml), anchor[method]
        yield f"{method} criterion", fit.deviance, right["crit"]
        for name, found, exact in zip(fit.sd.index, fit.sd, right["sd"]):
            yield f"{method} sd {name}", found, exact
        for name, found, exact in zip(fit.corr.index, fit.corr, np.ravel(right["corr"]).tolist()):
            yield f"{method} correlation {name}", found, exact
        if "sigma" in right:
            yield f"{method} sigma", fit.sigma, right["sigma"]


# -- hard numbers ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hard:
    """A regression with a random intercept whose numbers cost digits, and how many are left."""

    name: str
    form: str
    least: float
    sd: float = 1.0         # of the groups, in units of sigma
    shift_x: float = 0.0
    shift_y: float = 0.0
    unit: float = 1.0


HARD = (
    Hard("a response shifted by 1e9", "y ~ x", 7.0, shift_y=1e9),
    Hard("a group sd of 1e9 sigma", "y ~ x", 5.0, sd=1e9),
    Hard("a cubic in calendar years", "y ~ year + I(year**2) + I(year**3)", 7.0),
    Hard("a covariate shifted by 1e7", "y ~ x", 7.0, shift_x=1e7),
    Hard("a group sd of 1e6 sigma", "y ~ x", 7.0, sd=1e6),
    Hard("units of 1e-12", "y ~ x", 12.0, unit=1e-12),
)
QUICKLY = 3             # of these


def _hard_rows(quick):
    for hard in HARD[:QUICKLY] if quick else HARD:
        yield row_of_digits(
            OPTIMA,
            f"{hard.name}: nll, standard deviations, fixed effects",
            f"{hard.form} + (1 | g), 60 rows in 8 groups, ML and REML",
            SIXTY,
            hard.least,
            _hard_pairs(hard),
        )


def _hard_pairs(hard):
    dat = hard_data(hard)
    for reml, method in CRITERION_NAMES.items():
        fit = lmer(f"{hard.form} + (1 | g)", dat, reml=reml)
        theta, nll, beta = Definition.of(fit.setup).optimum(fit.theta)
        yield f"{method} nll", fit.nll, nll
        for name, found, exact in zip(("sigma", "sd"), (fit.sigma, fit.sd["g"]), theta):
            yield f"{method} {name}", found, _exp(exact)
        for name, found, exact in zip(fit.params.index, fit.beta, beta):
            yield f"{method} beta {name}", found, exact


def hard_data(hard):
    """Its rows."""
    rng = np.random.default_rng(1)
    n, m = 60, 8
    codes, x = rng.integers(0, m, n), rng.normal(size=n)
    y = 1 + 0.5 * x + hard.sd * rng.normal(size=m)[codes] + rng.normal(size=n)
    return pd.DataFrame({
        "y": hard.unit * (y + hard.shift_y),
        "x": hard.unit * (x + hard.shift_x),
        "g": pd.Categorical(codes.astype(str)),
        "year": rng.integers(1990, 2021, n).astype(float),
    })


@in_sixty_digits
def _exp(value):
    return Decimal(value).exp()
