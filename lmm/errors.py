"""What can go wrong, and whose line of code is told about it."""

import difflib
import sys
import warnings


class LMMError(ValueError):
    """The formula, the data, `ref` or `theta` cannot be used; the message says what to mend."""


class LMMWarning(UserWarning):
    """The fit goes on, but probably not as intended."""


class ConvergenceWarning(LMMWarning):
    """The optimum could not be certified."""


def point_at(message, form, start, end):
    """An LMMError that shows `form` with carets under ``form[start:end]``."""
    return LMMError(f"{message}\n    {form}\n    {' ' * start}{'^' * max(end - start, 1)}")


def unknown_column(name, columns):
    """The end of a message about a name that is no column, with the nearest one that is."""
    near = difflib.get_close_matches(name.lower(), [str(column).lower() for column in columns], 1)
    meant = [column for column in columns if str(column).lower() in near]
    guess = f"; did you mean {meant[0]!r}?" if meant else f"; its columns are {shorten(columns)}"
    return f"{name!r}, which is not a column of dat{guess}"


def shorten(values, most=5):
    """The first five of `values`, quoted, for a message."""
    quoted = [repr(v.item() if hasattr(v, "item") else v) for v in values]       # numpy's scalars as Python's
    return ", ".join(quoted[:most]) + (f", ... ({len(quoted)} in all)" if len(quoted) > most else "")


def user_frame():
    """The innermost frame outside this package, and how many frames away from the caller it is."""
    depth = 1
    frame = sys._getframe(depth)
    while frame.f_back is not None and _is_ours(frame):
        depth += 1
        frame = frame.f_back
    return frame, depth


def _is_ours(frame):
    """Whether a frame runs code of this package, in whichever of its rooms."""
    home = frame.f_globals.get("__package__") or ""
    return home.partition(".")[0] == __package__


def warn(message, category=LMMWarning):
    """Warn at the user's own line, however deep in the package the cause was found."""
    warnings.warn(message, category, stacklevel=user_frame()[1])
