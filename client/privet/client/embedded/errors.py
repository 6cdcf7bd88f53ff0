"""What can go wrong between a device and its server; see ``privet.privacy.errors``.

::

    TransportError
        UnreachableError        no connection, no answer in time, or the server is busy: try later
        UntrustedServerError    not the server that the pinned authority vouches for
        RejectedError           the server does not know this device, or did not take a message
        ProtocolError           what came is not the protocol that this client speaks
"""

import json

from privet.privacy.errors import TransportError

_BUSY = {408, 425, 429}
_LARGEST_CODE = 99_999


class UnreachableError(TransportError):
    """The server cannot be reached now; nothing is known to be wrong with what was sent.

    Attributes:
        busy: Whether it did answer, that it cannot.
    """

    def __init__(self, message: str, *, busy: bool = False) -> None:
        """Keep whether there was an answer."""
        super().__init__(message)
        self.busy = busy


class UntrustedServerError(TransportError):
    """The server did not show a certificate of the pinned authority for its name."""


class RejectedError(TransportError):
    """The server refused; trying again will not help unless someone changes something.

    Attributes:
        code: Flower's error code, 0 if it gave none.
    """

    def __init__(self, message: str, *, code: int = 0) -> None:
        """Keep Flower's code beside the message."""
        super().__init__(message)
        self.code = code


class ProtocolError(TransportError):
    """What the server sent is not the protocol; it was thrown away."""


def refusal(status: int, content: bytes) -> UnreachableError | RejectedError:
    """The error for an answer with another HTTP status than 200; the server's text is left out."""
    if status in _BUSY or status >= 500:
        return UnreachableError(f"The server cannot answer now (status {status}).", busy=True)
    if status == 401:
        return RejectedError(
            "The server does not know this device's key, or the device's clock is off by more than "
            "it corrects by itself. Register the key; check the clock."
        )
    try:
        code = json.loads(content)["code"]
    except (ValueError, TypeError, KeyError, RecursionError):
        code = 0
    code = code if type(code) is int and 0 <= code <= _LARGEST_CODE else 0
    return RejectedError(f"The server refused (status {status}, Flower's code {code}).", code=code)
