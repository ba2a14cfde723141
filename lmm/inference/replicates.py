"""A task done for each of several groups of draws, in this process or spread over several.

What starts processes is imported where they are asked for: not every Python has them.
"""

import pickle
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import LMMError, warn
from ..machine import bar

GUARD = 'in a script, keep what is to run under if __name__ == "__main__":'


def replicated(task, groups, sizes, processes, progress):
    """What the task says of each draw of the groups, in one list.

    `sizes` says how many that are. Ctrl-C ends it early, with what is done.
    """
    done = []
    total = sum(sizes)
    try:
        with workers(task, processes) as run, bar(total, "refits", progress) as advance:
            for values in run(groups):
                for value in values:
                    done.append(value)
                    advance(1)
    except KeyboardInterrupt:
        if not done:
            raise
        warn(f"interrupted after {len(done)} of {total} refits; these are kept")
    return done


@contextmanager
def workers(task, processes):
    """A function from groups of draws to an iterator over what the task makes of them."""
    if processes == 1:
        yield lambda groups: map(task, groups)
        return
    multiprocessing, process = _processes()
    if multiprocessing.parent_process() is not None:
        raise LMMError(
            "this process was itself started for a computation, so it starts no others; " + GUARD
        )
    try:
        message = pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise LMMError(
            f"the fit, or the statistic, cannot be sent to other processes ({error}); define "
            "functions in a module, or at the top of a script, or use processes=1"
        ) from error
    with TemporaryDirectory() as folder:
        file = Path(folder) / "task"            # a pipe to a process that ends early would hang
        file.write_bytes(message)
        pool = process.ProcessPoolExecutor(processes, initializer=_receive, initargs=(file,))
        try:
            yield lambda groups: pool.map(_do, groups)
        except process.BrokenProcessPool as error:
            raise LMMError(f"a worker process ended early; {GUARD}") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _processes():
    """The modules that start processes; an LMMError where they are not there."""
    try:
        import multiprocessing
        from concurrent.futures import process
    except ImportError as error:
        raise LMMError(
            f"processes: this Python can start no others ({error}); use processes=1"
        ) from None
    return multiprocessing, process


def _receive(file):
    """In a worker process: read the task, and leave Ctrl-C to the parent."""
    global _task
    import signal
    _task = pickle.loads(file.read_bytes())
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(group):
    """In a worker process: the task, for one group of draws."""
    return list(_task(group))
