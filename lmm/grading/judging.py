"""`grade`: a submission is loaded in a process of its own, asked case by case, and judged here, where the answers are."""

from dataclasses import replace

from ..machine import few_threads
from .answers import raised
from .catalogue import built_in_cases
from .costs import costs
from .diagnosis import PERHAPS, UNKNOWN, Judge, Likelihood
from .loading import submission
from .report import Report, Result
from .sandbox import Ended, Sandbox

MOST_LOST = 3           # processes, before a submission is left alone
SHEET = "LMMprof(theta, setup)"
SENTENCES = {"import": "imports {}, which fits mixed models itself", "read": "reads a file: {}", "write": "writes a file: {}",
             "process": "starts a process ({})", "network": "uses the network ({}), which is refused",
             "kill": "tries to end the judge ({}), which is refused"}


def grade(given, cases=None, time_limit=20.0, memory_limit=2048.0, helpers=True):
    """Judge somebody's `lmm`.

    Parameters
    ----------
    given : path, module or function
        The submission: a Python file that defines ``lmm(form, dat, ref)``, and, if it follows the practical, `LMMsetup` and
        `LMMprof`; a folder with one such file; a module; or the function itself, of a notebook, say, which is judged with
        what it uses.
    cases : list of Case, optional
        What to ask; by default the built-in cases. `read_cases` reads others from a file.
    time_limit : float, optional
        Seconds for each case.
    memory_limit : float, optional
        MiB for the submission's process, where the platform can limit it.
    helpers : bool, optional
        Whether the file may import others of its folder.

    Returns
    -------
    Report
        Its ``passed``, ``points``, ``total`` and ``results``; printing it shows what is wrong and why.

    Raises
    ------
    LMMError
        If there is nothing to judge: no such file, this package itself, an unreadable kind of object.

    Notes
    -----
    Whatever the submission does - raise, loop, print, fork, leave - is a sentence in the report. It runs with the rights of
    the user who grades: it is kept from hanging, crashing and misleading the judge, not from ill will; to grade
    strangers' code, do it in a container.
    """
    return Grading(built_in_cases() if cases is None else cases, time_limit, memory_limit).report(given, helpers)


class Grading:
    """Cases and limits, to judge any number of submissions with, several at a time if need be; the answers are found once.

    Parameters
    ----------
    cases : sequence of Case
        What to ask.
    time_limit, memory_limit : float, optional
        As for `grade`.
    """

    def __init__(self, cases, time_limit=20.0, memory_limit=2048.0):
        self.judges = [Judge(case) for case in cases]
        self.time_limit, self.memory_limit = time_limit, memory_limit
        self.stopped = False

    def stop(self):
        """Judge no further case: what is being judged, in whichever thread, ends with its case."""
        self.stopped = True

    def report(self, given, helpers=True):
        """The `Report` on a path, module or function; see `grade`."""
        submitted, results = submission(given, helpers), []
        facts = Facts(submitted.title)
        with Processes(submitted, self.time_limit, self.memory_limit) as processes:
            for judge in self.judges:
                if self.stopped:
                    break
                try:
                    results.append(judged(judge, processes, facts))
                except Unfit as unfit:
                    facts.problem = facts.problem or str(unfit)
                    results.append(not_run(judge.case, f"not run: {facts.problem}"))
        if facts.problem:
            results = [replace(result, passed=False, points=0.0) for result in results]
        return Report(submitted.title, tuple(compared(results, self.judges)), facts.problem, tuple(facts.notes()))

    def unread(self, title, problem):
        """The `Report` on a submission of which there is nothing to judge."""
        return Report(title, tuple(not_run(judge.case, f"not run: {problem}") for judge in self.judges), problem)


class Unfit(Exception):
    """A submission that cannot be judged; the message is the sentence that says why."""


class Processes:
    """The submission's process, started when it is needed, and again after it was lost; with counts in one of its own."""

    def __init__(self, submitted, time_limit, memory_limit):
        self.submitted, self.limits = submitted, (time_limit, memory_limit)
        self.box, self.counts, self.lost = None, False, 0

    def ask(self, case, facts):
        """The answer to a case, and what was printed; raises `Ended` or `Unfit`."""
        if self.lost >= MOST_LOST:
            raise Ended(f"is not called any more: the process was lost {MOST_LOST} times before")
        if self.box is None or self.counts != case.costs:
            self._start(case.costs, facts)
        try:
            return self.box.ask((case.form, case.dat, case.ref, [theta.tolist() for theta in case.thetas])), self.box.output
        except Ended:
            self.lost += 1
            self.box.close()
            self.box = None
            raise

    def _start(self, counts, facts):
        self.close()
        title, self.counts = self.submitted.title, counts
        try:
            self.box = Sandbox(self.submitted, *self.limits, counts)
        except Ended as ended:
            raise Unfit(f"{title} {ended}, when it was loaded") from None
        loaded = self.box.loaded
        facts.hear(loaded["events"])
        if not loaded["loaded"]:
            raise Unfit(unloadable(title, loaded["error"]))
        if not loaded["functions"]["lmm"]:
            raise Unfit(f"{title} defines no function lmm")

    def close(self):
        if self.box is not None:
            self.box.close()
            self.box = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Facts:
    """What is learnt of a submission as a whole, case by case."""

    def __init__(self, title):
        self.title, self.problem, self.sentences, self.right, self.wrong = title, "", {}, {}, False

    def hear(self, events):
        """What it did besides computing."""
        for kind, what in events:
            if kind == "package":
                self.problem = (f"{self.title} uses this package, lmm ({what}), by which it is judged; a submission is to be "
                                "the student's own work")
            else:
                self.sentences[SENTENCES[kind].format(what)] = None

    def hear_likelihood(self, found, profile):
        """How `LMMprof` is called, and that it is right or missing; what is wrong with it belongs to the case."""
        if profile is not None and profile.get("way", SHEET) != SHEET:
            self.sentences[f"LMMprof is called as {profile['way']}"] = None
        if found.right or profile is None:
            self.right[found.words] = None
        self.wrong |= found.right is False

    def notes(self):
        """In which `LMMprof` is right only if it is in every case."""
        return [*self.sentences, *(() if self.wrong else self.right)]


def judged(judge, processes, facts):
    """The `Result` of one case."""
    case = judge.case
    if facts.problem:
        raise Unfit(facts.problem)
    try:
        answer, output = processes.ask(case, facts)
    except Ended as ended:
        return replace(not_run(case, f"lmm {ended}"), output=ended.output)
    with few_threads():                      # n x n algebra of small n, which threads slow down on a busy machine
        return replace(read(judge, answer, facts), output=output)


def read(judge, answer, facts):
    """The `Result` of an answer."""
    case = judge.case
    facts.hear(answer["events"])
    likelihood, verdicts = Likelihood(None, ""), []
    if case.costs:
        verdicts.append(costs(answer))
    else:
        likelihood = judge.likelihood(answer["profile"])
        facts.hear_likelihood(likelihood, answer["profile"])
    if "fit" in answer:
        verdicts.append(judge.fit(answer["fit"], likelihood))
    causes = [cause for verdict in verdicts for cause in verdict.causes]
    causes.sort(key=lambda cause: UNKNOWN in cause)             # those that have a name first
    if answer.get("changed"):
        causes.append(f"lmm changed its arguments: {answer['changed']}")
    if causes and likelihood.right is False and not likelihood.mistake:
        causes.append(likelihood.words)
    notes = [note for verdict in verdicts for note in verdict.notes]
    if not causes and likelihood.right is False:
        notes.append(": ".join(filter(None, ("lmm is right, but not LMMprof", likelihood.words, likelihood.mistake))))
    return Result(case.name, case.why, not causes, 0.0 if causes else case.points, case.points, tuple(causes), tuple(notes),
                  likelihood.words, likelihood.mistake,
                  "", answer.get("fit", {}).get("seconds"), case.hidden)


def unloadable(title, error):
    """Why a submission could not be loaded, in a sentence."""
    if error["type"] in ("SyntaxError", "IndentationError", "TabError"):
        source = f": {error['source']}" if error.get("source") else ""
        return f"{title} does not parse: line {error.get('line')}: {error['message']}{source}"
    if error["type"] == "ModuleNotFoundError":
        return f"{title} needs the module {error['module']!r}, which is not installed here"
    return f"{title} cannot be loaded: {raised(error, 'it')}"


def not_run(case, cause):
    return Result(case.name, case.why, False, 0.0, case.points, (cause,), hidden=case.hidden)


def compared(results, judges):
    """The results, a cause added where another case sheds light on what is wrong."""
    passed = {result.name for result in results if result.passed}
    named = next((result for result in results if result.mistake and not result.hidden), None)
    for result, judge in zip(results, judges):
        same, causes = judge.case.same_as, list(result.causes)
        if not result.passed and same in passed:
            causes.append(f"{same}, the same model, is fitted right: {judge.case.why}")
        if not result.passed and named is not None and any(UNKNOWN in cause for cause in causes):
            causes = [cause for cause in causes if cause != PERHAPS]
            causes.append(f"perhaps what is wrong in {named.name!r}: {named.mistake}")
        yield replace(result, causes=tuple(causes))
