"""What a user does with a fit next: summaries, intervals, predictions, refits, simulations. No numerics here.

Most of these rooms fit models themselves, with `lmm`, which makes the result that has these methods: hence the imports
within the methods.
"""

from . import tables
from .errors import LMMError


class Actions:
    """The methods of an `LMMResult` that take arguments and do some work."""

    def summary(self, *, se=False, correlation=True):
        """The tables to read after a fit, as text and in a notebook as HTML.

        Parameters
        ----------
        se : bool, optional
            Whether to add the standard errors of the standard deviations.
        correlation : bool, optional
            Whether to show the correlations of the fixed effects' estimates.
        """
        return tables.Summary(tuple(tables.of_summary(self, se, correlation)))

    def conf_int(self, method="profile", level=0.95, **options):
        """Confidence intervals for the fixed effects, the standard deviations and the correlations.

        Parameters
        ----------
        method : {"profile", "wald", "t", "boot"}, optional
            ``"profile"``: where twice the drop of the profile log-likelihood reaches the chi-squared quantile; of the
            likelihood also for a REML fit, as in lme4. ``"wald"``: estimate -+ normal quantile times standard error, for
            standard deviations on the log scale, for correlations on Fisher's; not to be trusted near the boundary.
            ``"t"``: the same with Student's t and Satterthwaite's `df`, which agrees with `pvalues`. ``"boot"``: quantiles
            of a parametric bootstrap.
        level : float, optional
            Between 0 and 1.
        **options
            For ``"boot"``: those of `bootstrap`, such as ``nsim`` and ``seed``.

        Returns
        -------
        DataFrame
            With lower and upper, by ``("beta", column of X)``, ``("sd", "sigma")``, ``("sd", block)`` and ``("corr", pair)``. 0
            where an interval for a standard deviation reaches 0, -+1 for a correlation; nan for Wald's if the estimate is
            there, or not certified.

        Raises
        ------
        LMMError
            For an unknown method or a level outside (0, 1); for profiles, if the optimum of the likelihood is not certified.
        """
        from .intervals import confidence_intervals
        return confidence_intervals(self, method, level, **options)

    def profile(self):
        """The profile likelihood of each parameter, for a plot: a DataFrame with kind, name, value and zeta.

        zeta is the signed root of twice the drop of the log-likelihood (of the likelihood also for a REML fit) when the
        parameter has this value and the others are at their best; drawn to -+3, or to a standard deviation of 0, or a
        correlation of -+1. A correlation with an effect whose estimated standard deviation is 0 has none.
        """
        from .profiles import profile_frame
        return profile_frame(self)

    def predict(self, newdata=None, *, random=True, interval=None, level=0.95, new_levels="error"):
        """Predictions, on the scale of the formula's left-hand side.

        Parameters
        ----------
        newdata : DataFrame, optional
            With the columns of the formula's right-hand side and, unless `random` is false, the grouping columns. By default
            the rows used for the fit.
        random : bool, optional
            Whether to add the conditional modes of each row's groups; otherwise the mean over all groups, X beta.
        interval : {None, "confidence", "prediction"}, optional
            For the predicted mean, or for a new observation. With `random` false the latter is one in a new group.
        level : float, optional
            Of the interval.
        new_levels : {"error", "population"}, optional
            What to do where a group is not in the data: raise an error, or predict without its effect, whose variance then
            widens the interval.

        Returns
        -------
        Series, or DataFrame with mean, lower and upper
            By the index of `newdata`; nan where a variable is missing.

        Notes
        -----
        Intervals are normal, with the errors of beta and of the random effects (Henderson 1975), theta taken as known.
        """
        from .prediction import predicted
        return predicted(self, newdata, random, interval, level, new_levels)

    def refit(self, y):
        """The same model fitted to another response, the factored design being used again.

        Parameters
        ----------
        y : array_like, shape (nobs,), or with one value per row of `dat`
            On the scale of the formula's left-hand side. A Series goes by its index, which is that of `dat`, anything else
            by position.
        """
        from .fit import refitted
        if y is None:
            raise LMMError("y is None; it is one number for each row used")
        return refitted(self, y)

    def update(self, form=None, ref=None, dat=None, reml=None, engine=None):
        """The model fitted again with some arguments of `lmm` or `lmer` changed.

        In `form`, a dot stands for what was on its side of the old formula, bars included: ``". ~ . - Days + (1 | h)"``.
        `dat` is by default the frame of this fit; functions in the formula are those of this fit.
        `engine` is by default what was asked for then.
        """
        from .fit import updated
        return updated(self, form, ref, dat, reml, engine)

    def simulate(self, nsim=1, seed=None):
        """Responses drawn from the fitted model, random effects and residuals anew: a DataFrame, one column each."""
        from .bootstrap import simulate
        return simulate(self, nsim, seed)

    def bootstrap(self, nsim=1000, seed=None, statistic=None, processes=1, progress=True):
        """Refits to responses simulated from the fitted model: the parametric bootstrap.

        Parameters
        ----------
        nsim : int, optional
            How many. With few, intervals are too narrow.
        seed : int, optional
            The same seed, the same result, whatever `processes` is.
        statistic : callable, optional
            Of a fit, to a number, a Series or a list of numbers; by default all fixed effects, standard deviations and
            correlations.
        processes : int, optional
            Over how many processes to spread the work. A script that asks for several keeps its calls under
            ``if __name__ == "__main__":``, and the statistic is a function of a module.
        progress : bool, optional
            Whether to show a progress bar after two seconds, if tqdm is installed.

        Returns
        -------
        Bootstrap
            ``replicates``, ``se``, ``bias``, ``conf_int()``, ``failed``.

        Warns
        -----
        LMMWarning
            If refits failed, for want of a certified optimum; they are left out. If Ctrl-C ended it early; what was done
            is kept.

        Notes
        -----
        A refit starts from this fit's theta and takes Newton's iteration alone, to about 1e-8 in theta; other optima are
        looked for only where its end cannot be certified.
        """
        from .bootstrap import bootstrap
        return bootstrap(self, nsim, seed, statistic, processes, progress)
