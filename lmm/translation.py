"""What lme4 and statsmodels call things, and what they are called here: the guide's tables.

Who asks a fit, or this package, for one of their words gets an error that names ours; so does who
gives one of their arguments. There is one row for each meaning, and it is written here only.
"""

import ast
import dis
import inspect
import re
from functools import wraps
from typing import NamedTuple

from .errors import UnknownArgument, nearest


class Word(NamedTuple):
    """A row of the tables in ``guide/coming_from.md``, with the names by which it is looked up.

    What they write and what to write here are the table's cells. Then follow names of attributes
    and functions; and of arguments, ``name`` or, where only one function is meant,
    ``function.name``. A capital, a dot or an underscore makes no difference in a name.
    """

    theirs: str
    ours: str
    names: str = ""
    arguments: str = ""


LME4 = (
    # -- the call
    Word(
        r"`lmer(score ~ Machine + (1 \| Worker) + (1 \| Worker:Machine), Machines, REML = FALSE)`",
        '`lmm("score ~ Machine", machines, ["Worker", ["Worker", "Machine"]])`',
    ),
    Word(
        r"`lmer(Reaction ~ Days + (Days \| Subject), sleepstudy)`",
        r'`lmer("Reaction ~ Days + (Days \| Subject)", sleep)`',
    ),
    Word(
        r"`(1 \| Subject) + (0 + Days \| Subject)`",
        'the same in `lmer`, or `["Subject", ["Subject", "Days"]]` in `lmm`',
    ),
    Word(
        r"nlme's `lme(y ~ x, dat, random = ~ x \| g)`",
        r'`lmer("y ~ x + (x \| g)", dat)`',
        names="lme nlme gls",
        arguments="random",
    ),
    Word("`I(x^2)`", "`I(x**2)`"),
    Word("`lmer(..., data = dat)`", "`lmer(..., dat=dat)`", arguments="data df frame"),
    Word("`lmer(..., REML = FALSE)`", "`lmer(..., reml=False)`", arguments="REML"),
    Word(
        "nlme's `lme(..., method = \"ML\")`",
        "`reml=False`, or `reml=True`",
        arguments="lmm.method lmer.method LMMsetup.method update.method",
    ),
    Word("nlme's `lme(fixed = y ~ x)`", '`lmm(form="y ~ x")`', arguments="fixed"),
    Word(
        "`lmer(..., REML = TRUE)`, lme4's default",
        "the default of `lmer`; `lmm` fits by ML, as in the practical, unless `reml=True`",
    ),
    Word(
        "`lmer(..., weights = w, offset = o)`",
        '`lmer(..., weights="w", offset="o")`',
    ),
    Word(
        "`lmer(..., subset = x > 0)`",
        'rows are chosen before, as in `dat.query("x > 0")`',
        arguments="subset",
    ),
    Word(
        "`lmer(..., na.action = na.omit)`",
        "rows with missing values are left out, and counted by `fit.n_dropped`",
        arguments="na_action missing dropna",
    ),
    Word(
        '`lmer(..., contrasts = list(f = "contr.sum"))`',
        "contrasts stand in the formula, as in `C(f, Sum)`",
        arguments="contrasts",
    ),
    Word(
        "`lmer(..., control = lmerControl(...))`",
        "there is nothing to choose but `start=` and `engine=`",
        names="lmerControl lmeControl",
        arguments="control optimizer maxiter maxfun",
    ),
    Word("`lmer(..., verbose = TRUE)`", "`lmer(..., verbose=True)`, or afterwards `fit.trace`"),
    Word(
        "`glmer(...)`, `nlmer(...)`, `family = binomial`",
        "only linear models of a normal response are fitted",
        names="glmer nlmer glm glmm glmmTMB",
        arguments="family",
    ),
    Word(
        "`lFormula(...)`, `mkLmerDevfun(...)`, `devFunOnly = TRUE`",
        "`LMMsetup(form, dat, ref)` and `LMMprof(theta, setup)`",
        names="lFormula mkLmerDevfun optimizeLmer mkMerMod devfun",
        arguments="devFunOnly",
    ),
    Word(
        "`update(m, . ~ . - x)`, `refitML(m)`",
        '`fit.update(". ~ . - x")`, `fit.update(reml=False)`',
        names="refitML",
    ),
    # -- the fixed effects
    Word("`fixef(m)`", "`fit.params`", names="fixef fixed_effects coefs coefficients"),
    Word("`vcov(m)`", "`fit.cov_params()`", names="vcov cov"),
    Word(
        "`sqrt(diag(vcov(m)))`",
        "`fit.bse`",
        names="se std_error std_errors stderr standard_errors",
    ),
    Word(
        "lmerTest's `summary(m)`",
        "`fit.summary()`, `fit.df`, `fit.pvalues`",
        names="ddf lmerTest",
    ),
    Word(
        "`model.matrix(m)`, `getME(m, \"X\")`, `getME(m, \"Z\")`",
        "`fit.model_matrix()`, and `fit.setup.design.blocks` for Z",
        names="getME X Z y",
    ),
    Word("`formula(m)`", "`fit.setup.design.form`", names="formula form call terms"),
    Word(
        '`weights(m)`, `getME(m, "offset")`',
        "`fit.setup.design.given`, of `weights` and `offset`",
        names="weights offset",
    ),
    Word("`model.frame(m)`", "`fit.setup.design.dat`", names="model_frame dat data frame"),
    # -- the random effects
    Word("`VarCorr(m)`", "`fit.varcorr()`, `fit.sd`, `fit.corr`"),
    Word("nlme's `getVarCov(m)`", "`fit.psi()`", names="getVarCov"),
    Word("`ranef(m)$g`, `coef(m)$g`", '`fit.ranef()["g"]`, `fit.coef()["g"]`', names="blup blups"),
    Word("`ranef(m, condVar = TRUE)`", "`fit.ranef(cond_sd=True)`", arguments="condVar postVar se"),
    Word("`ngrps(m)`", '`len(fit.ranef()["g"])`', names="ngrps flist n_groups groups"),
    Word(
        "`isSingular(m)`, `rePCA(m)`",
        "`fit.singular`, the names of the terms, and `fit.rank`",
        names="isSingular rePCA",
    ),
    Word(
        '`getME(m, "theta")`: T relative to sigma, terms sorted by number of levels',
        "`fit.theta`: log sigma, then T with a logarithmic diagonal, in the order of `ref` or of "
        "the formula",
    ),
    # -- rows
    Word("`residuals(m)`, `resid(m)`", "`fit.resid`", names="residuals residual"),
    Word(
        "`residuals(m, \"pearson\", scaled = TRUE)`, those of `summary(m)`",
        "`fit.resid_scaled`, weights taken in; without them `fit.resid / fit.sigma`",
        names="scaled_residuals pearson",
    ),
    Word("`fitted(m)`", "`fit.fittedvalues`", names="fitted"),
    Word("`hatvalues(m)`", "`fit.leverage`", names="hatvalues hat"),
    Word(
        '`cooks.distance(m)`, `influence(m, "g")`',
        '`fit.cooks_distance` by row, `fit.influence("g")` by level; '
        "lme4's distance by level is (G - k) / G times it",
        names="cooksd",
    ),
    Word(
        'clubSandwich\'s `vcovCR(m, type = "CR2")`',
        '`fit.robust_cov("g", "CR2")`',
        names="vcovCR vcovHC vcovCL",
    ),
    Word(
        "`predict(m, new, re.form = NA)`",
        "`fit.predict(new, random=False)`",
        arguments="predict.re_form re_formula include_ranef",
    ),
    Word(
        "`predict(m, new, allow.new.levels = TRUE)`",
        '`fit.predict(new, new_levels="population")`',
        arguments="allow_new_levels",
    ),
    Word(
        "`predict(m, new, se.fit = TRUE)`",
        "`fit.predict(new, se=True)`",
        names="predictInterval predict_interval",
        arguments="se_fit",
    ),
    Word(
        '`predict(m, type = "response")`',
        "predictions are always of the response",
        arguments="predict.type",
    ),
    Word("`simulate(m, nsim = 9)`", "`fit.simulate(nsim=9)`", arguments="n size simulate.R"),
    Word(
        "`simulate(m, re.form = NA, use.u = FALSE)`",
        "random effects are always drawn anew",
        arguments="simulate.re_form bootstrap.re_form use_u",
    ),
    # -- criteria
    Word("`logLik(m)`", "`fit.llf`", names="logLik log_likelihood ll"),
    Word("`AIC(m)`, `BIC(m)`, `deviance(m)`", "`fit.aic`, `fit.bic`, `fit.deviance`"),
    Word("`REMLcrit(m)`", "`fit.deviance`, the fit being by REML", names="REMLcrit"),
    Word("`isREML(m)`", "`fit.reml`", names="isREML method"),
    Word("`df.residual(m)`", "`fit.df_resid`", names="df_residual"),
    Word("`nobs(m)`, `sigma(m)`", "`fit.nobs`, `fit.sigma`"),
    Word("`r.squaredGLMM(m)`", "`fit.r2()`", names="r_squaredGLMM rsquared r_squared"),
    Word(
        "convergence warnings, `allFit(m)`",
        "`fit.optimum`, `fit.optimum.certified`",
        names="allFit optinfo convergence optimizer",
    ),
    # -- intervals and tests
    Word(
        "`confint(m)`, `confint(m, method = \"Wald\")`",
        '`fit.conf_int()`, `fit.conf_int("wald")`',
        names="intervals ci confidence_interval confidence_intervals",
    ),
    Word(
        '`confint(m, parm = "beta_")`',
        'all are computed, and chosen afterwards, as in `fit.conf_int().loc["beta"]`',
        arguments="conf_int.parm conf_int.which conf_int.cols conf_int.signames",
    ),
    Word(
        "`confint(m, oldNames = FALSE)`",
        "names are those of `fit.sd` and `fit.corr`",
        arguments="oldNames",
    ),
    Word("nlme's `intervals(m, level = 0.9)`", "`fit.conf_int(level=0.9)`", arguments="conf_level"),
    Word(
        '`profile(m, which = "beta_")`',
        "`fit.profile()` of all parameters, chosen by its columns `kind` and `name`",
        arguments="profile.which profile.parm",
    ),
    Word(
        "`anova(m0, m1)`, lmerTest's `anova(m)`, `drop1(m)`, `ranova(m)`",
        "`anova(m0, m1)`, `anova(fit)`, `drop1(fit)`, `ranova(fit)`, of the package",
        names="anova drop1 ranova rand lrtest lr_test",
    ),
    Word(
        "`anova(m0, m1, refit = FALSE)`",
        "fits by REML are always refitted by maximum likelihood",
        arguments="anova.refit",
    ),
    Word(
        '`anova(m, type = 3, ddf = "Kenward-Roger")`, `anova(m0, m1, test = "Chisq")`',
        '`anova(fit, type=3, df="kr")`; several fits are always compared by likelihood ratios',
        arguments="anova.test ddf",
    ),
    Word("`bootMer(m, f, nsim = 999)`", "`fit.bootstrap(999, statistic=f)`", names="bootMer boot"),
    Word(
        "boot's `boot(..., R = 999)`",
        "`fit.bootstrap(nsim=999)`",
        arguments="R B nboot n_boot reps n_resamples boot_nsim",
    ),
    Word("`bootMer(m, FUN = f)`", "`fit.bootstrap(statistic=f)`", arguments="FUN func function"),
    Word(
        "`bootMer(m, f, ncpus = 2)`",
        "`fit.bootstrap(processes=2)`",
        arguments="ncpus n_jobs parallel cores cl",
    ),
    Word(
        '`bootMer(m, f, type = "parametric")`',
        "the bootstrap is always parametric",
        arguments="bootstrap.type",
    ),
    Word("`refit(m, newresp = y)`", "`fit.refit(y=y)`", arguments="newresp"),
    Word("`lapply(Y, function(y) refit(m, y))`", "`fit.refit(Y)`, or `lmer_many` with a formula"),
    Word(
        '`emmeans(m, "f")`, `pairs(emmeans(m, "f"))`, `emtrends(m, "f", var = "x")`',
        '`fit.means("f")`, `fit.means("f").pairs()`, `fit.slopes("x", by="f")`',
        names="emmeans lsmeans ls_means emtrends pairs cld difflsmeans",
    ),
    Word(
        '`contrast(emmeans(m, "f"), "trt.vs.ctrl")`',
        '`fit.means("f").contrast("trt.vs.ctrl")`, not adjusted unless `adjust=` says so; '
        "Dunnett's is not there",
        names="dunnett",
    ),
    Word(
        "`contest(m, L)`, `glht(m, L)`",
        "`fit.contrast(L)`, of text too; `joint=True` for F",
        names="contest contest1D contestMD glht linearHypothesis",
    ),
    Word(
        "`vcovAdj(m)`, `KRmodcomp(m, L)`",
        '`fit.cov_params(adjusted=True)`, `fit.contrast(L, df="kr", joint=True)`',
        names="vcovAdj KRmodcomp",
    ),
    # -- pictures
    Word(
        "`plot(m)`, `dotplot(ranef(m))`, `qqmath(m)`, `xyplot(...)`",
        "`lmm.plots`: `residuals(fit)`, `caterpillar(fit)`, `quantiles(fit)`, `panels(fit)`",
        names="plot dotplot qqmath xyplot augPred",
    ),
    # -- labels and letters
    Word(
        "`MachineB`, `(Intercept)`",
        "`Machine[T.B]`, `Intercept`; patsy puts factors before numeric terms",
    ),
    Word("p, q: columns of X, of Z", "k, p"),
)

STATSMODELS = (
    # -- the call
    Word(
        '`MixedLM.from_formula("y ~ x", dat, groups="g").fit(reml=False)`',
        '`lmm("y ~ x", dat, "g")`',
        names="MixedLM mixedlm from_formula",
    ),
    Word('`groups="g"`', '`lmm("y ~ x", dat, ref="g")`', arguments="groups group random_effects"),
    Word(
        "`.fit()`, `.fit_regularized()`",
        "the fit is what `lmm` returns",
        names="fit fit_regularized",
    ),
    Word(
        "several crossed groupings by `vc_formula` and a constant group",
        '`lmm("y ~ x", dat, ["g", "h"])`',
        arguments="vc_formula exog_vc vcs",
    ),
    Word(
        '`re_formula="~ x"`',
        r'`lmer("y ~ x + (x \| g)", dat)`',
        arguments="lmm.re_formula lmer.re_formula LMMsetup.re_formula "
        "lmer.groups lmer.group lmer.ref",
    ),
    Word(
        "`MixedLM(endog, exog, groups, exog_re)`",
        '`lmm(y, X, {"g": Z})`',
        arguments="endog exog exog_re",
    ),
    Word('`missing="drop"`', "rows with missing values are left out"),
    Word("`fit(start_params=...)`", "`lmm(..., start=theta)`", arguments="start_params"),
    Word(
        "`model.endog`, `model.exog`",
        "`fit.setup.design`: its `y`, `X`",
        names="model endog exog",
    ),
    # -- what a fit holds
    Word(
        "`params bse tvalues pvalues cov_params() llf aic bic fittedvalues resid predict() "
        "summary()`",
        "the same names; `params` and `cov_params()` are of the fixed effects alone",
    ),
    Word("`fe_params`", "`fit.params`", names="fe_params"),
    Word("`bse_fe`", "`fit.bse`", names="bse_fe"),
    Word("`cov_re`", "`fit.psi()`", names="cov_re cov_re_unscaled"),
    Word("`vcomp`", "`fit.varcorr()`", names="vcomp"),
    Word("`bse_re`", "`fit.sd_se`, of the standard deviations", names="bse_re"),
    Word("`scale`", "`fit.sigma ** 2`", names="scale sigma2 mse_resid residual_variance"),
    Word("`random_effects`", "`fit.ranef()`", names="random_effects"),
    Word("`random_effects_cov`", "`fit.ranef(cond_sd=True)`", names="random_effects_cov"),
    Word(
        "`get_prediction(new)`",
        '`fit.predict(new, interval="confidence")`',
        names="get_prediction",
    ),
    Word(
        "`predict(exog=new)`",
        "`fit.predict(newdata=new)`",
        arguments="predict.exog predict.data predict.X new new_data",
    ),
    Word("`loglike(params)`", "`LMMprof(theta, fit.setup)`", names="loglike"),
    Word("`score(params)`", "`fit.optimum.gradient`", names="score gradient"),
    Word("`hessian(params)`", "`fit.optimum.hessian`", names="hessian"),
    Word("`hist`", "`fit.trace`", names="hist history"),
    Word("`save(file)`, `remove_data()`", "`pickle.dump(fit, file)`", names="save remove_data"),
    # -- intervals and tests
    Word("`conf_int(alpha=0.05)`", "`fit.conf_int(level=0.95)`", arguments="alpha"),
    Word("Wald's intervals", '`fit.conf_int("wald")`; by default they are from profiles'),
    Word(
        "`zvalues`, p-values by the normal distribution",
        "`fit.tvalues`, `fit.pvalues` by Student's t with Satterthwaite's degrees of freedom",
        names="zvalues zscores use_t",
    ),
    Word(
        "`t_test(L)`",
        "`fit.contrast(L)`",
        names="t_test",
    ),
    Word(
        "`f_test(L)`, `wald_test(L)`",
        "`fit.contrast(L, joint=True)`, `anova(fit)` of all terms",
        names="f_test wald_test wald_test_terms compare_lr_test",
    ),
    Word("`profile_re(...)`", "`fit.profile()`", names="profile_re"),
    Word("`random_state=1`", "`fit.bootstrap(seed=1)`", arguments="random_state rng generator"),
)


# -- looking up ------------------------------------------------------------------------------------


def simple(name):
    """A name without what languages and habits differ in: capitals, dots, underscores."""
    return name.replace("_", "").replace(".", "").lower()


def _by_name(column):
    """The words by the simple forms of their `names`, or `arguments`."""
    found = {}
    for word in (*LME4, *STATSMODELS):
        for name in getattr(word, column).split():
            function, dot, argument = name.rpartition(".")
            found.setdefault(function + dot + simple(argument), word)
    return found


BY_NAME = _by_name("names")
BY_ARGUMENT = _by_name("arguments")


def plain(ours):
    """A cell of the table as the end of a message: what to write, or a sentence."""
    text = ours.replace("`", "").replace(r"\|", "|")
    return f"write {text}" if ours.startswith("`") else text


def markdown(words, theirs):
    """The words as a table of the guide, `theirs` being the heading of the left column."""
    rows = [f"| {word.theirs} | {word.ours} |" for word in words]
    return "\n".join([f"| {theirs} | here |", "|---|---|", *rows])


# -- attributes of a fit, and names of the package -------------------------------------------------


def missing_from_fit(fit, name):
    """`__getattr__` of a fit, which Python calls where an attribute is not found.

    Names with an underscore are asked for by programs, and those of the class are its properties,
    in which an AttributeError was raised: of these Python's own error is raised once more.
    """
    kind = type(fit)
    if name.startswith("_") or hasattr(kind, name):
        return object.__getattribute__(fit, name)
    advice = _instead_of_name(name, kind) or "dir(fit) lists what it has"
    raise AttributeError(f"a fit has no attribute {name!r}; {advice}")


def missing_from_package(name, public, kind):
    """What is said of a name that the package has not; `kind` is the class of a fit."""
    advice = _instead_of_name(name, kind, public) or "dir(lmm) lists what it has"
    if "fit" in re.findall(r"\w+", advice):
        advice += ", fit being what lmm returns"
    return f"lmm has no {name!r}; {advice}"


def _instead_of_name(name, kind, public=()):
    """What to write for an attribute or function: as ours, theirs, or the most similar; or None."""
    known = {}
    for own in (*kind.__dataclass_fields__, *dir(kind)):
        if not own.startswith("_"):
            call = "()" if callable(getattr(kind, own, None)) else ""
            known[own] = f"fit.{own}{call}"
    known.update({own: own for own in public})
    for own, written in known.items():
        if simple(own) == simple(name):
            return f"write {written}"
    if simple(name) in BY_NAME:
        return plain(BY_NAME[simple(name)].ours)
    similar = nearest(name, known)
    return None if similar is None else f"did you mean {known[similar]}?"


def is_import(frame):
    """Whether a frame runs ``from ... import name``, which drops the words of an AttributeError."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM"


# -- arguments of functions ------------------------------------------------------------------------


def explained(function):
    """The function, with our words for arguments that it has not, and one line for Ctrl-C.

    Python's own TypeError about such an argument becomes an `UnknownArgument` that says what to
    write. A KeyboardInterrupt goes on without the many frames from where it met the function.
    """

    @wraps(function)
    def call(*arguments, **named):
        try:
            return function(*arguments, **named)
        except TypeError:
            known = inspect.signature(function).parameters
            unknown = {name: named[name] for name in named if name not in known}
            if not unknown or _takes_any(known):
                raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{function.__name__} was interrupted") from None
        known = [name for name in known if name not in ("fit", "self")]
        raise unknown_argument(function.__name__, unknown, known) from None

    return call


def _takes_any(parameters):
    """Whether a function has ``**options``, and judges itself which it takes."""
    kinds = [parameter.kind for parameter in parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def unknown_argument(function, unknown, known, takes=None):
    """The error about arguments, {name: value}, that a function of this name has not.

    `known` are those that it has, `takes` the words that list them.
    """
    takes = f"it takes {takes or ', '.join(known) or 'none'}"
    advice = []
    for name, value in unknown.items():
        advice.append(_instead_of_argument(function, name, value, known) or takes)
    several = "s" if len(unknown) > 1 else ""
    names = ", ".join(map(repr, unknown))
    advice = " and ".join(dict.fromkeys(advice)).replace(" and write ", " and ")
    return UnknownArgument(f"{function} has no argument{several} {names}; {advice}")


THAT_FIT = ("lmm", "lmer", "LMMsetup", "update")
FITTING = tuple(f"`{name}(" for name in THAT_FIT)


def _instead_of_argument(function, name, value, known):
    """What to write for an argument: as ours, theirs, or the most similar one; or None."""
    for own in known:
        if simple(own) == simple(name):
            return f"write {own}={_if_short(value)}"
    word = BY_ARGUMENT.get(f"{function}.{simple(name)}") or BY_ARGUMENT.get(simple(name))
    if word is not None and word.ours.startswith(FITTING) and function not in THAT_FIT:
        word = None
    if function == "cov_params" and name == "df":
        return "write adjusted=True for Kenward and Roger's"
    if word is not None:
        renamed = re.fullmatch(r"`[^`]*?(\w+)=([^`,()]*)\)?`", word.ours)
        if renamed is None or renamed[1] not in known:
            return plain(word.ours)
        own, example = renamed.groups()
        return f"write {own}={_like(example, value, name)}"
    similar = nearest(name, known)
    return None if similar is None else f"did you mean {similar}=?"


def _like(example, value, name):
    """What to write as the value: the one given, if it is of the example's type, or the example.

    Nothing where the example is a name, for one of the user's own.
    """
    if example.isidentifier() and example not in ("True", "False"):
        return ""
    if not isinstance(value, type(ast.literal_eval(example))):
        return example
    if name == "alpha":
        value = round(1 - value, 12)
    return repr(value)


def _if_short(value):
    """A value to be written after an argument, if it is short."""
    return repr(value) if isinstance(value, (bool, int, float, str)) else ""
