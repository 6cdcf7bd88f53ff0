"""Certificates: devices that trust the federation's authority reach its server and no other."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from privet.privacy.errors import InputError
from privet.server.operation.certificates import (
    KeyPair,
    make_authority,
    make_server_certificate,
    valid_until,
)


def handshake(folder: Path, server: KeyPair, authority: bytes, name: str) -> None:
    """One TLS connection over a socket pair, as a device would verify it."""
    for file, data in (("cert", server.certificate), ("key", server.key)):
        (folder / file).write_bytes(data)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(folder / "cert", folder / "key")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.load_verify_locations(cadata=authority.decode())
    one, other = socket.socketpair()

    def serve() -> None:
        with one:
            try:
                ours.wrap_socket(one, server_side=True).close()
            except (ssl.SSLError, OSError):
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with other:
            theirs.wrap_socket(other, server_hostname=name).close()
    finally:
        thread.join()


def test_devices_verify_the_server_by_every_name_of_its(tmp_path: Path) -> None:
    authority = make_authority("films")
    server = make_server_certificate(authority, ["example.org", "127.0.0.1"])
    for name in ("example.org", "127.0.0.1"):
        handshake(tmp_path, server, authority.certificate, name)


def test_another_name_or_authority_is_not_trusted(tmp_path: Path) -> None:
    authority, stranger = make_authority("films"), make_authority("films")
    server = make_server_certificate(authority, ["example.org"])
    for trusted, name in ((authority, "example.com"), (stranger, "example.org")):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(tmp_path, server, trusted.certificate, name)


def test_an_expired_certificate_is_not_trusted(tmp_path: Path) -> None:
    authority = make_authority("films")
    past = datetime.now(UTC) - timedelta(days=500)
    server = make_server_certificate(authority, ["example.org"], now=past)
    assert valid_until(server.certificate) < datetime.now(UTC)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, server, authority.certificate, "example.org")


def test_a_servers_certificate_cannot_sign_others(tmp_path: Path) -> None:
    authority = make_authority("films")
    server = make_server_certificate(authority, ["example.org"])
    forged = make_server_certificate(server, ["example.org"])
    chained = KeyPair(certificate=forged.certificate + server.certificate, key=forged.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, chained, authority.certificate, "example.org")


def test_names_that_cannot_be_in_a_certificate_are_refused() -> None:
    authority = make_authority("films")
    for names in ([], ["fïlms"]):
        with pytest.raises(InputError, match="name"):
            make_server_certificate(authority, names)
    with pytest.raises(InputError, match="PEM"):
        valid_until(b"nothing")
    with pytest.raises(InputError, match="authority"):
        make_server_certificate(KeyPair(certificate=b"", key=b""), ["example.org"])
