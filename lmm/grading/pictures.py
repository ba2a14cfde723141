"""Pictures of pages, as SVG: text that stands in the HTML and takes its colours from there.

Each has a title and a description for those who do not see it. Every text is escaped.
"""

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import ceil, floor, isfinite, log10

from .comparing import HIGHEST

WIDTH_OF_PICTURE = 480
HEIGHT_OF_PICTURE = 300
LEFT_MARGIN = 56               # of the frame, from the picture's edge
RIGHT_MARGIN = 14
TOP_MARGIN = 12
BOTTOM_MARGIN = 52
ROOM_FOR_LEGEND = 46
ROOM_FOR_COUNT = 10     # of the highest bar, above it
LOWEST_TOP = 2.0        # of the criterion, where both curves are flat
FEWEST_TICKS = 4        # of an axis, about
MOST_BARS = 16          # of a histogram
SLACK = 1e-9            # of a quotient that should be whole
BAR_GAP = 3


@dataclass(frozen=True)
class Frame:
    """Axes: numbers to places in the picture.

    Attributes
    ----------
    x, y : tuple of float
        The smallest and the largest number of each axis.
    top : float
        The frame's upper edge.
    """

    x: tuple
    y: tuple
    top: float = TOP_MARGIN

    left = LEFT_MARGIN
    right = WIDTH_OF_PICTURE - RIGHT_MARGIN

    @property
    def bottom(self):
        return self.top + HEIGHT_OF_PICTURE - TOP_MARGIN - BOTTOM_MARGIN

    def across(self, number):
        """The place of a number on the horizontal axis."""
        low, high = self.x
        return self.left + (number - low) / (high - low) * (self.right - self.left)

    def up(self, number):
        """The place of a number on the vertical axis."""
        low, high = self.y
        return self.bottom - (number - low) / (high - low) * (self.bottom - self.top)


# -- the criterion along a line ------------------------------------------------------------------

def criterion(drawing, whose="yours"):
    """The submission's criterion and the right one, as an SVG element.

    What is above the highest number of the vertical axis is not drawn.
    """
    frame = _frame(drawing)
    axis = f"log sd of {drawing.name}" if drawing.name != "sigma" else "log sigma"
    title = f"The criterion along {axis}"
    parts = [
        *_axes(frame, axis, "above its smallest value"),
        *_marks(frame, drawing, whose),
        _curve(frame, drawing.positions, drawing.right, "right"),
        _curve(frame, drawing.positions, drawing.own, "own"),
        *_dots(frame, drawing.positions, drawing.own),
        *_legend(frame, drawing, whose),
    ]
    return _picture(title, described(drawing, whose), parts, frame.bottom + BOTTOM_MARGIN)


def described(drawing, whose="yours"):
    """What the picture shows, in words: where each curve is smallest."""
    right = _lowest(drawing.positions, drawing.right)
    own = _lowest(drawing.positions, drawing.own)
    apart = max(abs(one - other) for one, other in _pairs(drawing))
    if apart < 1e-3:
        return f"Both curves are the same, smallest at {right:.3g}."
    return (
        f"The right curve is smallest at {right:.3g}, {whose} at {own:.3g}; "
        f"they differ by {apart:.2g} at most."
    )


def _frame(drawing):
    """The axes of a drawing: as wide as its line, as high as its right curve, within bounds."""
    finite = [value for value in (*drawing.right, *drawing.own) if isfinite(value)]
    highest = max(LOWEST_TOP, min(max(finite), HIGHEST))
    positions = drawing.positions
    return Frame((positions[0], positions[-1]), (0.0, highest), TOP_MARGIN + ROOM_FOR_LEGEND)


def _pairs(drawing):
    """The values of both curves, where there are both and the right one is drawn."""
    return [
        (right, own)
        for right, own in zip(drawing.right, drawing.own)
        if isfinite(own) and right <= HIGHEST
    ] or [(0.0, 0.0)]


def _lowest(positions, values):
    """The position of the smallest value."""
    known = [(value, position) for value, position in zip(values, positions) if isfinite(value)]
    return min(known)[1]


def _curve(frame, positions, values, kind):
    """A line through the points of a curve, broken where there is none, cut at the top."""
    path = []
    last = None
    for start, end in pairwise(zip(positions, values)):
        segment = _below(start, end, frame.y[1])
        if segment is None:
            continue
        first, second = segment
        if first != last:
            path.append(f"M{_place(frame, *first)}")
        path.append(f"L{_place(frame, *second)}")
        last = second
    return f'<path class="{kind}" d="{"".join(path)}"/>'


def _below(start, end, highest):
    """The part of a segment that is not above a height, or None."""
    if not (isfinite(start[1]) and isfinite(end[1])) or min(start[1], end[1]) > highest:
        return None
    return _lowered(start, end, highest), _lowered(end, start, highest)


def _lowered(point, other, highest):
    """The point, moved towards the other as far as it is too high."""
    (x, y), (to_x, to_y) = point, other
    if y <= highest:
        return point
    share = (y - highest) / (y - to_y)
    return x + share * (to_x - x), highest


def _place(frame, x, y):
    return f"{frame.across(x):.1f},{frame.up(y):.1f}"


def _dots(frame, positions, values):
    """A dot at each point of the submission's curve, by which it is told from the other in grey."""
    for x, y in zip(positions, values):
        if isfinite(y) and y <= frame.y[1]:
            yield f'<circle class="dot" cx="{frame.across(x):.1f}" cy="{frame.up(y):.1f}" r="3"/>'


def _marks(frame, drawing, whose):
    """Lines at the best value, and at the one that the submission returned, where they are seen."""
    said = {"right": "the best value", "own": f"the value that {_who(whose)} returned"}
    for kind, value in _seen(frame, drawing).items():
        x = frame.across(value)
        yield (
            f'<line class="mark {kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" '
            f'y2="{frame.bottom}"><title>{escape(said[kind])}: {value:.4g}</title></line>'
        )


def _seen(frame, drawing):
    """The elements of theta that are within the picture."""
    low, high = frame.x
    values = {"right": drawing.optimum, "own": drawing.reached}
    return {kind: value for kind, value in values.items() if low <= value <= high}


def _who(whose):
    return "you" if whose == "yours" else "it"


def _legend(frame, drawing, whose):
    """What the lines are."""
    curves = {"right": "right", "own": whose}
    marks = {"right": "the best value", "own": f"what {_who(whose)} returned"}
    seen = _seen(frame, drawing)
    for i, kind in enumerate(curves):
        y = TOP_MARGIN + 8 + 22 * i
        yield f'<line class="{kind}" x1="{LEFT_MARGIN}" x2="{LEFT_MARGIN + 40}" y1="{y}" y2="{y}"/>'
        if kind == "own":
            yield f'<circle class="dot" cx="{LEFT_MARGIN + 20}" cy="{y}" r="3"/>'
        yield f'<text x="{LEFT_MARGIN + 48}" y="{y + 5}">{escape(curves[kind])}</text>'
        if kind in seen:
            x = LEFT_MARGIN + 200
            yield f'<line class="mark {kind}" x1="{x}" x2="{x}" y1="{y - 9}" y2="{y + 9}"/>'
            yield f'<text x="{x + 10}" y="{y + 5}">{escape(marks[kind])}</text>'


# -- a histogram ---------------------------------------------------------------------------------

def histogram(points, total):
    """How many submissions earned how many points, as an SVG element.

    A bar for each whole number of points, or, where those are many, for each multiple of another.
    """
    width = ceil(total / MOST_BARS) if total >= 1 else (total or 1.0)
    counts = [0] * (floor(total / width + SLACK) + 1)
    for one in points:
        counts[floor(one / width + SLACK)] += 1
    step = max(1, ceil(max(counts) / FEWEST_TICKS))
    highest = step * max(1, ceil(max(counts) / step))

    frame = Frame((-0.5, len(counts) - 0.5), (0, highest), TOP_MARGIN + ROOM_FOR_COUNT)
    labels = {i: f"{i * width:g}" for i in range(len(counts))}
    are_whole = all(abs(one / width - round(one / width)) < SLACK for one in points)
    rounded = "" if are_whole else f", rounded down to multiples of {width:g}"
    below = f"points of {total:g}{rounded}"
    heights = range(0, highest + 1, step)
    parts = [*_axes(frame, below, "submissions", labels, heights)]
    for i, count in enumerate(counts):
        parts += _bar(frame, i, count)
    said = ", ".join(f"{labels[i]}: {count}" for i, count in enumerate(counts) if count)
    height = frame.bottom + BOTTOM_MARGIN
    description = f"How many submissions have {below}: {said}."
    return _picture("Points of the class", description, parts, height)


def _bar(frame, place, count):
    """A bar, and its count above it; nothing where there is none."""
    if not count:
        return
    x = frame.across(place - 0.5) + BAR_GAP / 2
    width = frame.across(1) - frame.across(0) - BAR_GAP
    y = frame.up(count)
    height = frame.bottom - y
    yield (
        f'<rect class="bar" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )
    yield f'<text class="x count" x="{x + width / 2:.1f}" y="{y - 4:.1f}">{count}</text>'


# -- axes ----------------------------------------------------------------------------------------

def _axes(frame, below, beside, x_ticks=None, y_ticks=None):
    """The frame, its ticks with their numbers, and what they are of.

    The ticks may be given, those of the horizontal axis with their texts.
    """
    x_ticks = x_ticks or {number: f"{number:g}" for number in ticks(*frame.x)}
    y_ticks = y_ticks or ticks(*frame.y)
    width = frame.right - frame.left
    height = frame.bottom - frame.top
    yield (
        f'<rect class="frame" x="{frame.left}" y="{frame.top}" width="{width}" '
        f'height="{height}"/>'
    )
    for number, text in x_ticks.items():
        x = frame.across(number)
        yield (
            f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.bottom}" '
            f'y2="{frame.bottom + 5}"/>'
        )
        yield f'<text class="x" x="{x:.1f}" y="{frame.bottom + 20}">{text}</text>'
    for number in y_ticks:
        y = frame.up(number)
        yield (
            f'<line class="tick" x1="{frame.left - 5}" x2="{frame.left}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/>'
        )
        yield f'<text class="y" x="{frame.left - 9}" y="{y + 5:.1f}">{number:g}</text>'
    middle = (frame.left + frame.right) / 2
    yield f'<text class="x" x="{middle:.1f}" y="{frame.bottom + 42}">{escape(below)}</text>'
    height = (frame.top + frame.bottom) / 2
    yield (
        f'<text class="x" transform="translate(16 {height:.1f}) rotate(-90)">'
        f'{escape(beside)}</text>'
    )


def ticks(low, high):
    """Round numbers within a range, some `FEWEST_TICKS` or a few more."""
    rough = (high - low) / FEWEST_TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(power * nice for nice in (5, 2, 1) if power * nice <= rough * (1 + 1e-9))
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def _picture(title, description, parts, height):
    """An SVG element with its alternative text."""
    label = escape(f"{title}. {description}", quote=True)
    return (
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH_OF_PICTURE} {height:g}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
        + "".join(parts)
        + "</svg>"
    )
