"""Years, durations and prices in a query, taken out of its text by patterns. English.

"from the 90s", "90s", "in 1994", "before 1980", "since 2000", "between 1990 and 1995", "under 2
hours", "at least 90 minutes", "1h30 or less", each also after "not" or "no". A bare year stays text,
for it may be a title ("1984"); a bare decade does not.
"""

import math
import re
from collections.abc import Callable

from privet.client.ranking.limits import Limits, Patterns, Range, compiled, take
from privet.client.ranking.prices import PRICE_PATTERNS

_WORDS = {"a": 1.0, "an": 1.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "half an": 0.5}
_DECADES = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties")
_DECADE_OF = {name: 1920 + 10 * n for n, name in enumerate((*_DECADES, "nineties"))}
_PARTS = {"early": (0, 3), "mid": (4, 6), "late": (7, 9), "": (0, 9)}
_DECADE = rf"(?:the )?(?:(?:early|mid|late)[- ])?'?(?:(?:1[89]|20)?\d0s|{'|'.join(_DECADE_OF)})"
_PERIOD = rf"(?:{_DECADE}|(?:the year )?(?:1[89]|20)\d\d)(?![\w'-])"
_UNIT = r"(?:hours?|hrs?|h|minutes?|mins?|m)"
_NUMBER = rf"(?:\d{{1,4}}(?:\.\d{{1,2}})?|{'|'.join(_WORDS)})(?: and a half)?"
_AMOUNT = (
    rf"{_NUMBER}[ -]?{_UNIT}(?:(?: and a half)|(?: and)? ?\d{{1,2}}(?: ?(?:minutes?|mins?|m))?)?"
    rf"(?![\w'-])"
)


def take_limits(folded: str) -> tuple[str, Limits, Limits, Limits]:
    """Take years, durations in seconds and prices in hundredths out of a folded text.

    Returns:
        The rest, with a bar where something was taken out, and the limits of years, durations and
        prices.
    """
    years, durations, prices = Limits(), Limits(), Limits()
    text = " ".join(folded.split())
    for pattern, read in PRICE_PATTERNS:
        text = take(text, pattern, read, prices, alternative=False)
    for pattern, read in _DURATION_PATTERNS:
        text = take(text, pattern, read, durations, alternative=False)
    for pattern, read, alternative in _YEAR_PATTERNS:
        text = take(text, pattern, read, years, alternative=alternative)
    return text, years, durations, prices


def _periods(text: str) -> list[Range]:
    """The periods that a text names, one after the other."""
    return [_period(match[0]) for match in re.finditer(_PERIOD, text)]


def _period(text: str) -> Range:
    """Years of "1994", "the late 90s" or "eighties"; two digits from 00 to 20 are of this century."""
    text = text.removeprefix("the ").removeprefix("year ")
    part = next((name for name in _PARTS if name and text.startswith(name)), "")
    text = text[len(part) :].lstrip("- '")
    if text in _DECADE_OF:
        first = _DECADE_OF[text]
    elif text.endswith("s"):
        first = int(text[:-1])
        first += 0 if first >= 100 else 2000 if first <= 20 else 1900
    else:
        return Range(low=int(text), high=int(text))
    begin, end = _PARTS[part]
    return Range(low=first + begin, high=first + end)


def _seconds(text: str) -> float:
    """Seconds of "2 hours", "an hour and a half", "1h30" or "90 min"."""
    match = re.fullmatch(rf"({_NUMBER})[ -]?({_UNIT})(.*)", text)
    number, unit, rest = match.groups() if match else ("0", "m", "")  # patterns give amounts only
    half = 0.5 if "and a half" in number else 0.0
    plain = number.removesuffix(" and a half")
    size = 3600 if unit.startswith("h") else 60
    total = (_WORDS.get(plain) or float(plain)) * size + half * size
    digits = re.search(r"\d+", rest)
    return total + (size / 2 if "half" in rest else 60 * int(digits[0]) if digits else 0)


def _hull(first: str, last: str) -> list[Range]:
    begin, end = _period(first), _period(last)
    return [Range(low=min(begin.low, end.low), high=max(begin.high, end.high))]


def _between(match: re.Match[str]) -> list[Range]:
    last = match["last"]
    unit = re.search(_UNIT + r"(?![a-z])", last.removeprefix(_first_number(last)))
    first = match["first"] + (f" {unit[0]}" if unit and not match["unit"] else match["unit"] or "")
    return [Range(low=_seconds(first), high=_seconds(last))]


def _first_number(text: str) -> str:
    match = re.match(_NUMBER, text)
    return match[0] if match else ""


_DURATION_PATTERNS: Patterns = (
    (
        compiled(rf"between (?P<first>{_NUMBER})(?P<unit>[ -]?{_UNIT})? and (?P<last>{_AMOUNT})"),
        _between,
    ),
    (
        compiled(rf"(?:under|below|less than|shorter than|fewer than) (?P<a>{_AMOUNT})"),
        lambda match: [Range(high=math.ceil(_seconds(match["a"])) - 1)],
    ),
    (
        compiled(rf"(?:at most|up to|within|max|maximum) (?P<a>{_AMOUNT})"),
        lambda match: [Range(high=_seconds(match["a"]))],
    ),
    (
        compiled(rf"(?:over|above|more than|longer than) (?P<a>{_AMOUNT})"),
        lambda match: [Range(low=math.floor(_seconds(match["a"])) + 1)],
    ),
    (
        compiled(rf"(?:at least|min|minimum) (?P<a>{_AMOUNT})"),
        lambda match: [Range(low=_seconds(match["a"]))],
    ),
    (
        compiled(rf"(?P<a>{_AMOUNT}) (?:or (?:less|shorter|under)|max|maximum|at most)\b"),
        lambda match: [Range(high=_seconds(match["a"]))],
    ),
    (
        compiled(rf"(?P<a>{_AMOUNT}) (?:or (?:more|longer|over)|min|minimum|at least)\b"),
        lambda match: [Range(low=_seconds(match["a"]))],
    ),
)
_YEAR_PATTERNS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], list[Range]], bool], ...] = (
    (
        compiled(
            rf"(?:between|from) (?P<a>{_PERIOD}) (?:and|to|until|till|through) (?P<b>{_PERIOD})"
        ),
        lambda match: _hull(match["a"], match["b"]),
        True,
    ),
    (
        compiled(r"(?:(?:from|in) )?(?P<a>(?:1[89]|20)\d\d)-(?P<b>(?:1[89]|20)\d\d)(?![\w'-])"),
        lambda match: _hull(match["a"], match["b"]),
        True,
    ),
    (
        compiled(rf"(?:before|older than|earlier than|prior to) (?P<a>{_PERIOD})"),
        lambda match: [Range(high=_period(match["a"]).low - 1)],
        False,
    ),
    (
        compiled(rf"(?:after|newer than|later than) (?P<a>{_PERIOD})"),
        lambda match: [Range(low=_period(match["a"]).high + 1)],
        False,
    ),
    (
        compiled(rf"(?:since (?P<a>{_PERIOD})|from (?P<b>{_PERIOD}) on(?:wards?)?\b)"),
        lambda match: [Range(low=_period(match["a"] or match["b"]).low)],
        False,
    ),
    (
        compiled(rf"(?:until|till|up to) (?P<a>{_PERIOD})"),
        lambda match: [Range(high=_period(match["a"]).high)],
        False,
    ),
    (
        compiled(rf"(?:from|in|of|during|out of) (?P<a>{_PERIOD}(?:,? (?:or|and|nor) {_PERIOD})*)"),
        lambda match: _periods(match["a"]),
        True,
    ),
    (compiled(rf"(?P<a>{_DECADE})(?![\w'-])"), lambda match: _periods(match["a"]), True),
)
