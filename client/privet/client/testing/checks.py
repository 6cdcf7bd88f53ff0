"""Privacy checks for an app's own tests: no connections, no traces, and no new uploads unseen.

A check that passes shows that this test's use of the app did not do the thing, where the check
looks; it is no proof that the app never does.
"""

import base64
import difflib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privet.privacy.errors import InputError

if TYPE_CHECKING:  # with an invitation come plans and accounting
    from privet.models.invitation import Invitation

SHORTEST_WORD = 6
_NETWORK = frozenset(
    f"socket.{call}"
    for call in (
        *("connect", "sendto", "sendmsg", "getaddrinfo", "getnameinfo"),
        *("gethostbyname", "gethostbyaddr"),
    )
)


class ForbiddenConnectionError(OSError):
    """A connection was tried where a test forbids it."""


class _Guard:
    """Hears of every call of the process to its sockets; each watcher is a list of what was tried."""

    def __init__(self) -> None:
        self.watchers: list[list[str]] = []
        sys.addaudithook(self._hear)  # for good: Python has no way to take one off

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.watchers and event in _NETWORK:
            for tried in self.watchers:
                tried.append(event)
            raise ForbiddenConnectionError("A test forbids connections here.")


@cache
def _guard() -> _Guard:
    return _Guard()


@contextmanager
def no_connections() -> Iterator[list[str]]:
    """Nothing in this process may connect, send a datagram or resolve a name meanwhile.

    Whoever tries gets a `ForbiddenConnectionError`, an ``OSError``; and since a background job may
    swallow that, every attempt is reported at the end, too.

    Yields:
        What was tried so far, by the names of Python's audit events.

    Raises:
        AssertionError: At the end: something was tried.

    Edge Case Handling:
        All threads, all kinds of sockets and this machine's own addresses count. Not seen are other
        processes, connections that were open before, and whatever opens sockets in another way than
        Python's ``socket``: libraries in C, of which gRPC is one.
    """
    tried: list[str] = []
    watchers = _guard().watchers
    watchers.append(tried)
    try:
        yield tried
    finally:
        watchers[:] = [one for one in watchers if one is not tried]
        if tried:
            calls = ", ".join(sorted(set(tried)))
            raise AssertionError(f"Connections were tried {len(tried)} times, by {calls}.")


def assert_no_trace(folder: Path, words: Iterable[str]) -> None:
    """No file below a folder has any of these words, in its bytes or its name.

    Looked for as UTF-8, UTF-16 in both orders, JSON escapes, hexadecimal digits, and base64 (both
    alphabets) wherever in a group of three bytes the word begins. What is compressed, encrypted or
    written in parts is not found.

    Args:
        folder: With at least one file.
        words: Such as nobody else would write: canaries. At least 6 bytes each.

    Raises:
        AssertionError: One is there; says which, by its place in `words`, how and in which file.
        InputError: No word, too short a word, or no file: a check of nothing would always pass.
    """
    wanted = list(words)
    if not wanted or min(len(word.encode()) for word in wanted) < SHORTEST_WORD:
        raise InputError(
            f"Expected words of {SHORTEST_WORD} bytes or more: others occur by chance."
        )
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if not files:
        raise InputError("There is no file in the folder, so nothing would be checked.")
    spelt = [(place, *one) for place, word in enumerate(wanted) for one in _spellings(word)]
    for path in files:
        name = str(path.relative_to(folder))
        data = name.encode() + b"\0" + path.read_bytes()
        for place, how, needle in spelt:
            if needle in data:
                raise AssertionError(f"Word {place} is in {name}, as {how}.")


def _spellings(word: str) -> Iterator[tuple[str, bytes]]:
    plain = word.encode()
    yield "UTF-8", plain
    yield "UTF-16", word.encode("utf-16-le")
    yield "UTF-16", word.encode("utf-16-be")
    yield "JSON", json.dumps(word)[1:-1].encode()
    yield "hexadecimal digits", plain.hex().encode()
    yield "hexadecimal digits", plain.hex().upper().encode()
    for before in range(3):
        # Only the digits that all their six bits from the word: its neighbours are not known.
        first, last = -(-8 * before // 6), 8 * (before + len(plain)) // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield "base64", encode(bytes(before) + plain)[first:last]


def uploads_of(invitation: "Invitation") -> str:
    """All that may leave a device that joins, as text: the terms, and every field of every message.

    Made of the policy by which the device's gate lets messages out, and of the terms that its user
    is shown. Keys, addresses and hashes are left out, so that the text changes only with what may
    leave, for what, how often, or with which noise. What goes around the gate is not in it: for that
    are `no_connections`, and what the server of a rehearsal received.

    Args:
        invitation: From the operator, or of a rehearsal.

    Raises:
        PrivacyError: The plan's noise is not worth the epsilon that it promises.
    """
    from privet.client.consent import terms_of

    terms, policy = terms_of(invitation), invitation.policy
    facts = invitation.plan.facts
    lines = [
        f"trust: {terms.trust}",
        f"answers to each: {terms.answers} at most",
        *(f"epsilon of one run: {_said(once)}: {who}" for who, once, _ in terms.epsilons),
        *(f"epsilon of all answers: {_said(most)}: {who}" for who, _, most in terms.epsilons),
        f"delta: {terms.delta}",
        f"devices: {facts.devices}, at least {facts.fewest_devices}",
    ]
    for message in terms.messages:
        of = "from the history" if message.private else "keys, signatures and the like"
        lines += ["", f"message {message.step}: {message.size_bytes} bytes, {of}"]
        for rule in policy.of_step(message.step):
            lines += [
                f"  field {rule.field}: {rule.entries(message.step)} of {rule.type}",
                f"    bits of each: {rule.bits}",
                f"    purpose: {rule.purpose}",
                f"    mechanism: {rule.mechanism}",
                f"    retention: {rule.retention}",
                f"    seen by: {', '.join(map(str, rule.adversaries))}",
                *([f"    words: {', '.join(rule.words)}"] if rule.words else []),
            ]
    return "\n".join(lines) + "\n"


def _said(epsilon: float | None) -> str:
    return "no guarantee" if epsilon is None else f"{epsilon:.4g}"


def check_golden(text: str, path: Path, *, update: bool = False) -> None:
    """A text is the one that somebody reviewed and put under version control.

    Args:
        text: From `uploads_of`.
        path: Of the reviewed text.
        update: Write it instead: for the review of the change, never in an automatic run.

    Raises:
        AssertionError: It differs, with the difference; or there is none yet.
    """
    if update:
        path.write_text(text, encoding="utf-8")
        return
    how = "Review it, write it once with update=True, and keep it under version control."
    if not path.is_file():
        raise AssertionError(f"There is no reviewed text in {path} yet. {how}")
    known = path.read_text(encoding="utf-8")
    if text != known:
        changes = difflib.unified_diff(
            known.splitlines(), text.splitlines(), "reviewed", "now", lineterm="", n=1
        )
        raise AssertionError("\n".join(["What may leave has changed.", *changes, how]))
