"""A device whose whole memory its host carries from one process to the next, as bytes.

For hosts that keep nothing themselves and run each message in another process, as the actors of
Flower's simulation do. A device of a person has a `DeviceStore` instead: what is carried here can be
lost, kept from it, or given to it twice, by whoever carries it.
"""

from dataclasses import replace

from privet.client.local_states import MemoryLocalStates
from privet.client.session import Device, DeviceSession
from privet.privacy.errors import IntegrityError
from privet.privacy.minimization.egress_log import EgressLedger
from privet.privacy.minimization.entries import MemoryEntries, read_entry
from privet.privacy.minimization.envelope import Envelope
from privet.privacy.minimization.gate import AdmittedMessage

_LENGTH = 8


class CarriedSession:
    """A `DeviceSession` whose ledger and local state are carried along with its round.

    Args:
        device: As it was before its first message; its ledger and local state are not used.

    Formal Guarantees:
        Those of a `DeviceSession` over the messages that went into the bytes it was resumed from,
        and over no others: it is for simulations, where server and devices are one party.
    """

    def __init__(self, device: Device) -> None:
        """Remember nothing yet."""
        self._device = device
        self._go_on(MemoryEntries(), MemoryLocalStates())

    def answer(self, request: Envelope) -> AdmittedMessage | None:
        """The answer to a request, or None for silence; see `DeviceSession`."""
        return self._session.answer(request)

    def suspend(self) -> bytes:
        """All that the device must not forget, with its secrets."""
        at, answer = self._entries.kept or (0, b"")
        return _joined(
            self._ledger.to_bytes(),
            at.to_bytes(_LENGTH, "big"),
            answer,
            self._local.to_bytes(),
            self._session.suspend(),
        )

    def resume(self, data: bytes) -> None:
        """Go on from what `suspend` gave; from the beginning if it is empty.

        Raises:
            IntegrityError: Other bytes, or a chain that was changed.
            InputError: Likewise.
        """
        if not data:
            return
        chain, at, answer, local, round_ = _parts(data, 5)
        entries = [read_entry(line) for line in chain.split(b"\n")[:-1]]
        kept = (int.from_bytes(at, "big"), answer) if answer else None
        self._go_on(MemoryEntries(entries, kept), MemoryLocalStates(local))
        self._session.resume(round_)

    def _go_on(self, entries: MemoryEntries, local: MemoryLocalStates) -> None:
        self._entries, self._local = entries, local
        self._ledger = EgressLedger(entries)
        device = replace(self._device, ledger=self._ledger, local=local)
        self._session = DeviceSession(device)


def _joined(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(_LENGTH, "big") + part for part in parts)


def _parts(data: bytes, count: int) -> list[bytes]:
    found: list[bytes] = []
    while data:
        end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
        if len(data) < end:
            break
        found.append(data[_LENGTH:end])
        data = data[end:]
    if data or len(found) != count:
        raise IntegrityError("What was kept of a device is damaged.")
    return found
