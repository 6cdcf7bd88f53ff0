"""The privacy profile as inline SVG: delta against epsilon, with the claim on it."""

import math

from privet.privacy.report.charts import LETTER, WIDE
from privet.privacy.report.spending import Profile
from privet.privacy.report.svg import (
    GRID,
    INK,
    OPEN,
    PRIVATE,
    Box,
    Canvas,
    Scale,
    linear,
    logarithmic,
    ticks,
)
from privet.privacy.report.text import number, rounded_up

_TICKS = 6
_SMALLEST = 1e-300


def profile_curve(profile: Profile, *, identifier: str, width: int = WIDE, stamp: str = "") -> str:
    """Draws delta against epsilon on a logarithmic axis, and marks the claim.

    Args:
        profile: Its points of deltas below 1e-300 have no place on the axis and are left out.
        identifier: Unique in the page.
        width: In pixels.
        stamp: Put before the title, as ``NOT PRIVATE``.

    Returns:
        An ``svg`` element, or nothing if there is no curve to draw.
    """
    drawn = [(p.epsilon, p.delta) for p in profile.points if p.delta > _SMALLEST]
    if len(drawn) < 2 or profile.delta <= _SMALLEST:
        return ""
    plot = Box(left=58, top=34, right=width - 16, bottom=270)
    x = linear((0, drawn[-1][0]), (plot.left, plot.right))
    beside = plot.right - LETTER * len(f"claimed: {_told(profile)}") > x(profile.epsilon)
    canvas = Canvas(width, plot.bottom + (48 if beside else 70))
    marks = ticks(0, drawn[-1][0], 4 if width < 500 else 8)
    lowest = math.floor(math.log10(min(delta for _, delta in drawn)))
    y = logarithmic((10.0**lowest, 1.0), (plot.bottom, plot.top))
    step = -(lowest // _TICKS)  # whole decades between ticks
    for power in range(0, lowest - 1, -step):
        height = y(10.0**power)
        canvas.line(plot.left, height, plot.right, height, f"stroke:{GRID}")
        canvas.text(plot.left - 8, height + 4, number(10.0**power), anchor="end")
    for mark in [mark for mark in marks if mark <= drawn[-1][0]]:
        canvas.text(x(mark), plot.bottom + 20, number(mark, 3), anchor="middle")
    canvas.text(
        0, plot.top - 18, "delta, a probability, logarithmic", style=f"fill:{INK};font-weight:600"
    )
    middle = (plot.left + plot.right) / 2
    canvas.text(middle, plot.bottom + 40, "epsilon, no unit, linear", anchor="middle")
    corners = [(x(epsilon), y(delta)) for epsilon, delta in drawn]
    area = [*corners, (corners[-1][0], plot.top), (corners[0][0], plot.top)]
    canvas.path(area, f"fill:{PRIVATE};fill-opacity:.1;stroke:none", close=True)
    canvas.path(corners, f"fill:none;stroke:{PRIVATE};stroke-width:2.5;stroke-linejoin:round")
    _claim(canvas, plot, profile, x, y, beside=beside)
    ends = (drawn[0], drawn[len(drawn) // 2], drawn[-1])
    told = ", ".join(f"{_short(delta)} at epsilon {_short(epsilon)}" for epsilon, delta in ends)
    return canvas.render(
        identifier,
        f"{stamp} Delta against epsilon".strip(),
        f"Delta is at most {told}. The claim is {_told(profile)}.",
    )


def _claim(
    canvas: Canvas, plot: Box, profile: Profile, x: Scale, y: Scale, *, beside: bool
) -> None:
    """The claimed pair, with lines to both axes; its name above right of it, or at the foot."""
    at, height = x(profile.epsilon), y(profile.delta)
    dashed = f"stroke:{OPEN};stroke-dasharray:4 4"
    canvas.line(plot.left, height, at, height, dashed)
    canvas.line(at, height, at, plot.bottom, dashed)
    style = f"fill:{OPEN};font-weight:600"
    foot = height - 12 if beside else plot.bottom + 62
    canvas.text(plot.right, foot, f"claimed: {_told(profile)}", anchor="end", style=style)
    canvas.mark(at, height, OPEN, f"claimed: {_told(profile)}")


def _told(profile: Profile) -> str:
    return f"epsilon {_short(profile.epsilon)} at delta {_short(profile.delta)}"


def _short(value: float) -> str:
    return rounded_up(value)[0]
