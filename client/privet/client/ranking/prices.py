"""Prices in a query: "under 50 euros", "$20-30", "around 300 €", each also after "not" or "no".

The amount is taken in the catalogue's currency, whatever the query calls it: nothing is converted.
"""

import math
import re

from privet.client.ranking.limits import Patterns, Range, compiled

_MONEY = r"(?:euros?|eur|dollars?|usd|bucks|pounds?|gbp|quid|francs?|chf)"
_SUM = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?|\d{1,6}(?:[.,]\d{1,2})?)"
_PRICE = rf"(?:[$€£] ?{_SUM}|{_SUM} ?(?:[$€£]|{_MONEY}(?![\w'-])))"
_ABOUT = 0.2


def _hundredths(text: str) -> int:
    """Hundredths of "$1,500", "49.90 euros" or "49,9 €"; the currency is the catalogue's."""
    match = re.search(_SUM, text)
    plain = match[0] if match else "0"
    whole, mark, part = plain.rpartition("," if re.search(r",\d{1,2}$", plain) else ".")
    digits = (whole if mark else plain).replace(",", "")
    return 100 * int(digits) + (int(part.ljust(2, "0")) if mark else 0)


def _around(price: int) -> list[Range]:
    return [Range(low=math.ceil(price * (1 - _ABOUT)), high=math.floor(price * (1 + _ABOUT)))]


PRICE_PATTERNS: Patterns = (
    (
        compiled(
            rf"(?:between |from )?(?P<a>[$€£]? ?{_SUM}(?: ?(?:[$€£]|{_MONEY}))?)"
            rf"(?: and | to | ?- ?)(?P<b>{_PRICE})"
        ),
        lambda match: [Range(low=_hundredths(match["a"]), high=_hundredths(match["b"]))],
    ),
    (
        compiled(rf"(?P<a>{_PRICE}) ?- ?(?P<b>{_SUM})(?![\w.])"),
        lambda match: [Range(low=_hundredths(match["a"]), high=_hundredths(match["b"]))],
    ),
    (
        compiled(rf"(?P<a>{_PRICE}) (?:or (?:less|cheaper|under)|max|maximum|at most)\b"),
        lambda match: [Range(high=_hundredths(match["a"]))],
    ),
    (
        compiled(rf"(?P<a>{_PRICE}) (?:or (?:more|over)|min|minimum|at least)\b"),
        lambda match: [Range(low=_hundredths(match["a"]))],
    ),
    (
        compiled(rf"(?:under|below|less than|cheaper than|beneath) (?P<a>{_PRICE})"),
        lambda match: [Range(high=_hundredths(match["a"]) - 1)],
    ),
    (
        compiled(rf"(?:at most|up to|within|max|maximum|no more than|for) (?P<a>{_PRICE})"),
        lambda match: [Range(high=_hundredths(match["a"]))],
    ),
    (
        compiled(rf"(?:over|above|more than|upwards of) (?P<a>{_PRICE})"),
        lambda match: [Range(low=_hundredths(match["a"]) + 1)],
    ),
    (
        compiled(rf"(?:at least|from|min|minimum) (?P<a>{_PRICE})"),
        lambda match: [Range(low=_hundredths(match["a"]))],
    ),
    (
        compiled(rf"(?:(?:around|about|roughly|approximately|circa) )?(?P<a>{_PRICE})"),
        lambda match: _around(_hundredths(match["a"])),
    ),
)
"""Each price pattern, the first that fits first, and the ranges that it means, in hundredths."""
