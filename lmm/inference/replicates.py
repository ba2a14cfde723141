"""A task done once for each random generator, in this process or spread over several."""

import multiprocessing
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import LMMError, warn

AT_A_TIME = 20          # replicates that a worker process does between two reports
GUARD = 'in a script, keep what is to run under if __name__ == "__main__":'


def replicated(task, generators, processes, progress):
    """task(generator) for each of the random generators: a list.

    Ctrl-C ends it early, with what is done.
    """
    done = []
    try:
        with workers(task, processes) as run:
            for value in counted(run(generators), len(generators), progress):
                done.append(value)
    except KeyboardInterrupt:
        if not done:
            raise
        warn(f"interrupted after {len(done)} of {len(generators)} refits; these are kept")
    return done


@contextmanager
def workers(task, processes):
    """A function from random generators to an iterator over what the task makes of them."""
    if processes == 1:
        yield lambda generators: map(task, generators)
        return
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
        pool = ProcessPoolExecutor(processes, initializer=_receive, initargs=(file,))
        try:
            yield lambda generators: pool.map(_do, generators, chunksize=AT_A_TIME)
        except BrokenProcessPool as error:
            raise LMMError(f"a worker process ended early; {GUARD}") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _receive(file):
    """In a worker process: read the task, and leave Ctrl-C to the parent."""
    global _task
    _task = pickle.loads(file.read_bytes())
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _do(generator):
    """In a worker process: the task, for one generator."""
    return _task(generator)


def counted(iterator, total, progress):
    """The iterator, behind a progress bar after two seconds, if tqdm is installed."""
    if not progress:
        return iterator
    try:
        from tqdm import tqdm
    except ImportError:
        return iterator
    return tqdm(iterator, total=total, desc="refits", delay=2, leave=False)
