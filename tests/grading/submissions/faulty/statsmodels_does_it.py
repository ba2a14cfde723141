"""Lets statsmodels do the work. -> imports statsmodels, which fits mixed models itself"""


def lmm(form, dat, ref=()):
    import statsmodels.formula.api as smf
    fit = smf.mixedlm(form, dat, groups=dat[ref[0][0]]).fit(reml=False)
    return {"beta": fit.fe_params, "theta": [fit.scale**0.5, float(fit.cov_re.iloc[0, 0]) ** 0.5]}
