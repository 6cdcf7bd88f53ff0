"""The report's charts as inline SVG, drawn by hand: no library, no script, no network.

Each chart is drawn for a width, so that its letters have the same size on a desk and on a phone.
"""

from collections.abc import Sequence

from privet.privacy.report.sections import CurvePoint, Interval, QualityRow, RowKind
from privet.privacy.report.spending import SpentPoint
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
    log_ticks,
    logarithmic,
    ticks,
)
from privet.privacy.report.text import bound, number, rounded_up

WIDE = 760
NARROW = 360

LETTER = 8.0
"""Pixels that a letter may need in the widest of the usual fonts."""

_DASHES = ("none", "7 4", "2 3", "9 3 2 3", "4 6")
_COLOURS = {"private": PRIVATE, "no privacy": OPEN, "reference": REFERENCE}


def quality_curve(
    points: Sequence[CurvePoint],
    references: Sequence[QualityRow],
    *,
    metric: str,
    identifier: str,
    width: int = WIDE,
    stamp: str = "",
) -> str:
    """Draws a metric against epsilon, with its interval and horizontal reference lines.

    Args:
        points: The curve; points of another metric and of infinite epsilon are left out.
        references: Rows drawn as lines: popularity, local only, and those without privacy.
        metric: The metric's name.
        identifier: Unique in the page.
        width: In pixels; below 500 the references' names go underneath.
        stamp: Put before the title, as ``NOT PRIVATE``.

    Returns:
        An ``svg`` element, or nothing if there is no point to draw.
    """
    drawn = sorted(
        (p for p in points if p.metric == metric and p.epsilon < float("inf")),
        key=lambda p: p.epsilon,
    )
    if not drawn:
        return ""
    lines = [(row, row.metrics[metric]) for row in references if metric in row.metrics]
    lines.sort(key=lambda line: -line[1].mean)
    narrow = width < 500
    labels = max((len(_line_label(*line)) for line in lines), default=0)
    margin = 14 if narrow else min(24 + LETTER * labels, 0.45 * width)
    plot = Box(left=48, top=34, right=width - margin, bottom=266 if narrow else 316)
    canvas = Canvas(width, plot.bottom + 48 + (22 * len(lines) if narrow else 0))
    values = [v for p in drawn for v in (p.low, p.high)] + [i.mean for _, i in lines]
    marks = ticks(min(values), max(values))
    y = linear((marks[0], marks[-1]), (plot.bottom, plot.top))
    edges = (drawn[0].epsilon / 1.25, drawn[-1].epsilon * 1.25)
    x = logarithmic(edges, (plot.left, plot.right))
    _y_axis(canvas, plot, y, marks, metric)
    for epsilon in log_ticks(*edges) or [p.epsilon for p in drawn]:
        canvas.text(x(epsilon), plot.bottom + 20, number(epsilon, 3), anchor="middle")
    canvas.text(
        (plot.left + plot.right) / 2, plot.bottom + 40, "epsilon, logarithmic", anchor="middle"
    )
    _reference_lines(canvas, plot, y, lines, narrow=narrow)
    _curve(canvas, drawn, x, y)
    return canvas.render(
        identifier, f"{stamp} {metric} against epsilon".strip(), _describe(metric, drawn, lines)
    )


def quality_bars(
    rows: Sequence[QualityRow],
    *,
    metric: str,
    identifier: str,
    width: int = WIDE,
    stamp: str = "",
) -> str:
    """Draws one bar a row from zero, with its interval and its value; nothing if there is none."""
    drawn = [(row, row.metrics[metric]) for row in rows if metric in row.metrics]
    if not drawn:
        return ""
    narrow = width < 500
    pitch = 54 if narrow else 38
    labels = max(len(row_label(row)) for row, _ in drawn)
    left = 2.0 if narrow else min(20 + LETTER * labels, 0.45 * width)
    canvas = Canvas(width, pitch * len(drawn) + 8)
    lowest = min(0.0, *(i.low for _, i in drawn))
    top = max([i.high for _, i in drawn] + [lowest + 1e-12])
    x = linear((lowest, top), (left, width - 66))
    for index, (row, interval) in enumerate(drawn):
        middle = pitch * index + (38 if narrow else 20)
        style = f"fill:{INK}" + (";font-weight:600" if row.kind == "private" else "")
        name = _shortened(row_label(row), width - 10 if narrow else left - 14)
        if narrow:
            canvas.text(left, middle - 16, name, style=style)
        else:
            canvas.text(left - 14, middle + 5, name, anchor="end", style=style)
        _bar(canvas, x, middle, interval, row.kind)
        canvas.text(
            x(interval.high) + 10, middle + 5, number(interval.mean, 3), style=f"fill:{INK}"
        )
    canvas.line(x(0), 4, x(0), canvas.height - 4, f"stroke:{REFERENCE};stroke-width:1")
    told = (f"{row_label(r)}: {number(i.mean)}, {_interval(i)}" for r, i in drawn)
    return canvas.render(
        identifier, f"{stamp} {metric} of each recommender".strip(), "; ".join(told)
    )


def epsilon_spent(
    spent: Sequence[SpentPoint],
    *,
    budget: float | None,
    identifier: str,
    width: int = WIDE,
    stamp: str = "",
) -> str:
    """Draws epsilon after each release as steps, with the budget; nothing if there is no release."""
    drawn = [p for p in spent if p.epsilon < float("inf")]
    if not drawn:
        return ""
    limit = budget if budget is not None and budget < float("inf") else None
    plot = Box(left=48, top=34, right=width - 20, bottom=200)
    canvas = Canvas(width, plot.bottom + 46)
    marks = ticks(0, 1.1 * max([p.epsilon for p in drawn] + [limit or 0]), 4)
    y = linear((0, marks[-1]), (plot.bottom, plot.top))
    x = linear((drawn[0].release - 1, drawn[-1].release), (plot.left, plot.right))
    _y_axis(canvas, plot, y, marks, "epsilon")
    corners = [(plot.left, plot.bottom)]
    for point in drawn:
        corners += [(corners[-1][0], y(point.epsilon)), (x(point.release), y(point.epsilon))]
    foot = [(corners[-1][0], plot.bottom)]
    canvas.path(corners + foot, f"fill:{PRIVATE};fill-opacity:.14;stroke:none", close=True)
    canvas.path(corners[1:], f"fill:none;stroke:{PRIVATE};stroke-width:2.5")
    every = -(-len(drawn) // (6 if width < 500 else 12))
    for point in drawn[::every]:
        middle = (x(point.release - 1) + x(point.release)) / 2
        canvas.text(middle, plot.bottom + 20, str(point.release), anchor="middle")
    canvas.text((plot.left + plot.right) / 2, plot.bottom + 40, "release", anchor="middle")
    if limit is not None:
        canvas.line(
            plot.left, y(limit), plot.right, y(limit), f"stroke:{OPEN};stroke-dasharray:7 4"
        )
        label = f"budget {number(limit)}"
        canvas.text(plot.right, y(limit) - 8, label, anchor="end", style=f"fill:{OPEN}")
    last = f"Epsilon is {rounded_up(drawn[-1].epsilon)[0]} after release {drawn[-1].release}"
    told = f"{last}; the budget is {number(limit)}." if limit is not None else f"{last}."
    return canvas.render(identifier, f"{stamp} Epsilon spent over releases".strip(), told)


def row_label(row: QualityRow) -> str:
    """A row's name with its epsilon, where it has one and does not say it."""
    if row.epsilon is None or "ε" in row.name or "epsilon" in row.name.lower():
        return row.name
    return f"{row.name}, {bound('ε', row.epsilon)}"


def _line_label(row: QualityRow, interval: Interval) -> str:
    return f"{number(interval.mean, 3)}  {row.name}"


def _y_axis(canvas: Canvas, plot: Box, y: Scale, marks: Sequence[float], name: str) -> None:
    decimals = max(len(number(mark).partition(".")[2]) for mark in marks)
    for mark in marks:
        canvas.line(plot.left, y(mark), plot.right, y(mark), f"stroke:{GRID}")
        canvas.text(plot.left - 8, y(mark) + 4, f"{mark:,.{decimals}f}", anchor="end")
    canvas.text(0, plot.top - 18, name, style=f"fill:{INK};font-weight:600")


def _reference_lines(
    canvas: Canvas,
    plot: Box,
    y: Scale,
    lines: Sequence[tuple[QualityRow, Interval]],
    *,
    narrow: bool,
) -> None:
    lowest_label = plot.top - 30.0
    for index, (row, interval) in enumerate(lines):
        height = y(interval.mean)
        dash = _DASHES[index % len(_DASHES)]
        style = f"stroke:{_COLOURS[row.kind]};stroke-width:1.6;stroke-dasharray:{dash}"
        canvas.line(plot.left, height, plot.right, height, style)
        label = _line_label(row, interval)
        if narrow:
            at = plot.bottom + 64 + 22 * index
            canvas.line(plot.left, at - 4, plot.left + 34, at - 4, style)
            canvas.text(plot.left + 44, at, label)
        else:
            lowest_label = max(height + 4, lowest_label + 17)
            room = canvas.width - plot.right - 10
            canvas.text(plot.right + 10, lowest_label, _shortened(label, room))


def _curve(canvas: Canvas, points: Sequence[CurvePoint], x: Scale, y: Scale) -> None:
    upper = [(x(p.epsilon), y(p.high)) for p in points]
    lower = [(x(p.epsilon), y(p.low)) for p in reversed(points)]
    canvas.path(upper + lower, f"fill:{PRIVATE};fill-opacity:.16;stroke:none", close=True)
    middle = [(x(p.epsilon), y(p.mean)) for p in points]
    canvas.path(middle, f"fill:none;stroke:{PRIVATE};stroke-width:2.5;stroke-linejoin:round")
    for p in points:
        at, whisker = x(p.epsilon), f"stroke:{PRIVATE};stroke-width:1.2"
        canvas.line(at, y(p.low), at, y(p.high), whisker)
        for end in (p.low, p.high):
            canvas.line(at - 4, y(end), at + 4, y(end), whisker)
        interval = _interval(Interval(mean=p.mean, low=p.low, high=p.high))
        label = f"epsilon {rounded_up(p.epsilon)[0]}: {number(p.mean)}, {interval}, {p.seeds} seeds"
        canvas.mark(at, y(p.mean), PRIVATE, label)


def _bar(canvas: Canvas, x: Scale, middle: float, interval: Interval, kind: RowKind) -> None:
    """Draws a full bar, or an open one for what has no privacy."""
    start, end = sorted((x(0), x(interval.mean)))
    style = f"fill:{_COLOURS[kind]};stroke:{_COLOURS[kind]};stroke-width:1.5"
    if kind == "no privacy":
        style += ";fill-opacity:.14"
    canvas.add("rect", x=start, y=middle - 8, width=end - start, height=16, style=style)
    whisker = f"stroke:{INK};stroke-width:1.3"
    canvas.line(x(interval.low), middle, x(interval.high), middle, whisker)
    for edge in (interval.low, interval.high):
        canvas.line(x(edge), middle - 4, x(edge), middle + 4, whisker)


def _shortened(text: str, width: float) -> str:
    letters = int(width / LETTER)
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _interval(interval: Interval) -> str:
    return f"{number(interval.low)} to {number(interval.high)}"


def _describe(
    metric: str, points: Sequence[CurvePoint], lines: Sequence[tuple[QualityRow, Interval]]
) -> str:
    curve = (f"{number(p.mean)} at epsilon {rounded_up(p.epsilon)[0]}" for p in points)
    told = f"{metric} is {', '.join(curve)}."
    if lines:
        told += f" For reference: {', '.join(f'{r.name} {number(i.mean)}' for r, i in lines)}."
    return told
