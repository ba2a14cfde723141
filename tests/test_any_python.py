"""Imports and plain fits need no threads, processes, signals or ctypes, which a browser's Python has not.

As installed, without extras. numpy and pandas import some of these modules themselves, where they are there. So modules are refused to this
package's own, whoever else may import them, and what would start a thread or a process is refused to all. `threading` is left for its locks, which numpy takes too.
"""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

REFUSING = """
import builtins, importlib, os, signal, subprocess, sys, threading
import numpy, pandas, patsy
import scipy.interpolate, scipy.linalg, scipy.optimize, scipy.sparse, scipy.special, scipy.stats

MODULES = {"_thread", "concurrent", "ctypes", "multiprocessing", "signal", "socket", "subprocess"}
sys.path.insert(0, ROOT)
sys.modules.update(dict.fromkeys(["matplotlib", "threadpoolctl", "tqdm"]))
plain = builtins.__import__


def importing(name, names=None, *others):
    ours = (names or {}).get("__name__", "").split(".")[0] == "lmm"
    if ours and name.split(".")[0] in MODULES:
        raise ImportError(f"no {name} in a browser")
    return plain(name, names, *others)


def refused(*_, **__):
    raise RuntimeError("refused")


builtins.__import__ = importing
threading.Thread.start = subprocess.Popen.__init__ = signal.signal = refused
if hasattr(os, "fork"):
    os.fork = refused
"""


def run(script):
    """What a script says, ended well, in a Python that refuses."""
    text = REFUSING.replace("ROOT", repr(str(ROOT))) + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-W", "error", "-c", text], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_fits_tests_and_intervals_without_threads_processes_signals_and_ctypes():
    said = run("""
        import lmm
        from lmm import anova, lmer, load_data, machine
        machine.cores = lambda: 4                               # more than one, and no thread to be had
        fit = lmm.lmm("score ~ Machine", load_data("Machines"), ["Worker", ["Worker", "Machine"]])
        both = lmer("Reaction ~ Days + (Days | Subject)", load_data("sleepstudy"))
        scots = lmer("attain ~ sex + (1 | primary) + (1 | second)", load_data("ScotsSec"))
        many = both.refit(both.simulate(8, seed=1))
        texts = fit.summary(), both.conf_int(), anova(fit), both.bootstrap(20, seed=1), fit.prove(), scots
        print(fit.converged, both.converged, scots.converged, many.converged.all(), all(map(str, texts)))
        with machine.over_cores(8) as run:
            print(list(run(abs, [-1, -2])))
        """)
    assert said == ["True True True True True", "[1, 2]"]


def test_several_processes_where_there_are_none_are_an_error():
    said = run("""
        from lmm import LMMError, lmm, load_data
        fit = lmm("score ~ Machine", load_data("Machines"), "Worker")
        try:
            fit.bootstrap(20, seed=1, processes=2)
        except LMMError as error:
            print(error)
        """)
    assert said == ["processes: this Python can start no others (no multiprocessing in a browser); use processes=1"]


@pytest.mark.parametrize("line", ["import ctypes", "from concurrent import futures", "import signal"])
def test_what_refuses_does(line):
    """To a module of this package alone; the tests above would see it."""
    run(f"""
        exec({line!r}, {{"__name__": "other"}})
        try:
            exec({line!r}, {{"__name__": "lmm.machine"}})
        except ImportError:
            pass
        else:
            raise AssertionError
        """)
