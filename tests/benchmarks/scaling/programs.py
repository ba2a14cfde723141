"""The programs that are compared, each in a process of its own, and their seconds, memory and criteria for one case."""

import json
import os
import selectors
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile

from .cases import SMALL

HERE = Path(__file__).parent
NAMES = "lmm", "lme4", "mixedlm", "glmm", "statsmodels"
SETTINGS = {
    "lmm": "lmer(formula, dat)",
    "lme4": "lmer(formula, dat), all defaults: nloptwrap's BOBYQA, then calc.derivs = TRUE, whose evaluations are not counted",
    "mixedlm": "lmer(formula, dat), all defaults; its other optimisers and gradients were not faster at the same criterion",
    "glmm": 'fit(columns of dat, formula, satterthwaite=False, anova_test="Wald"), without tests and degrees of freedom',
    "statsmodels": "mixedlm(...).fit(reml=True), factors as numbers; it does not say how often it evaluates",
}
LIMIT = 900.0           # seconds to wait for a fit


@dataclass
class Measured:
    """What one program took for one case: medians over the rounds, memory in MiB; or why there is nothing."""

    program: str
    seconds: list = field(default_factory=list)
    cpu_seconds: list = field(default_factory=list)
    criterion: float | None = None
    evaluations: int | None = None
    converged: bool | None = None
    engine: str = ""
    before: float | None = None             # what the process held before its first fit
    peak: float | None = None               # the most it held during one
    note: str = ""
    failed: str = ""
    about: dict = field(default_factory=dict)

    @property
    def median(self):
        return median(self.seconds) if self.seconds else None

    @property
    def cpu(self):
        return median(self.cpu_seconds) if self.cpu_seconds else None

    def add(self, answer):
        if "failed" in answer:
            self.failed = answer["failed"]
            return
        self.seconds.append(answer["seconds"])
        self.cpu_seconds.append(answer["cpu"])
        self.before = answer["before"] if self.before is None else self.before
        self.peak = None if answer["peak"] is None else max(answer["peak"], self.peak or 0)
        for name in ("criterion", "evaluations", "converged", "engine"):
            setattr(self, name, answer.get(name))

    def to_dict(self):
        return {**asdict(self), "median": self.median, "cpu": self.cpu}


@cache
def installed():
    """The programs there are here."""
    return tuple(name for name in NAMES if (has_lme4() if name == "lme4" else find_spec(name)))


def has_lme4():
    return shutil.which("Rscript") is not None and not subprocess.run(
        ["Rscript", "-e", "library(lme4)"], capture_output=True, check=False).returncode


class Process:
    """A program with the data in its memory, started when first asked, to be asked for one fit after another."""

    def __init__(self, command, limit=LIMIT):
        self.command, self.limit, self.process = list(map(str, command)), limit, None

    def start(self):
        self.errors = TemporaryFile("w+")   # noqa: SIM115
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True)

    def ask(self, line):
        """Its answer to a line; `failed` if it has none."""
        if self.process is None:
            self.start()
        try:
            print(line, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return {"failed": self.last_words()}
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.process.stdout, selectors.EVENT_READ)
            if not waiting.select(self.limit):
                return {"failed": f"stopped after {self.limit:g} s"}
        answer = self.process.stdout.readline()
        return json.loads(answer) if answer else {"failed": self.last_words()}

    def last_words(self):
        code = self.process.wait()
        self.errors.seek(0)
        lines = [line.strip() for line in self.errors if line.strip()]
        return f"ended with code {code}" + (f": {lines[-1]}" if lines else "")

    def close(self):
        """End the process, whatever it is doing."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.errors.close()
            self.process = None


def command_of(program, case, words, folder):
    """How to start it, its case written into `folder`; `words` may say which program goes by this name."""
    if program == "lme4":
        return "Rscript", HERE / "fit_in_r.R", folder / "dat.csv", words["formula"], " ".join(case.factors)
    file = folder / f"{program}.json"
    file.write_text(json.dumps(words))
    return sys.executable, HERE / "fit_in_python.py", words.get("program", program), folder / "dat.csv", file


def measure(case, programs=None, rounds=None, limit=LIMIT, say=lambda text: None):
    """A list of `Measured`, one for each program.

    The programs take turns, so that a noisy machine hits all alike: in each round each fits the model once. In small cases
    a fit that does not count goes before, to wake the process. A process ends after its last fit, so that with one round
    they follow one another.
    """
    rounds = rounds or case.rounds
    with TemporaryDirectory() as folder, ExitStack() as at_the_end:
        case.make().to_csv(Path(folder) / "dat.csv", index=False)
        found, processes = [], []
        for program in programs or installed():
            words = {"formula": case.formula, "factors": case.factors, **case.options.get(program, {})}
            found.append(Measured(program, note=words.pop("note", ""), failed=words.pop("left_out", "")))
            processes.append(Process(command_of(program, case, words, Path(folder)), limit))
            at_the_end.callback(processes[-1].close)
        for i in range(rounds):
            for one, process in zip(found, processes):
                if one.failed:
                    continue
                if case.rounds >= SMALL:
                    process.ask("fit")
                one.add(process.ask("fit"))
                if i == rounds - 1 and not one.failed:
                    one.about = process.ask("about")
                if i == rounds - 1 or one.failed:
                    process.close()
                say(f"{case.name}, round {i + 1} of {rounds}, {one.program}: {one.failed or f'{one.seconds[-1]:.3g} s'}")
    return found


def cores():
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
