"""Just enough SVG: escaped elements on a canvas, linear and logarithmic scales, round ticks.

Colours are CSS variables with a fallback, so that a chart follows the page it stands in, dark mode
included, and still is one when it is saved alone. The palette is Okabe and Ito's, which
colour-blind people can tell apart; no chart relies on colour alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TypeAlias

NAMESPACE = "http://www.w3.org/2000/svg"
INK = "var(--ink, #1f2623)"
SOFT = "var(--soft, #5d6862)"
GRID = "var(--grid, #e3e6e1)"
PAPER = "var(--paper, #ffffff)"
PRIVATE = "var(--chart-private, #0072b2)"
OPEN = "var(--chart-open, #d55e00)"
REFERENCE = "var(--chart-reference, #7b827e)"

Scale: TypeAlias = Callable[[float], float]
Attribute: TypeAlias = str | float | int


@dataclass(frozen=True, kw_only=True)
class Box:
    """The part of a canvas that the data is drawn in, by its edges."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass
class Canvas:
    """A drawing that grows; everything put on it is escaped."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def add(self, tag: str, text: str | None = None, /, **attributes: Attribute) -> None:
        """Draws one element; ``style`` holds what may use CSS variables."""
        self.parts.append(element(tag, None if text is None else escape(text), **attributes))

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draws a straight line."""
        self.add("line", x1=x1, y1=y1, x2=x2, y2=y2, style=style)

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", style: str = ""
    ) -> None:
        """Writes a text; its baseline is at y."""
        style = f"fill:{SOFT};{style}"
        self.add("text", text, x=x, y=y, **{"text-anchor": anchor}, style=style)

    def path(
        self, points: Sequence[tuple[float, float]], style: str, *, close: bool = False
    ) -> None:
        """Joins points."""
        steps = " L".join(f"{_short(x)},{_short(y)}" for x, y in points)
        self.add("path", d=f"M{steps}{'Z' if close else ''}", style=style)

    def mark(self, x: float, y: float, colour: str, label: str) -> None:
        """Draws a dot that says what it is when pointed at."""
        dot = element("title", escape(label))
        style = f"fill:{colour};stroke:{PAPER};stroke-width:1.5"
        self.parts.append(element("circle", dot, cx=x, cy=y, r=4.5, style=style))

    def render(self, identifier: str, title: str, description: str) -> str:
        """The whole picture, with a title and a description for those who cannot see it."""
        names = f"{identifier}-title {identifier}-desc"
        head = element("title", escape(title), id=f"{identifier}-title")
        head += element("desc", escape(description), id=f"{identifier}-desc")
        return element(
            "svg",
            head + "".join(self.parts),
            xmlns=NAMESPACE,
            viewBox=f"0 0 {_short(self.width)} {_short(self.height)}",
            role="img",
            style="font:13px/1.4 system-ui,sans-serif;width:100%;height:auto;display:block",
            **{"aria-labelledby": names},
        )


def element(tag: str, inner: str | None = None, /, **attributes: Attribute) -> str:
    """One element; attributes are escaped, the inside must be already."""
    written = "".join(f' {name}="{_value(value)}"' for name, value in attributes.items())
    return f"<{tag}{written}/>" if inner is None else f"<{tag}{written}>{inner}</{tag}>"


def linear(domain: tuple[float, float], pixels: tuple[float, float]) -> Scale:
    """Maps a range of values onto a range of pixels; a range of width zero to its middle."""
    (low, high), (start, end) = domain, pixels
    if high == low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def logarithmic(domain: tuple[float, float], pixels: tuple[float, float]) -> Scale:
    """The same on the logarithm of positive values."""
    inner = linear((math.log(domain[0]), math.log(domain[1])), pixels)
    return lambda value: inner(math.log(value))


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values that cover the range from low to high.

    Example:
        >>> ticks(0.07, 0.29)
        [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    """
    if high <= low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """The values 1, 2 and 5 times powers of ten from low to high.

    Example:
        >>> log_ticks(0.9, 22)
        [1.0, 2.0, 5.0, 10.0, 20.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [round(m * 10.0**p, 12) for p in powers for m in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def _value(value: Attribute) -> str:
    return escape(value) if isinstance(value, str) else _short(value)


def _short(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
