"""What a route is."""

from collections.abc import Callable
from dataclasses import dataclass

from privet.client.sidecar.fields import Field, Kind
from privet.client.sidecar.given import Answer


@dataclass(frozen=True, kw_only=True)
class Route:
    """One thing that may be asked for.

    Attributes:
        path: Exactly.
        call: Gets the members of the body by name.
        about: What it does.
        takes: Members of the request's body; a GET has no body.
        gives: Members of the answer.
        reads: Whether it is a GET; else it is a POST.
    """

    path: str
    call: Callable[..., Answer]
    about: str
    gives: tuple[Field, ...]
    takes: tuple[Field, ...] = ()
    reads: bool = False

    @property
    def method(self) -> str:
        """Of HTTP."""
        return "GET" if self.reads else "POST"


def get(path: str, call: Callable[..., Answer], about: str, gives: tuple[Field, ...]) -> Route:
    """A route that is read."""
    return Route(path=path, call=call, about=about, gives=gives, reads=True)


def flag(name: str, about: str = "") -> Field:
    """A yes or no that may be left out."""
    return Field(name=name, kind=Kind.YES_NO, about=about)


def given(name: str, kind: Kind = Kind.TEXT) -> Field:
    """A member that is always there."""
    return Field(name=name, kind=kind, needed=True)
