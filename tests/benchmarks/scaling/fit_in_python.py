"""One program's fits of one case, in a process of its own that answers each line of its input by a line of JSON.

    python fit_in_python.py PROGRAM DATA.csv CASE.json

"fit" fits the model once and answers with seconds, criterion and memory; "about" answers with versions and threads.
"""

import gc
import json
import os
import sys
import time
import warnings
from importlib.metadata import version

import pandas as pd


def lmm(case, dat):
    from lmm import lmer

    def describe(fit):
        return {"criterion": fit.deviance, "evaluations": fit.nfev, "converged": bool(fit.converged),
                "engine": fit.engine.partition(":")[0]}
    return lambda: lmer(case["formula"], dat, engine=case.get("engine")), describe


def mixedlm(case, dat):
    import mixedlm

    def describe(fit):
        return {"criterion": fit.REMLcrit(), "evaluations": fit.function_evals, "converged": bool(fit.converged),
                "engine": fit.optimizer}
    return lambda: mixedlm.lmer(case["formula"], dat), describe


def glmm(case, dat):
    import glmm

    def describe(fit):
        return {"criterion": -2 * fit.loglik, "evaluations": fit.n_eval, "converged": bool(fit.converged),
                "engine": f"{fit.n_grad} gradients"}
    words = {"satterthwaite": False, "anova_test": "Wald"}
    return lambda: glmm.fit({name: dat[name] for name in dat}, case["formula"], **words), describe


def statsmodels(case, dat):
    """Here `formula` is of the fixed effects alone; factors stay numbers, since categories would be columns in every group."""
    from statsmodels.formula.api import mixedlm
    words = {name: case[name] for name in ("groups", "re_formula", "vc_formula") if name in case}

    def describe(fit):
        return {"criterion": -2 * fit.llf, "converged": bool(fit.converged), "engine": ""}
    return lambda: mixedlm(case["formula"], dat, **words).fit(reml=True), describe


PROGRAMS = {"lmm": lmm, "mixedlm": mixedlm, "glmm": glmm, "statsmodels": statsmodels}


def read(file, case, program):
    dat = pd.read_csv(file)
    if program == "statsmodels":
        return dat.assign(everyone=1)
    return dat.astype({name: "category" for name in case["factors"]})


def memory(field):
    """MiB of this process: "VmRSS" is what it has, "VmHWM" its peak. Only Linux says."""
    try:
        with open("/proc/self/status") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))
    except OSError:
        return None


def forget_peak():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def measured(fit, describe):
    gc.collect()
    before = memory("VmRSS")
    forget_peak()
    start, cpu = time.perf_counter(), time.process_time()
    try:
        result = fit()
    except Exception as error:              # whatever it is, the table shows it
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu, "before": before,
            "peak": memory("VmHWM"), **describe(result)}


def about(program):
    answer = {"versions": {name: version(name) for name in dict.fromkeys([program, "numpy", "scipy", "pandas"])}}
    answer["versions"]["Python"] = sys.version.split()[0]
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {**answer, "blas": [f"{name}, {threads} threads" for name, threads in openblas()]}
    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {**answer, "blas": [f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads "
                               f"({os.path.basename(pool['filepath'])})" for pool in pools]}


def openblas():
    """The OpenBLAS libraries of this process and their threads, where threadpoolctl is not installed."""
    from lmm import machine
    names = [os.path.basename(path) for path in machine._paths_of_openblas()]
    return [(name, get()) for name, (get, *_) in zip(names, machine._openblas())]


def main(program, file, case):
    answers = os.fdopen(os.dup(1), "w")     # what packages print goes elsewhere
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    with open(case) as text:
        case = json.load(text)
    fit, describe = PROGRAMS[program](case, read(file, case, program))
    for line in sys.stdin:
        print(json.dumps(measured(fit, describe) if line.strip() == "fit" else about(program)), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
