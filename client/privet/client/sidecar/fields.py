"""Fields of a request's body: read strictly, and described in JSON Schema from the same table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from privet.client.sidecar.problem import Refused
from privet.privacy.canonical import Json

_SAFE = 1 << 53


class Kind(StrEnum):
    """Types of JSON; `TEXTS` is an array of texts."""

    TEXT = "string"
    WHOLE = "integer"
    NUMBER = "number"
    YES_NO = "boolean"
    OBJECT = "object"
    TEXTS = "array"
    OBJECTS = "array of objects"
    MAYBE_OBJECT = "object or null"
    MAYBE_TEXT = "string or null"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One member of an object.

    Attributes:
        name: Its name.
        kind: Its type.
        needed: Whether it must be there; what need not be may be null too.
        about: What it means, in a few words.
        choices: The only texts that are allowed; empty for any.
        least: Of a number.
        most: Of a number.
    """

    name: str
    kind: Kind = Kind.TEXT
    needed: bool = False
    about: str = ""
    choices: tuple[str, ...] = ()
    least: float = -_SAFE
    most: float = _SAFE

    @property
    def schema(self) -> dict[str, Json]:
        """JSON Schema, 2020-12."""
        found = _schema(self.kind)
        if self.choices:
            target = found["items"] if self.kind is Kind.TEXTS else found
            assert isinstance(target, dict)
            target["enum"] = list(self.choices)
        if self.kind in (Kind.WHOLE, Kind.NUMBER) and (self.least, self.most) != (-_SAFE, _SAFE):
            found |= {"minimum": self.least, "maximum": self.most}
        if self.about:
            found["description"] = self.about
        return found

    def read(self, value: object) -> Any:
        """A value of this field's type.

        Raises:
            Refused: It is of another type, or out of its range; nothing of it is quoted.
        """
        if self.kind is Kind.TEXTS and isinstance(value, list):
            fits = all(isinstance(one, str) and self._chosen(one) for one in value)
        elif self.kind is Kind.NUMBER:
            fits = type(value) in (int, float) and self._within(value)
            value = float(value) if fits else value  # type: ignore[arg-type]
        elif self.kind is Kind.WHOLE:
            fits = type(value) is int and self._within(value)
        elif self.kind is Kind.TEXT:
            fits = isinstance(value, str) and self._chosen(value)
        else:
            fits = type(value) is {Kind.YES_NO: bool, Kind.OBJECT: dict}.get(self.kind)
        if not fits:
            raise Refused(422, "value", f"Expected {self.name} as {self._expected()}.")
        return value

    def _within(self, value: Any) -> bool:
        return bool(self.least <= value <= self.most)

    def _chosen(self, value: str) -> bool:
        return not self.choices or value in self.choices

    def _expected(self) -> str:
        words = "an array of texts" if self.kind is Kind.TEXTS else f"JSON's type {self.kind}"
        if self.choices:
            return f"{words}, from: {', '.join(self.choices)}"
        if self.kind in (Kind.WHOLE, Kind.NUMBER):
            return f"{words} in [{self.least:g}, {self.most:g}]"
        return words


def _schema(kind: Kind) -> dict[str, Json]:
    match kind:
        case Kind.TEXTS:
            return {"type": "array", "items": {"type": "string"}}
        case Kind.OBJECTS:
            return {"type": "array", "items": {"type": "object"}}
        case Kind.MAYBE_OBJECT:
            return {"type": ["object", "null"]}
        case Kind.MAYBE_TEXT:
            return {"type": ["string", "null"]}
    return {"type": str(kind)}


def schema_of(fields: Sequence[Field], *, nullable: bool) -> dict[str, Json]:
    """JSON Schema of an object with these members and no others.

    Args:
        fields: The members.
        nullable: Whether those that are not needed may be null, as in requests.
    """
    members: dict[str, Json] = {}
    for field in fields:
        found = field.schema
        if nullable and not field.needed:
            found = {"anyOf": [found, {"type": "null"}]}
        members[field.name] = found
    needed: list[Json] = [field.name for field in fields if field.needed]
    return {
        "type": "object",
        "properties": members,
        "required": needed,
        "additionalProperties": False,
    }


def read_body(data: bytes, fields: Sequence[Field]) -> dict[str, Any]:
    """The members that were given and are not null.

    Raises:
        Refused: It is no JSON object with these members; nothing of it is quoted.
    """
    try:
        body = json.loads(data.decode(), object_pairs_hook=_once, parse_constant=_never)
        json.dumps(body, ensure_ascii=False).encode()  # no halves of surrogate pairs
    except (ValueError, RecursionError):
        raise Refused(400, "json", "Expected a body of JSON, in UTF-8, each name once.") from None
    if not isinstance(body, dict):
        raise Refused(400, "json", "Expected a body with one JSON object.")
    known = {field.name: field for field in fields}
    given = {name: value for name, value in body.items() if value is not None}
    if not body.keys() <= known.keys():
        wanted = ", ".join(known) or "nothing"
        raise Refused(422, "value", f"Expected no members but: {wanted}.")
    missing = [field.name for field in fields if field.needed and field.name not in given]
    if missing:
        raise Refused(422, "value", f"Expected the members: {', '.join(missing)}.")
    return {name: known[name].read(value) for name, value in given.items()}


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _never(constant: str) -> object:
    raise ValueError("no number of JSON")
