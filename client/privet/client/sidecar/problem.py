"""Refusals as problem details (RFC 9457): what kind, and what to do; nothing of the user."""

from privet.privacy.canonical import Json
from privet.privacy.errors import (
    BudgetError,
    EgressError,
    InputError,
    IntegrityError,
    PoisoningError,
    PrivacyError,
    PrivetError,
    TransportError,
)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:privet:problem:"
_STATUS: dict[type[PrivetError], int] = {
    InputError: 422,
    PrivacyError: 403,
    BudgetError: 403,
    EgressError: 403,
    IntegrityError: 500,
    TransportError: 502,
    PoisoningError: 502,
}


class Refused(Exception):
    """A request that is answered with a problem.

    Args:
        status: Of HTTP.
        kind: One word that programs compare.
        detail: For people; never anything of the request or of the user.
        header: One more of the answer: its name and value.
    """

    def __init__(
        self, status: int, kind: str, detail: str, *, header: tuple[str, str] | None = None
    ) -> None:
        """Keep what is answered."""
        super().__init__(kind)
        self.status, self.kind, self.detail, self.header = status, kind, detail, header

    @classmethod
    def of(cls, error: PrivetError) -> "Refused":
        """The problem of an error of Privet's, whose messages hold nothing of a history."""
        status = next((s for kind, s in _STATUS.items() if isinstance(error, kind)), 500)
        return cls(status, type(error).__name__, str(error))

    def to_dict(self) -> dict[str, Json]:
        """The members of RFC 9457."""
        return {
            "type": TYPE + self.kind,
            "title": self.kind,
            "status": self.status,
            "detail": self.detail,
        }
