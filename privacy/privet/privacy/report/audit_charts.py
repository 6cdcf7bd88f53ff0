"""Charts of what an audit found, of who pays for privacy, and of what leaves a device."""

import math
from collections.abc import Sequence

from privet.privacy.report.audit import Attack, RocPoint
from privet.privacy.report.charts import LETTER, NARROW
from privet.privacy.report.sections import GroupRow
from privet.privacy.report.svg import (
    GRID,
    INK,
    OPEN,
    PRIVATE,
    REFERENCE,
    Box,
    Canvas,
    Scale,
    linear,
    logarithmic,
    ticks,
)
from privet.privacy.report.text import number, size

_LOWEST = 3e-4  # rates below it are drawn on the edge


def roc_chart(attack: Attack, *, identifier: str, width: int, stamp: str = "") -> str:
    """Draws true against false positives with intervals, guessing, and what the claim allows.

    Both axes are logarithmic: what matters is at few false alarms.

    Returns:
        An ``svg`` element, or nothing where the attack has no curve.
    """
    if not attack.roc:
        return ""
    plot = Box(left=62, top=34, right=width - 20, bottom=300)
    canvas = Canvas(width, plot.bottom + 74)
    x = logarithmic((_LOWEST, 1.0), (plot.left, plot.right))
    y = logarithmic((_LOWEST, 1.0), (plot.bottom, plot.top))
    _rate_axes(canvas, plot, x, y)
    canvas.line(x(_LOWEST), y(_LOWEST), x(1), y(1), f"stroke:{REFERENCE};stroke-dasharray:2 3")
    allowed = [(p.fpr, p.allowed) for p in attack.roc if p.allowed is not None]
    if allowed:
        points = [(x(_within(fpr)), y(_within(tpr))) for fpr, tpr in allowed]
        canvas.path(points, f"fill:none;stroke:{OPEN};stroke-width:2;stroke-dasharray:7 4")
    for point in attack.roc:
        at, whisker = x(_within(point.fpr)), f"stroke:{PRIVATE};stroke-width:1.4"
        low, high = y(_within(point.tpr.low)), y(_within(point.tpr.high))
        canvas.line(at, low, at, high, whisker)
        for end in (low, high):
            canvas.line(at - 4, end, at + 4, end, whisker)
        canvas.mark(at, y(_within(point.tpr.mean)), PRIVATE, _told(point))
    _legend(canvas, plot, allowed=bool(allowed))
    title = f"{stamp} {attack.name}, from the {attack.observable}: found against false alarms"
    told = "; ".join(_told(point) for point in attack.roc)
    return canvas.render(identifier, title.strip(), told)


def loss_chart(
    rows: Sequence[GroupRow],
    *,
    attribute: str,
    metric: str,
    identifier: str,
    width: int,
    stamp: str = "",
) -> str:
    """Draws each group's loss of quality with its interval, a line a group and epsilon.

    Returns:
        An ``svg`` element, or nothing where no loss was measured.
    """
    drawn = [
        (row, row.loss)
        for row in rows
        if row.attribute == attribute and row.metric == metric and row.loss is not None
    ]
    if not drawn:
        return ""
    labels = [f"{row.group}, ε {number(row.epsilon, 3)}" for row, _ in drawn]
    narrow = width <= NARROW
    pitch, left = (44, 10.0) if narrow else (28, 20 + LETTER * max(map(len, labels)))
    plot = Box(left=left, top=34, right=width - 18, bottom=44 + pitch * len(drawn))
    canvas = Canvas(width, plot.bottom + 46)
    values = [value for _, loss in drawn for value in (loss.low, loss.high)]
    marks = ticks(min(0.0, *values), max(values), 4 if narrow else 6)
    x = linear((marks[0], marks[-1]), (plot.left, plot.right))
    for mark in marks:
        canvas.line(x(mark), plot.top, x(mark), plot.bottom, f"stroke:{GRID}")
        canvas.text(x(mark), plot.bottom + 20, f"{100 * mark:g}", anchor="middle")
    middle = (plot.left + plot.right) / 2
    canvas.text(middle, plot.bottom + 40, f"loss of {metric} in %", anchor="middle")
    canvas.text(0, plot.top - 14, f"by {attribute}", style=f"fill:{INK};font-weight:600")
    for index, ((_, loss), label) in enumerate(zip(drawn, labels, strict=True)):
        at = plot.top + pitch * index + (30 if narrow else 18)
        if narrow:
            canvas.text(plot.left, at - 12, label, style=f"fill:{INK}")
        else:
            canvas.text(plot.left - 12, at + 4, label, anchor="end", style=f"fill:{INK}")
        canvas.line(x(loss.low), at, x(loss.high), at, f"stroke:{PRIVATE};stroke-width:2")
        canvas.mark(x(loss.mean), at, PRIVATE, f"{label}: {100 * loss.mean:.1f} %")
    told = "; ".join(
        f"{label}: {100 * loss.mean:.1f} %, {100 * loss.low:.1f} to {100 * loss.high:.1f}"
        for (_, loss), label in zip(drawn, labels, strict=True)
    )
    return canvas.render(identifier, f"{stamp} Loss of {metric} by {attribute}".strip(), told)


def bytes_chart(
    parts: Sequence[tuple[str, int]], *, identifier: str, width: int, stamp: str = ""
) -> str:
    """Draws the bytes that a device sends, a bar a field and step; nothing if it sends none."""
    drawn = [(name, count) for name, count in parts if count > 0]
    if not drawn:
        return ""
    narrow = width <= NARROW
    pitch, left = (48, 2.0) if narrow else (34, 20 + LETTER * max(len(name) for name, _ in drawn))
    canvas = Canvas(width, 34 + pitch * len(drawn))
    canvas.text(0, 16, "bytes a device sends", style=f"fill:{INK};font-weight:600")
    x = linear((0, max(count for _, count in drawn)), (left, width - 84))
    for index, (name, count) in enumerate(drawn):
        at = 40 + pitch * index + (14 if narrow else 4)
        if narrow:
            canvas.text(left, at - 12, name, style=f"fill:{INK}")
        else:
            canvas.text(left - 12, at + 4, name, anchor="end", style=f"fill:{INK}")
        style = f"fill:{PRIVATE}"
        canvas.add(
            "rect", x=left, y=at - 7, width=max(x(count) - left, 1.5), height=14, style=style
        )
        canvas.text(x(count) + 8, at + 5, size(count), style=f"fill:{INK}")
    told = "; ".join(f"{name}: {size(count)}" for name, count in drawn)
    return canvas.render(identifier, f"{stamp} Bytes a device sends".strip(), told)


def _rate_axes(canvas: Canvas, plot: Box, x: Scale, y: Scale) -> None:
    for rate in (0.001, 0.01, 0.1, 1.0):
        label = f"{100 * rate:g} %"
        canvas.line(plot.left, y(rate), plot.right, y(rate), f"stroke:{GRID}")
        canvas.text(plot.left - 8, y(rate) + 4, label, anchor="end")
        canvas.text(x(rate), plot.bottom + 20, label, anchor="end" if rate == 1 else "middle")
    canvas.text(0, plot.top - 18, "found", style=f"fill:{INK};font-weight:600")
    middle = (plot.left + plot.right) / 2
    canvas.text(middle, plot.bottom + 40, "false alarms, both logarithmic", anchor="middle")


def _legend(canvas: Canvas, plot: Box, *, allowed: bool) -> None:
    at = plot.bottom + 64
    canvas.line(
        plot.left, at - 4, plot.left + 26, at - 4, f"stroke:{REFERENCE};stroke-dasharray:2 3"
    )
    canvas.text(plot.left + 34, at, "guessing")
    if allowed:
        start = plot.left + 124
        canvas.line(
            start, at - 4, start + 26, at - 4, f"stroke:{OPEN};stroke-width:2;stroke-dasharray:7 4"
        )
        canvas.text(start + 34, at, "the claim allows")


def _within(rate: float) -> float:
    return math.exp(math.log(max(rate, _LOWEST)))


def _told(point: RocPoint) -> str:
    found = f"{100 * point.tpr.mean:.2f} %, {100 * point.tpr.low:.2f} to {100 * point.tpr.high:.2f}"
    limit = "" if point.allowed is None else f", at most {100 * point.allowed:.2f} % allowed"
    return f"at {100 * point.fpr:g} % false alarms {found} found{limit}"
