"""`grade`: a submission is loaded in its own process, asked case by case, and judged here."""

from collections import Counter
from dataclasses import replace

from ..errors import LMMError, unknown_name
from ..machine import few_threads
from . import confinement
from .across import compared, is_vague
from .answers import raised
from .cases import Case
from .catalogue import built_in_cases
from .comparing import drawing, numbers
from .costs import costs
from .diagnosis import Judge
from .likelihoods import Likelihood
from .loading import submission
from .report import Report, Result
from .sandbox import Ended, Sandbox

TIME_LIMIT = 20.0       # seconds for each case
MEMORY_LIMIT = 2048.0   # MiB for a submission's process
LONGEST_TIME = 86_400.0 # seconds: a day
LEAST_MEMORY = 256.0    # MiB: Python, numpy and pandas take most of it
LARGEST_MEMORY = 2.0**24    # MiB: 16 TiB
MOST_LOST = 3           # processes, before a submission is left alone
SHEETS_CALL = "LMMprof(theta, setup)"
EVENT_SENTENCES = {
    "import": "imports {}, which fits mixed models itself",
    "read": "reads a file: {}",
    "write": "writes a file: {}",
    "process": "starts a process ({})",
    "network": "uses the network ({}), which is refused",
    "kill": "tries to end the judge ({}), which is refused",
    "judge": "tries to open a file of the judge's ({}), which is refused",
}
ORDER_OF_ARGUMENTS = ("form", "dat", "ref")
BEGINNINGS = {              # of what else students call the arguments
    "form": ("form", "model", "fml"),
    "dat": ("dat", "df", "frame"),
    "ref": ("ref", "random", "groups", "blocks"),
}
SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")


def grade(
    given,
    cases=None,
    time_limit=TIME_LIMIT,
    memory_limit=MEMORY_LIMIT,
    helpers=True,
):
    """Judge somebody's `lmm`.

    Parameters
    ----------
    given : path, module or function
        The submission: a Python file that defines ``lmm(form, dat, ref)``, and, if it follows the
        practical, `LMMsetup` and `LMMprof`; a notebook, whose code cells are taken; a folder or a
        zip file with one of them; a module; or the function itself, of a notebook, say, which is
        judged with what it uses.
    cases : list of Case and str, or one of them, optional
        What to ask, a built-in case also by its name, as ``"Machines"``; by default all built-in
        cases. `read_cases` reads others from a file.
    time_limit : float, optional
        Seconds for each case.
    memory_limit : float, optional
        MiB for the submission's process, where the platform can limit it.
    helpers : bool, optional
        Whether the file may import others of its folder.

    Returns
    -------
    Report
        Its ``passed``, ``points``, ``total`` and ``results``; printing it shows what is wrong and
        why.

    Raises
    ------
    LMMError
        If there is nothing to judge: no such file, this package itself, an unreadable kind of
        object.

    Notes
    -----
    Whatever the submission does - raise, loop, print, fork, leave - is a sentence in the report.
    It is kept from hanging, crashing and misleading the judge. On Linux, where the kernel allows
    it, it has no network, and writes nothing to the disk; where not, a note says so, and it runs
    with the rights of the user who grades: grade strangers' code in a virtual machine then.
    """
    return Grading(cases, time_limit, memory_limit).report(given, helpers)


class Grading:
    """Cases and limits, to judge any number of submissions with, several at a time if need be.

    The answers are found once.

    Parameters
    ----------
    cases : list of Case and str, or one of them, optional
        What to ask; see `grade`.
    time_limit, memory_limit : float, optional
        As for `grade`.

    Attributes
    ----------
    class_folder : path or None
        The folder of a class, whose submissions do not see each other.
    closed : list of path
        Files and folders that no submission may read: those of the cases, to begin with.

    Raises
    ------
    LMMError
        If `cases` are none, or a limit is out of range.
    """

    def __init__(self, cases=None, time_limit=TIME_LIMIT, memory_limit=MEMORY_LIMIT):
        check_limits(time_limit, memory_limit, ("time_limit", "memory_limit"))
        self.judges = [Judge(case) for case in asked_cases(cases)]
        for judge in self.judges:
            judge.others = [other for other in self.judges if other is not judge]
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self.class_folder = None
        self.closed = [file for judge in self.judges for file in judge.case.files]
        self.confined = True            # whether the kernel confined all of them, so far
        self.stopped = False

    def stop(self):
        """Judge no further case: what is being judged, in whichever thread, ends with its case."""
        self.stopped = True

    def report(self, given, helpers=True):
        """The `Report` on a path, module or function; see `grade`."""
        submitted = submission(given, helpers)
        try:
            return self._report_on(submitted)
        finally:
            submitted.remove()

    def _report_on(self, submitted):
        facts = Facts(submitted.title)
        results = []
        limits = (self.time_limit, self.memory_limit, self.class_folder, self.closed)
        with Processes(submitted, *limits) as processes:
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
        results = compared(results, self.judges)
        notes = [*submitted.notes, *facts.notes()]
        if not facts.confined:
            self.confined = False
            if self.class_folder is None:           # for the report on a class says it once
                notes.append(confinement.note())
        title, taken = submitted.title, submitted.taken
        return Report(title, results, facts.problem, tuple(notes), taken=taken)

    def unread(self, title, problem):
        """The `Report` on a submission of which there is nothing to judge."""
        results = tuple(not_run(judge.case, f"not run: {problem}") for judge in self.judges)
        return Report(title, results, problem)


def check_limits(time_limit, memory_limit, names):
    """Raise an LMMError, in which they are called so, for limits that nothing can be held to."""
    time_name, memory_name = names
    if not 0 < time_limit <= LONGEST_TIME:
        raise LMMError(
            f"{time_name} is {time_limit:g}; it takes seconds, more than 0 and at most "
            f"{LONGEST_TIME:g}"
        )
    if not LEAST_MEMORY <= memory_limit <= LARGEST_MEMORY:
        raise LMMError(
            f"{memory_name} is {memory_limit:g}; it takes MiB, at least {LEAST_MEMORY:g} and at "
            f"most {LARGEST_MEMORY:.0f}"
        )


def asked_cases(given):
    """The cases that were asked for, a list; an LMMError for what is none."""
    if given is None:
        return list(built_in_cases())
    if isinstance(given, (str, Case)):
        given = [given]
    try:
        given = list(given)
    except TypeError:
        kind = type(given).__name__
        raise LMMError(f"cases is a {kind}; it takes cases, or names of built-in ones") from None
    cases = [_built_in(one) if isinstance(one, str) else one for one in given]
    for one in cases:
        if not isinstance(one, Case):
            raise LMMError(f"cases holds {one!r}; it takes cases, or names of built-in ones")
    twice = [name for name, times in Counter(case.name for case in cases).items() if times > 1]
    if twice:
        raise LMMError(f"two cases are called {twice[0]!r}; rename one of them")
    if not cases:
        raise LMMError("cases is empty; it takes at least one case")
    return cases


def _built_in(name):
    """The built-in case of a name."""
    cases = {case.name: case for case in built_in_cases()}
    if name not in cases:
        raise unknown_name("built-in case", name, list(cases))
    return cases[name]


class Unfit(Exception):
    """A submission that cannot be judged; the message is the sentence that says why."""


class Processes:
    """The submission's process, started when it is needed, and again after it was lost.

    Where calls are counted, the process is another one, whose functions are wrapped.
    """

    def __init__(self, submitted, time_limit, memory_limit, class_folder=None, closed=()):
        self.submitted = submitted
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self.class_folder = class_folder
        self.closed = closed
        self.box = None
        self.counts = False         # whether the process counts calls
        self.lost = 0               # how many processes ended without an answer

    def ask(self, case, facts):
        """The answer to a case, and what was printed; raises `Ended` or `Unfit`."""
        if self.lost >= MOST_LOST:
            raise Ended(
                f"is not called any more: the process was lost {MOST_LOST} times before"
            )
        if self.box is None or self.counts != case.costs:
            self._start(case.costs, facts)
        thetas = [theta.tolist() for theta in case.thetas]
        lines = [] if case.costs else [line.tolist() for line in case.lines]
        drawing = self.time_limit / 2       # so that a picture takes no answer's time
        try:
            answer = self.box.ask((case.form, case.dat, case.ref, thetas, lines, drawing))
        except Ended:
            self.lost += 1
            self.close()
            raise
        return answer, self.box.output

    def _start(self, counts, facts):
        self.close()
        self.counts = counts
        title = self.submitted.title
        try:
            self.box = Sandbox(
                self.submitted,
                self.time_limit,
                self.memory_limit,
                counts,
                self.class_folder,
                self.closed,
            )
        except Ended as ended:
            raise Unfit(f"{title} {ended}, when it was loaded") from None
        loaded = self.box.loaded
        facts.hear(loaded["events"])
        facts.misplaced = misplaced(loaded["parameters"])
        facts.hear_cells(loaded["failed"])
        facts.confined = facts.confined and self.box.confined
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
        self.title = title
        self.problem = ""           # why it cannot be judged, or fails as a whole
        self.sentences = {}         # as keys: what it did, each once, in order
        self.right = {}             # as keys: in what way its `LMMprof` is right
        self.wrong = False          # whether its `LMMprof` is wrong in a case
        self.misplaced = ""         # that its arguments seem to be in another order
        self.confined = True        # whether it was, wherever it ran

    def hear(self, events):
        """What it did besides computing."""
        for kind, what in events:
            if kind == "package":
                self.problem = (
                    f"{self.title} uses this package, lmm ({what}), by which it is judged; "
                    "a submission is to be the student's own work"
                )
            else:
                sentence = EVENT_SENTENCES[kind].format(what)
                self.sentences[sentence] = None

    def hear_cells(self, failed):
        """Which cells of a notebook failed, the others being executed all the same."""
        for error in failed:
            self.sentences[raised(error, "the notebook")] = None

    def hear_likelihood(self, found, evaluations):
        """How `LMMprof` is called, and that it is right or missing.

        What is wrong with it belongs to the case.
        """
        if evaluations is not None:
            way = evaluations.get("way", SHEETS_CALL)
            if way != SHEETS_CALL:
                self.sentences[f"LMMprof is called as {way}"] = None
        if found.right or evaluations is None:
            self.right[found.words] = None
        if found.right is False:
            self.wrong = True

    def notes(self):
        """In which `LMMprof` is right only if it is in every case."""
        right = () if self.wrong else self.right
        return [*self.sentences, *right]


def judged(judge, processes, facts):
    """The `Result` of one case."""
    case = judge.case
    if facts.problem:
        raise Unfit(facts.problem)
    try:
        answer, output = processes.ask(case, facts)
    except Ended as ended:
        return replace(not_run(case, f"lmm {ended}"), output=ended.output)
    with few_threads():             # n x n algebra of small n, slower by threads on a busy machine
        return replace(read(judge, answer, facts), output=output)


def read(judge, answer, facts):
    """The `Result` of an answer."""
    case = judge.case
    facts.hear(answer["events"])

    # -- what is found: of the likelihood, or of costs, and of the fit
    likelihood = Likelihood(None, "")
    verdicts = []
    if case.costs:
        verdicts.append(costs(answer))
    else:
        likelihood = judge.likelihood(answer["likelihood"])
        facts.hear_likelihood(likelihood, answer["likelihood"])
    if "fit" in answer:
        verdicts.append(judge.fit(answer["fit"], likelihood))

    # -- the causes: those that have a name first
    causes = [cause for verdict in verdicts for cause in verdict.causes]
    causes.sort(key=is_vague)
    if facts.misplaced and "error" in answer.get("fit", {}):
        causes.insert(0, facts.misplaced)
    if answer.get("changed"):
        causes.append(f"lmm changed its arguments: {answer['changed']}")
    wrong = likelihood.right is False
    if causes and wrong and not likelihood.mistakes:
        causes.append(likelihood.words)

    # -- the notes: a likelihood may be wrong beside a right fit
    notes = [note for verdict in verdicts for note in verdict.notes]
    if wrong and not causes:
        said = ("lmm is right, but not LMMprof", likelihood.words, likelihood.mistake)
        notes.append(": ".join(filter(None, said)))
    return Result(
        case.name,
        case.why,
        passed=not causes,
        points=0.0 if causes else case.points,
        total=case.points,
        causes=tuple(causes),
        notes=tuple(notes),
        likelihood=likelihood.words,
        mistakes=likelihood.mistakes or tuple(one for found in verdicts for one in found.mistakes),
        supposed=tuple(words for verdict in verdicts for words in verdict.supposed),
        right=likelihood.right,
        seconds=answer.get("fit", {}).get("seconds"),
        hidden=case.hidden,
        numbers=numbers(judge, answer, bool(causes)),
        drawing=drawing(judge, answer, likelihood),
    )


def misplaced(parameters):
    """The sentence on a `lmm` whose arguments are the sheet's by name, but not by order, or ""."""
    places = [_argument_named(name) for name in parameters[:len(ORDER_OF_ARGUMENTS)]]
    if all(place in (None, asked) for place, asked in zip(places, ORDER_OF_ARGUMENTS)):
        return ""
    taken = ", ".join(parameters)
    return f"lmm takes ({taken}), and is called as the sheet says: lmm(form, dat, ref)"


def _argument_named(name):
    """Which of the sheet's arguments a name stands for, or None."""
    for argument, beginnings in BEGINNINGS.items():
        if name.lower().startswith(beginnings):
            return argument
    return None


def unloadable(title, error):
    """Why a submission could not be loaded, in a sentence."""
    if error["type"] in SYNTAX_ERRORS:
        source = f": {error['source']}" if error.get("source") else ""
        place = f"line {error['line']}" if error.get("line") else ""
        if error.get("file", title) != title:           # a notebook's cell, a file of its folder
            file = error["file"].removesuffix(f" of {title}")
            place = f"{place} of {file}" if place else file
        said = ": ".join(filter(None, (place, error["message"])))
        return f"{title} does not parse: {said}{source}"
    if error["type"] == "ModuleNotFoundError":
        return f"{title} needs the module {error['module']!r}, which is not installed here"
    return f"{title} cannot be loaded: {raised(error, 'it')}"


def not_run(case, cause):
    """The `Result` of a case that was not answered."""
    return Result(
        case.name,
        case.why,
        passed=False,
        points=0.0,
        total=case.points,
        causes=(cause,),
        hidden=case.hidden,
    )
