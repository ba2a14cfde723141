"""What can go wrong, and whose line of code is told about it."""

import sys
import warnings


class LMMError(ValueError):
    """The formula, the data, `ref` or `theta` cannot be used; the message says what to mend."""


class LMMWarning(UserWarning):
    """The fit goes on, but probably not as intended."""


class ConvergenceWarning(LMMWarning):
    """The optimiser stopped before it reached its tolerance."""


def point_at(message, form, start, end):
    """An LMMError that shows `form` with carets under ``form[start:end]``."""
    return LMMError(f"{message}\n    {form}\n    {' ' * start}{'^' * max(end - start, 1)}")


def shorten(values, most=5):
    """The first five of `values`, quoted, for a message."""
    quoted = [repr(v) for v in values]
    return ", ".join(quoted[:most]) + (f", ... ({len(quoted)} in all)" if len(quoted) > most else "")


def user_frame():
    """The innermost frame outside this package, and how many frames away from the caller it is."""
    depth = 1
    frame = sys._getframe(depth)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == __package__:
        depth += 1
        frame = frame.f_back
    return frame, depth


def warn(message, category=LMMWarning):
    """Warn at the user's own line, however deep in the package the cause was found."""
    warnings.warn(message, category, stacklevel=user_frame()[1])
