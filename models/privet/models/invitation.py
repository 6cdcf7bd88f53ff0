"""What a federation gives its devices before they join, and what a device gives back.

Both are files that people carry: an :class:`Invitation` from the operator to the devices, an
:class:`EnrolmentRequest` from a device to the operator. They are canonical JSON, read strictly.
An invitation is where a device's trust begins (server, certificate authority, signing key), so it
must come over a way that its user trusts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from privet.models.federation import Federation
from privet.models.federation_policy import federation_policy
from privet.models.plan import Plan
from privet.privacy.canonical import canonical_bytes, parse_canonical
from privet.privacy.errors import InputError
from privet.privacy.minimization.policy import EgressPolicy
from privet.privacy.secagg.primitives import KEY_BYTES, SigningKey, verify

VERSION = 1
MAX_BYTES = 2 << 20
MAX_ANSWERS = 100
MAX_TEXT = 128
MAX_PEM = 1 << 14
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """All that a device must know to join.

    Attributes:
        name: Of the federation, for people.
        host: Name or address that devices connect to, as the server's certificate has it.
        port: Of the server, or of the proxy before it.
        authority: Certificate of the only authority that devices trust, PEM.
        federation: Constants that every device pins.
        plan: Of the run, and of any later run under the same constants.
        answers: How often a device may be asked for each sum of the plan, repeats and later runs
            included, from 1 to 100.

    Raises:
        InputError: A value out of its range.
    """

    name: str
    host: str
    port: int
    authority: str
    federation: Federation
    plan: Plan
    answers: int

    def __post_init__(self) -> None:
        """Check every range."""
        for text in (self.name, self.host):
            if not 0 < len(text) <= MAX_TEXT or not text.isprintable():
                raise InputError("Expected an invitation's name and host as short, printable text.")
        if not self.host.isascii() or set(self.host) & set("/@[] "):
            raise InputError("Expected an invitation's host as a host name or an address.")
        run = self.federation.run
        if not 0 < len(run) <= 64 or not run.isascii() or not run.isprintable() or " " in run:
            raise InputError("Expected a federation's name for runs as one word of ASCII.")
        ranges = {
            "port": (self.port, 1, 65535),
            "answers": (self.answers, 1, MAX_ANSWERS),
            "corrupt_permille": (self.federation.corrupt_permille, 0, 499),
            "drop_permille": (self.federation.drop_permille, 0, 499),
        }
        for what, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise InputError(f"Expected an invitation's {what} from {low} to {high}.")
        agreed = self.plan.protocol
        if agreed is not None and agreed.max_participations != self.answers:
            raise InputError("An invitation asks for other answers than its plan is made for.")
        _check_pem(self.authority, "CERTIFICATE")
        _check_key(self.federation.server_key)
        if self.federation.certifier_key is not None:
            _check_key(self.federation.certifier_key)

    @property
    def policy(self) -> EgressPolicy:
        """All that may leave a device that joins."""
        return federation_policy(self.plan, self.federation)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        own, certifier = self.federation, self.federation.certifier_key
        return canonical_bytes(
            {
                "version": VERSION,
                "name": self.name,
                "host": self.host,
                "port": self.port,
                "authority": self.authority,
                "run": own.run,
                "server_key": own.server_key.hex(),
                "certifier_key": None if certifier is None else certifier.hex(),
                "corrupt_permille": own.corrupt_permille,
                "drop_permille": own.drop_permille,
                "answers": self.answers,
                "plan": self.plan.to_dict(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Invitation":
        """Read an invitation.

        Raises:
            InputError: Not an invitation, or a value out of its range.
            IntegrityError: Not canonical, or its plan contradicts itself.
            PrivacyError: Its plan cannot be one.
        """
        body = _body(data, _INVITATION, "an invitation")
        certifier = body["certifier_key"]
        federation = Federation(
            run=body["run"],
            server_key=_key(body["server_key"]),
            certifier_key=None if certifier is None else _key(certifier),
            corrupt_permille=body["corrupt_permille"],
            drop_permille=body["drop_permille"],
        )
        return cls(
            name=body["name"],
            host=body["host"],
            port=body["port"],
            authority=body["authority"],
            federation=federation,
            plan=Plan.from_dict(body["plan"]),
            answers=body["answers"],
        )


@dataclass(frozen=True, kw_only=True)
class EnrolmentRequest:
    """A device's two public keys and its public number, bound to one federation and plan.

    Attributes:
        run: Name of the federation's runs.
        plan_hash: Of the plan that the device's user agreed to.
        identity: Its Ed25519 key.
        number: Its public number, from 0 to 2**63 - 1.
        node: Its key at the transport, PEM.
        signature: By the identity, over all of it and the server's key.
    """

    run: str
    plan_hash: str
    identity: bytes
    number: int
    node: str
    signature: bytes = field(repr=False)

    @classmethod
    def sign(
        cls, key: SigningKey, number: int, node: bytes, *, federation: Federation, plan_hash: str
    ) -> "EnrolmentRequest":
        """A device's request.

        Args:
            key: Its identity.
            number: Its public number.
            node: Its public key at the transport, PEM.
            federation: Which it joins.
            plan_hash: Of the plan that its user agreed to.
        """
        text = node.decode("ascii")
        parts = _request_parts(federation, plan_hash, number, text)
        return cls(
            run=federation.run,
            plan_hash=plan_hash,
            identity=key.public,
            number=number,
            node=text,
            signature=key.sign(b"enrolment", *parts),
        )

    def check(self, *, federation: Federation, plan_hash: str) -> None:
        """Check that the request is for this federation and plan, by the holder of the identity.

        Raises:
            InputError: It is for another federation or plan, or its transport key is no public key
                on P-256, P-384 or P-521.
            IntegrityError: It is not signed by the identity that it names, for this server.
        """
        if self.run != federation.run or self.plan_hash != plan_hash:
            raise InputError(
                "A request is for another federation or plan than this one. The device must join "
                "with this federation's invitation."
            )
        parts = _request_parts(federation, plan_hash, self.number, self.node)
        verify(self.identity, self.signature, b"enrolment", *parts)
        _check_node_key(self.node)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        body = {
            "version": VERSION,
            "run": self.run,
            "plan_hash": self.plan_hash,
            "identity": self.identity.hex(),
            "number": str(self.number),  # other readers of JSON have 53 bits
            "node": self.node,
            "signature": self.signature.hex(),
        }
        return canonical_bytes(body)

    @classmethod
    def from_bytes(cls, data: bytes) -> "EnrolmentRequest":
        """Read a request; `check` says whether it holds.

        Raises:
            InputError: Not a request.
            IntegrityError: Not canonical.
        """
        body = _body(data, _REQUEST, "an enrolment request")
        number, plan_hash = body["number"], body["plan_hash"]
        digits = number.isascii() and number.isdigit() and len(number) <= 19
        if not digits or str(int(number)) != number or int(number) >= 1 << 63:
            raise InputError("Expected a device's number from 0 to 2**63 - 1.")
        if len(plan_hash) != 64 or not set(plan_hash) <= _HEX:
            raise InputError("Expected a plan's hash as 64 hexadecimal digits.")
        _check_pem(body["node"], "PUBLIC KEY")
        return cls(
            run=body["run"],
            plan_hash=plan_hash,
            identity=_key(body["identity"]),
            number=int(number),
            node=body["node"],
            signature=_hex(body["signature"], 64),
        )


_INVITATION: Mapping[str, tuple[type, ...]] = {
    "name": (str,),
    "host": (str,),
    "port": (int,),
    "authority": (str,),
    "run": (str,),
    "server_key": (str,),
    "certifier_key": (str, type(None)),
    "corrupt_permille": (int,),
    "drop_permille": (int,),
    "answers": (int,),
    "plan": (dict,),
}
_REQUEST: Mapping[str, tuple[type, ...]] = dict.fromkeys(
    ("run", "plan_hash", "identity", "number", "node", "signature"), (str,)
)


def _body(data: bytes, expected: Mapping[str, tuple[type, ...]], what: str) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise InputError(f"Expected {what} of at most {MAX_BYTES} bytes, found {len(data)}.")
    body = parse_canonical(data)
    if not isinstance(body, dict) or body.get("version") != VERSION:
        raise InputError(f"Expected {what} of version {VERSION}, found other bytes.")
    known = {**expected, "version": (int,)}
    if set(body) != set(known) or any(type(body[k]) not in kinds for k, kinds in known.items()):
        raise InputError(f"Expected {what}: a field is missing, unknown or of another type.")
    return body


def _request_parts(
    federation: Federation, plan_hash: str, number: int, node: str
) -> tuple[bytes, ...]:
    return (
        federation.run.encode(),
        federation.server_key,
        bytes.fromhex(plan_hash),
        number.to_bytes(8, "little"),
        node.encode(),
    )


def _key(text: str) -> bytes:
    return _hex(text, KEY_BYTES)


def _hex(text: str, size: int) -> bytes:
    if len(text) != 2 * size or not set(text) <= _HEX:
        raise InputError(f"Expected {2 * size} hexadecimal digits as a key or a signature.")
    return bytes.fromhex(text)


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise InputError(f"Expected a public key of {KEY_BYTES} bytes.")


def _check_pem(text: str, what: str) -> None:
    lines = text.splitlines()
    framed = len(lines) > 2 and (lines[0], lines[-1]) == (
        f"-----BEGIN {what}-----",
        f"-----END {what}-----",
    )
    once = framed and text.count("-----BEGIN") == text.count("-----END") == 1
    if not once or not text.isascii() or len(text) > MAX_PEM:
        raise InputError(f"Expected one {what.lower()} in PEM form.")


def _check_node_key(text: str) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    curves = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
    try:
        key = load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curves):
        raise InputError("Expected a device's transport key as a public key on P-256 to P-521.")
    if key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() != text:
        raise InputError("Expected a device's transport key in its one usual spelling.")
