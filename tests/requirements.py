"""What the package is required to do, by a short name: `pytest.mark.requirement(name)` says which tests hold it.

`python tests/make_requirements.py` makes the page of the guide that lists them with their tests.
"""

REQUIREMENTS = {
    "The likelihood": {
        "criterion": "At a fixed theta the criterion and beta are those of n x n algebra to 1e-10, by each engine and for every kind of design.",
        "derivatives": "Gradient (6) and Hessian (7) are those of n x n algebra, and of finite differences.",
        "average information": "Where average information (8) takes the Hessian's place, it is its definition, and the optima are the same.",
        "weights": "With weights and offsets the likelihood is that of dense algebra.",
        "extreme theta": "A theta too extreme to factor is infinity in silence: never nan, never a wrong derivative.",
        "hard numbers": "Shifted, scaled and nearly collinear numbers keep their digits, against sixty-digit arithmetic.",
        "immutable": "A set-up is a sufficient statistic that no evaluation and no fit changes.",
        "contract": "What is asked of an engine is one contract, and no inverse, determinant or pseudo-inverse is in the likelihood.",
    },
    "The optimum": {
        "exact optimum": "nll at the optimum is the truth to 1e-9; theta, standard deviations and beta to 1e-7.",
        "nist": "NIST's eleven one-way sets have 14 digits of the exact fit of their doubles, by ML and REML.",
        "boundary": "A variance whose estimate is zero is zero exactly, theta is -inf, and a tie goes to zero.",
        "units": "The units and the origin of the response do not matter.",
        "order": "Neither the order of rows and blocks nor the names of levels matter.",
        "starts": "Random starts end at the optimum, or are openly uncertified.",
        "best": "No certified fit is worse than a search from many starts on n x n algebra finds.",
        "certificate": "What is no local optimum has no certificate, and the error that the certificate states is not exceeded.",
        "unbounded": "A likelihood without bound is an error that says so.",
        "proof": "A proof of the global optimum says nothing that is false.",
        "lme4": "Stored fits by lme4 are reached to lme4's own tolerance, and never worse.",
        "repeatable": "The same fit twice is the same, whatever the number of threads or processes.",
    },
    "The input": {
        "unchanged": "The caller's data are never changed.",
        "missing": "A missing value drops its row from y, X and Z alike, and the rows left out are counted.",
        "integer slope": "A whole-number column that stands alone in a block is a slope, and a warning says so.",
        "integers": "Whole numbers in formulas are reckoned with as floats.",
        "index": "A Series given by row goes by its index.",
        "mistakes": "A mistake in the input is one sentence that says what is wrong, where, and what to do.",
        "caller": "A variable of the caller never stands in for a column of the data.",
        "hostile": "A formula runs nothing but what formulas are for.",
        "rank": "A column that others make is left out and named, and the fit is that of the pseudo-inverse.",
    },
    "Inference": {
        "satterthwaite": "Satterthwaite's degrees of freedom are their definition, exact in balanced designs, and lmerTest's.",
        "kenward-roger": "Kenward and Roger's are those of n x n algebra.",
        "profile": "At the bound of a profile interval the likelihood has dropped by the quantile.",
        "modes": "Conditional modes, fitted values and predictions are those of dense algebra.",
        "simulation": "Simulated responses have the mean and the covariance of the model; replicates are fits of them.",
        "many": "Each of many responses has the fit that it has alone.",
        "chunks": "Rows in chunks, and sums without rows, give the fit of all rows.",
    },
    "What is shown": {
        "tables": "Text, HTML, Markdown and LaTeX show the same cells, with every name escaped.",
        "practical": "`lmm` returns what the practical asks for: a mapping with beta and theta.",
        "commands": "No traceback reaches who uses the command line.",
        "grading": "A wrong submission is caught and its mistake named; a right one passes whatever its form.",
    },
    "The whole": {
        "four packages": "The package runs on numpy, scipy, pandas and patsy alone.",
        "floors": "Imports go down the floors of the house, and nothing goes round.",
        "one thread": "A fit of usual size has BLAS on one thread, and leaves it as it was.",
        "documented": "What is public is documented, and what documentation shows is what comes out.",
        "no path": "No path or name of the machine is in a report.",
        "it can fail": "The dossier of a package with one line made wrong fails in the row that names it.",
    },
}
