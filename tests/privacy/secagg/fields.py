"""Where each field of the server's messages lies, for 8 devices, so that tests can change it."""

from privet.privacy.secagg.device_messages import ENVELOPE_BYTES
from privet.privacy.secagg.terms import Terms
from privet.privacy.secagg.wire import HEADER_BYTES

Fields = dict[str, tuple[int, int]]  # name: first byte, number of bytes
HEADER: Fields = {"marker": (0, 4), "version": (4, 1), "kind": (5, 1)}


def _in_order(sizes: list[tuple[str, int]]) -> Fields:
    fields, at = dict(HEADER), HEADER_BYTES
    for name, size in sizes:
        fields[name] = (at, size)
        at += size
    return fields


def roster_fields(terms: Terms, devices: int, own: int) -> Fields:
    """Of a roster, seen by one device: its own entry and that of another one."""
    sizes = [(name, len(value)) for name, value in terms.fields]
    sizes += [("devices", 4), ("neighbours k", 2), ("threshold t", 2)]
    names = {own: "own", (own + 1) % devices: "another's"}
    for i in range(devices):
        for part in ("identity", "mask key", "envelope key", "commitment"):
            sizes.append((f"{names.get(i, i)} {part}", 32))
        sizes.append((f"{names.get(i, i)} signature", 64))
    sizes.append(("server's signature", 64))
    return {name: at for name, at in _in_order(sizes).items() if not name[0].isdigit()}


def delivery_fields() -> Fields:
    """Of a delivery, with its first envelope."""
    sizes = [("roster hash", 32), ("destination", 4), ("sharers", 1), ("number of envelopes", 2)]
    sizes += [("source", 4), ("source's nonce", 32), ("envelope", ENVELOPE_BYTES)]
    return _in_order(sizes)


def survivors_fields() -> Fields:
    """Of the survivors."""
    return _in_order([("roster hash", 32), ("active", 1), ("dead", 1)])


def request_fields(cosignatures: int, *, statements: bool) -> Fields:
    """Of an unmask request, with its first co-signature and its first statement."""
    sizes = [("roster hash", 32), ("active", 1), ("dead", 1)]
    sizes += [("number of co-signatures", 2), ("number of statements", 2)]
    sizes += [("signer", 4), ("co-signature", 64), ("other co-signatures", 68 * (cosignatures - 1))]
    if statements:
        sizes += [("stating device", 4), ("stated hash", 32), ("statement's signature", 64)]
    return _in_order(sizes)
