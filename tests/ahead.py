"""What takes its time in another process: computed two at a time, each once."""

import os
from concurrent.futures import ThreadPoolExecutor


class Ahead:
    """A function of a test's parameter, computed when it is asked for, and the next one meanwhile.

    Without that, the second core would be idle. Where pytest itself runs in several processes
    nothing is computed ahead, for the next test may be another's.
    """

    def __init__(self, function, values):
        self.function = function
        self.values = list(values)
        self.pool = ThreadPoolExecutor(2)
        self.futures = {}
        self.ahead = 0 if "PYTEST_XDIST_WORKER" in os.environ else 1

    def __call__(self, value):
        first = self.values.index(value)
        for one in self.values[first : first + 1 + self.ahead]:
            if one not in self.futures:
                self.futures[one] = self.pool.submit(self.function, one)
        return self.futures[value].result()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.pool.shutdown(cancel_futures=True)


def asked(request, fixture, parameter):
    """The values of a parameter in those tests, of all that are to run, that use a fixture."""
    tests = [item for item in request.session.items if item.path == request.path]
    values = [item.callspec.params[parameter] for item in tests if fixture in item.fixturenames]
    return dict.fromkeys(values)
