"""Keys: four sources, none of them silent; wrong ones change nothing; they can be replaced."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.vault.world import KEY, NOW, copied, event, fill, made, opened, sealed_rows

from privet.client.vault.event import EntryKind
from privet.client.vault.kept_key import KeyFile, KeyringKey
from privet.client.vault.key_source import HostKey, KeySource, Passphrase
from privet.client.vault.vault import Vault
from privet.privacy.errors import InputError, PrivetError


def phrase(text: str = "correct horse") -> Passphrase:
    return Passphrase(text, memory_kib=19456, iterations=2, lanes=1)


@pytest.fixture
def keyring_world() -> Iterator[dict[tuple[str, str], str]]:
    """A keyring that keeps its entries in memory."""
    keyring = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyring.backend")
    held: dict[tuple[str, str], str] = {}

    class Memory(backend.KeyringBackend):  # type: ignore[name-defined,misc]
        priority = 1

        def get_password(self, service: str, name: str) -> str | None:
            return held.get((service, name))

        def set_password(self, service: str, name: str, value: str) -> None:
            held[service, name] = value

        def delete_password(self, service: str, name: str) -> None:
            del held[service, name]

    former = keyring.get_keyring()
    keyring.set_keyring(Memory())
    yield held
    keyring.set_keyring(former)


def check_source(source: KeySource, again: KeySource, wrong: KeySource, path: Path) -> None:
    """Opens with the same key, not with another, and changes nothing in trying."""
    with made(path, source) as vault:
        fill(vault, 3)
    before = path.read_bytes()
    for key in (wrong, HostKey(os.urandom(32))):
        with pytest.raises(InputError):
            opened(path, key)
        assert path.read_bytes() == before
    with opened(path, again) as vault:
        assert len(vault.events()) == 3
        vault.rotate_wrapping_key()
        vault.rotate_data_key()
    with opened(path, again) as vault:
        assert len(vault.events()) == 3 and vault.entries(EntryKind.PROFILE)
        assert vault.erase(all=True).wrapping_key_destroyed == (source.kind in KEPT)


KEPT = ("keyring", "key file")


def test_a_host_key_opens_its_store_only(tmp_path: Path) -> None:
    check_source(KEY, HostKey(bytes(range(32))), HostKey(bytes(32)), tmp_path / "me.db")


def test_a_passphrase_opens_its_store_only_in_any_unicode_form(tmp_path: Path) -> None:
    check_source(phrase("caf\u00e9"), phrase("cafe\u0301"), phrase("cafe"), tmp_path / "me.db")


def test_scrypt_stands_in_for_argon2(tmp_path: Path) -> None:
    with made(tmp_path / "me.db", Passphrase("correct horse", scrypt=True)) as vault:
        vault.record(event(1))
    with opened(tmp_path / "me.db", phrase()) as vault:  # the file says which, and how costly
        assert len(vault.events()) == 1


def test_a_key_file_opens_its_store_only(tmp_path: Path) -> None:
    KeyFile(tmp_path / "other").create()
    check_source(
        KeyFile(tmp_path / "key"),
        KeyFile(tmp_path / "key"),
        KeyFile(tmp_path / "other"),
        tmp_path / "me.db",
    )
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        opened(tmp_path / "me.db", KeyFile(tmp_path / "key"))
    with pytest.raises(InputError, match="No key file"):
        opened(tmp_path / "me.db", KeyFile(tmp_path / "none"))
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key").write_bytes(b"\xff[")
    with pytest.raises(PrivetError, match="no key file"):
        opened(tmp_path / "me.db", KeyFile(tmp_path / "key"))


def test_a_keyring_opens_its_store_only(
    tmp_path: Path, keyring_world: dict[tuple[str, str], str]
) -> None:
    check_source(KeyringKey("app"), KeyringKey("app"), KeyringKey("other"), tmp_path / "me.db")
    assert len(keyring_world) == 1  # rotations and the erasure removed the former keys


def test_without_a_keyring_the_error_says_what_to_do_and_nothing_is_made(tmp_path: Path) -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.backends import fail, null

    former = keyring.get_keyring()
    try:
        for backend in (fail.Keyring(), null.Keyring()):  # type: ignore[no-untyped-call]
            keyring.set_keyring(backend)
            with pytest.raises(InputError, match=r"(passphrase|deleted)"):
                made(tmp_path / "me.db", KeyringKey())
            assert list(tmp_path.iterdir()) == []
    finally:
        keyring.set_keyring(former)


def test_there_is_no_store_without_a_key(tmp_path: Path) -> None:
    for nothing in (None, b"x" * 32, "passphrase"):
        with pytest.raises(InputError, match="Expected a key"):
            Vault(tmp_path / "me.db", key=nothing, create=True)  # type: ignore[arg-type]
    for make in (lambda: HostKey(b"short"), lambda: Passphrase(""), lambda: Passphrase("\ud800")):
        with pytest.raises(InputError):
            make()
    for cost in ({"memory_kib": 1024}, {"iterations": 1}, {"lanes": 99}, {"memory_kib": 1 << 30}):
        with pytest.raises(InputError, match="in \\["):
            Passphrase("x", **cost)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_wrapping_key_that_was_replaced_opens_no_more(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        fill(vault)
        rows = sealed_rows(path)
        vault.rotate_wrapping_key(KeyFile(tmp_path / "key"))
        assert sealed_rows(path) == rows
        vault.record(event(30))
    with pytest.raises(InputError, match=r"opened by: key file\. Found: host"):
        opened(path, KEY)
    with opened(path, KeyFile(tmp_path / "key")) as vault:
        assert len(vault.events()) == 21


def test_a_new_data_key_seals_every_row_anew(tmp_path: Path) -> None:
    path = tmp_path / "me.db"
    with made(path) as vault:
        fill(vault)
        old, events = sealed_rows(path), vault.events()
        vault.rotate_data_key()
        new = sealed_rows(path)
        assert len(new) == len(old) and not set(new.values()) & set(old.values())
        assert vault.events() == events


def test_a_crash_in_a_rotation_leaves_the_old_key_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source = tmp_path / "me.db", KeyFile(tmp_path / "key")
    with made(path, source) as vault:
        fill(vault)
        for place in ("write_meta", "scrub"):
            with monkeypatch.context() as patch:
                patch.setattr(f"privet.client.vault.vault_file.VaultFile.{place}", crash)
                with pytest.raises(ZeroDivisionError):
                    vault.rotate_data_key()
            after = copied(path, tmp_path / f"after-{place}.db")
            with Vault(after, key=source, clock=lambda: NOW) as found:
                assert len(found.events()) == 20
        assert len(vault.events()) == 20


def crash(*_: object) -> None:
    raise ZeroDivisionError
