"""Pseudonyms are keyed, separate by purpose and epoch, and cannot be made without the key."""

import hashlib
import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privet.privacy.anonymization import pseudonyms
from privet.privacy.anonymization.pseudonyms import Pseudonyms, encode
from privet.privacy.errors import InputError, PrivacyError

KEY = bytes(range(32))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
IDENTIFIERS = st.one_of(TEXT, st.integers())


def _hmac_by_hand(key: bytes, message: bytes) -> str:
    """RFC 2104, section 2, written out."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in block) + message).digest()
    return hashlib.sha256(bytes(b ^ 0x5C for b in block) + inner).hexdigest()


def _framed(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def test_a_pseudonym_is_the_hmac_of_version_domain_type_and_identifier() -> None:
    message = _framed(b"privet-pseudonym-1", b"export", b"text", "zoë".encode())
    assert encode("export", "zoë") == message
    assert Pseudonyms({0: KEY}).pseudonym("export", "zoë") == _hmac_by_hand(KEY, message)


def test_the_format_does_not_change() -> None:
    # Made with openssl dgst -mac HMAC over the framed bytes, to keep pseudonyms of existing exports joinable.
    assert Pseudonyms({0: KEY}).pseudonym("export/research", 17) == (
        "716cef7820e3b0847e126e7bad9bf39e7e00e2790a4dd4581457b7ab066da1ef"
    )


@given(a=st.tuples(TEXT, IDENTIFIERS), b=st.tuples(TEXT, IDENTIFIERS))
def test_no_two_pairs_of_domain_and_identifier_share_an_encoding(
    a: tuple[str, str | int], b: tuple[str, str | int]
) -> None:
    assert (encode(*a) == encode(*b)) == (a == b)


def test_moving_the_border_between_domain_and_identifier_changes_the_pseudonym() -> None:
    names = Pseudonyms({0: KEY})
    found = {
        names.pseudonym(*pair) for pair in [("ab", "c"), ("a", "bc"), ("a", "b\0c"), ("a\0b", "c")]
    }
    assert len(found) == 4
    assert names.pseudonym("a", 1) != names.pseudonym("a", "1")


def check_separate(names: Pseudonyms) -> None:
    """One identifier has another name in each domain and epoch, and the same within."""
    before = names.pseudonym("export/a", "someone")
    assert before == names.pseudonym("export/a", "someone")
    assert before != names.pseudonym("export/b", "someone")
    assert before != names.pseudonym("export/a", "someone else")
    old = names.epoch
    names.rotate()
    assert names.pseudonym("export/a", "someone") != before
    assert names.pseudonym("export/a", "someone", epoch=old) == before
    names.destroy(old)
    with pytest.raises(PrivacyError, match="destroyed"):
        names.pseudonym("export/a", "someone", epoch=old)


def test_domains_and_epochs_are_separate_and_a_destroyed_key_makes_nothing() -> None:
    check_separate(Pseudonyms.fresh())


class _EpochIgnored(Pseudonyms):
    def rotate(self) -> int:
        self._keys[self.epoch + 1] = self._keys[self.epoch]
        self.epoch += 1
        return self.epoch


class _KeyKept(Pseudonyms):
    def destroy(self, epoch: int) -> None:
        pass


def _domain_ignored(_: str, identifier: str | int) -> bytes:
    return str(identifier).encode()


def _identifier_ignored(domain: str, _: str | int) -> bytes:
    return domain.encode()


@pytest.mark.parametrize("mutant", [_EpochIgnored, _KeyKept])
def test_a_mutant_that_ignores_epochs_is_caught(mutant: type[Pseudonyms]) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_separate(mutant({0: KEY}))


@pytest.mark.parametrize("mutant", [_domain_ignored, _identifier_ignored])
def test_a_mutant_that_ignores_the_domain_or_the_identifier_is_caught(
    mutant: Callable[[str, str | int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pseudonyms, "encode", mutant)
    with pytest.raises(AssertionError):
        check_separate(Pseudonyms({0: KEY}))


def test_a_pseudonym_is_no_plain_hash_and_differs_under_another_key() -> None:
    plain = {hashlib.sha256(m).hexdigest() for m in (b"17", encode("export", 17))}
    first, second = Pseudonyms.fresh(), Pseudonyms.fresh()
    assert first.pseudonym("export", 17) not in plain
    assert first.pseudonym("export", 17) != second.pseudonym("export", 17)


def test_matching_compares_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Pseudonyms({0: KEY})
    compared = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(1)
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert names.matches(names.pseudonym("a", 1), "a", 1)
    assert not names.matches(names.pseudonym("a", 1), "a", 2)
    assert not names.matches("é\ud800", "a", 1)
    assert len(compared) == 3


def test_kept_keys_go_on_where_they_stopped_and_are_never_shown() -> None:
    names = Pseudonyms.fresh()
    names.rotate()
    again = Pseudonyms(names.export_keys())
    assert again.epoch == 1
    assert again.pseudonym("a", 1) == names.pseudonym("a", 1)
    assert names.export_keys()[0].hex() not in repr(names)
    assert "bytearray" not in repr(names)


def test_destroying_overwrites_the_key() -> None:
    names = Pseudonyms({0: KEY, 1: KEY[::-1]})
    held = names._keys[0]
    names.destroy(0)
    assert bytes(held) == bytes(32)
    with pytest.raises(PrivacyError):
        names.destroy(0)


@pytest.mark.parametrize(
    ("domain", "identifier"),
    [("", "a"), ("a", ""), ("a", True), ("a", 1.5), ("a", None), (1, "a"), ("a", "\ud800")],
)
def test_what_is_no_domain_or_identifier_is_refused(domain: str, identifier: str) -> None:
    with pytest.raises(InputError):
        Pseudonyms({0: KEY}).pseudonym(domain, identifier)


@pytest.mark.parametrize("keys", [{}, {0: b"short"}, {0: KEY, 1: KEY}])
def test_no_key_short_keys_and_equal_keys_are_refused(keys: dict[int, bytes]) -> None:
    with pytest.raises(PrivacyError):
        Pseudonyms(keys)


def test_an_epoch_below_zero_is_refused() -> None:
    with pytest.raises(InputError):
        Pseudonyms({-1: KEY})
