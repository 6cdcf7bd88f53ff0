"""Who may ask for what: every check of a request before its body is read. Opens no connection."""

import hmac
from dataclasses import dataclass
from email.message import Message

from privet.client.sidecar.problem import Refused
from privet.client.sidecar.route import Route
from privet.client.sidecar.routes import DOCUMENT, ROUTES

MAX_BODY_BYTES = 1 << 20
"""Longest body of a request."""
_TABLE = {route.path: route for route in ROUTES}


@dataclass(frozen=True, kw_only=True, repr=False)
class Admission:
    """Checks requests.

    Attributes:
        hosts: What the header Host may be, in lower case.
        token: What the header Authorization must bear.

    Formal Guarantees:
        A page in a browser cannot use the sidecar: a request for another host, which a rebound name
        of DNS gives, is refused, and so is any with an Origin; no answer has a header of CORS. Of
        the token nothing is learnt from how long a comparison takes.
    """

    hosts: frozenset[str]
    token: bytes

    def check(self, headers: Message) -> None:
        """Check where a request comes from.

        Raises:
            Refused: It is none for this sidecar, comes from a browser, or shows another token.
        """
        if headers.defects or headers.get_payload():
            raise Refused(400, "request", "Expected headers in the form of HTTP.")
        if (_one(headers, "Host") or "").lower() not in self.hosts:
            raise Refused(421, "host", "Expected the sidecar's own address as the Host.")
        if "Origin" in headers:
            raise Refused(403, "origin", "Pages in a browser may not use the sidecar.")
        if not self._shows_token(_one(headers, "Authorization") or ""):
            detail = "Expected the token of the token file, as Authorization: Bearer TOKEN."
            raise Refused(401, "token", detail, header=("WWW-Authenticate", "Bearer"))

    def _shows_token(self, shown: str) -> bool:
        scheme, _, token = shown.partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self.token) and scheme.lower() == "bearer"


def asks_not_to_share(headers: Message) -> bool:
    """Whether a request has the signal of Global Privacy Control."""
    return any(value.strip() == "1" for value in headers.get_all("Sec-GPC", []))


def route_of(method: str, path: str) -> Route | None:
    """What is asked for; None for the description.

    Raises:
        Refused: There is no such thing, or not by this method.
    """
    route = _TABLE.get(path)
    if route is None and path != DOCUMENT:
        raise Refused(404, "route", f"There is no such path; {DOCUMENT} has all of them.")
    wanted = "GET" if route is None else route.method
    if method != wanted:
        raise Refused(405, "method", f"Expected the method {wanted}.", header=("Allow", wanted))
    return route


def body_bytes(headers: Message, *, reads: bool) -> int:
    """How long a request's body is.

    Args:
        headers: Of the request.
        reads: Whether it is one without a body.

    Raises:
        Refused: No length, a length that is none or too large, chunks, or something else than JSON.
    """
    if "Transfer-Encoding" in headers:
        raise Refused(411, "length", "Expected a Content-Length; chunks are not taken.")
    text = _one(headers, "Content-Length")
    if text is None and "Content-Length" in headers:
        raise Refused(400, "length", "Expected one Content-Length.")
    if text is None and not reads:
        raise Refused(411, "length", "Expected a Content-Length.")
    text = text or "0"
    if not (text.isascii() and text.isdigit()):
        raise Refused(400, "length", "Expected a Content-Length in digits.")
    most = 0 if reads else MAX_BODY_BYTES
    if len(text) > len(str(MAX_BODY_BYTES)) or int(text) > most:
        raise Refused(413, "length", f"Expected a body of at most {most} bytes.")
    media = (_one(headers, "Content-Type") or "").partition(";")[0].strip().lower()
    if not reads and (media != "application/json" or "Content-Encoding" in headers):
        raise Refused(415, "media type", "Expected a body of the type application/json.")
    return int(text)


def _one(headers: Message, name: str) -> str | None:
    """A header that is there once."""
    found = headers.get_all(name, [])
    return str(found[0]).strip() if len(found) == 1 else None
