"""What can go wrong, and whose line of code is told about it."""

import difflib
import re
import sys
import warnings

MOST_KNOWN = 20         # names that there are, in a message about one that there is not


class LMMError(ValueError):
    """The formula, the data, `ref` or `theta` cannot be used; the message says what to mend."""


class UnknownArgument(LMMError, TypeError):
    """A function was called with an argument that it has not; the message names the one it has."""


class LMMWarning(UserWarning):
    """The fit goes on, but probably not as intended."""


class ConvergenceWarning(LMMWarning):
    """The optimum could not be certified."""


# -- pieces of messages

NO_STRINGS = (
    "its columns are {}, names that are no strings; make them strings: "
    "dat.columns = dat.columns.map(str)"
)


def point_at(message, form, start, end):
    """An LMMError that shows `form` with carets under ``form[start:end]``."""
    carets = " " * start + "^" * max(end - start, 1)
    return LMMError(f"{message}\n    {form}\n    {carets}")


def unknown_column(name, columns):
    """The end of a message about a name that is no column, with the nearest one that is."""
    meant = nearest(name, columns)
    if isinstance(meant, str):
        advice = f"did you mean {meant!r}?"
    elif any(not isinstance(column, str) for column in columns):
        advice = NO_STRINGS.format(shorten(columns))
    else:
        advice = f"its columns are {shorten(columns)}"
    return f"{name!r}, which is not a column of dat; {advice}"


def nearest(name, known):
    """The one of the names in `known` that is most like `name`, in whichever case; or None."""
    by_lower = {}
    for one in known:
        by_lower.setdefault(str(one).lower(), one)
    found = difflib.get_close_matches(str(name).lower(), by_lower, 1)
    return by_lower[found[0]] if found else None


def checked_flag(value, name):
    """An argument that is True or False."""
    if value is True or value is False or type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise LMMError(f"{name} is {value!r}; it is True or False")


def unknown_name(what, name, known):
    """The LMMError about a name that is none of `known`: the most similar one, or all of them."""
    if len(known) == 0:
        return LMMError(f"there is no {what} {name!r}; none has a name here")
    meant = nearest(name, known)
    message = f"there is no {what} {name!r}; there are "
    if meant is None:
        return LMMError(message + shorten(known, MOST_KNOWN))
    return LMMError(message + f"{shorten(known)}; did you mean {meant!r}?")


def shorten(values, most=5):
    """The first five of `values`, quoted, for a message."""
    quoted = [repr(_as_python(value)) for value in values]
    shown = ", ".join(quoted[:most])
    if len(quoted) > most:
        shown += f", ... ({len(quoted)} in all)"
    return shown


def _as_python(value):
    """A number of numpy's as one of Python's, whose repr is the number alone."""
    return value.item() if hasattr(value, "item") else value


CATEGORIES = re.compile(r"dat = dat\.astype\(\{(.*?)\}\)")


def with_category_advice(message, written):
    """The message, in place of ``dat = dat.astype({...})`` what `written` makes of the columns."""

    def instead(found):
        return written(re.findall(r'"(.*?)": "category"', found[1]))

    return CATEGORIES.sub(instead, message)


# -- the user's own line of code


def warn(message, category=LMMWarning):
    """Warn at the user's own line, however deep in the package the cause was found."""
    _, depth = user_frame()
    warnings.warn(message, category, stacklevel=depth)


def user_frame():
    """The innermost frame outside this package, and how many frames away from the caller it is."""
    depth = 1
    frame = sys._getframe(depth)
    while frame.f_back is not None and _is_ours(frame):
        depth += 1
        frame = frame.f_back
    return frame, depth


class UserFrame:
    """The same frame, looked for when an attribute of it is asked for.

    A formula needs it only where it calls a function; in the others the stack is left alone.
    """

    def __getattr__(self, name):
        frame, _ = user_frame()
        return getattr(frame, name)


def _is_ours(frame):
    """Whether a frame runs code of this package, in whichever of its rooms."""
    home = frame.f_globals.get("__package__") or ""
    return home.partition(".")[0] == __package__
