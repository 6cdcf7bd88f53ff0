"""``privet client sidecar``: the embedded client behind HTTP on this device, for other languages."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from privet.client.client import Client
from privet.client.policy import Policy
from privet.client.sidecar.catalogue_file import read_catalogue_json
from privet.client.sidecar.server import LOOPBACK, Sidecar
from privet.client.vault.kept_key import KeyFile, KeyringKey
from privet.client.vault.key_source import KeySource, Passphrase
from privet.models.catalogue import Catalogue
from privet.privacy.errors import InputError
from privet.simulations.commands import options as o
from privet.simulations.commands.console import console, print_json
from privet.simulations.data.csv import read_catalogue

_MAX_PASSPHRASE = 4096


def sidecar_command(
    store: Annotated[Path, typer.Argument(help="The user's store; made if it is missing.")],
    catalogue: Annotated[Path, typer.Option("--catalogue", help="The items, .json or .csv.")],
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="Key in a file; made with the store.")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option("--passphrase-file", help="Passphrase in its owner's file.")
    ] = None,
    keyring: Annotated[
        str | None, typer.Option("--keyring", help="Key in the keyring, under this name.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", help="What the app decides, TOML.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Default: STORE.sidecar.json.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="An address of the loopback.")] = LOOPBACK,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = 0,
    json: o.Json = False,
) -> None:
    """Answer apps on this device, until it is stopped."""
    key = _key(key_file, passphrase_file, keyring)
    rules = None if policy is None else Policy.from_toml(policy)
    token = token_file or store.with_name(store.name + ".sidecar.json")
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    client = Client.open(store, catalogue=_catalogue(catalogue), key=key, policy=rules)
    try:
        sidecar = Sidecar(client, token, host=host, port=port)
    except BaseException:
        client.close()
        raise
    with sidecar:
        if json:
            print_json({"port": sidecar.port, "token_file": str(token)})
        else:
            console.print(
                f"Listening on {host}:{sidecar.port}; the token is in {token}.", soft_wrap=True
            )
        console.file.flush()
        done.wait()


def _key(key_file: Path | None, passphrase_file: Path | None, keyring: str | None) -> KeySource:
    given = [value for value in (key_file, passphrase_file, keyring) if value is not None]
    if len(given) != 1:
        raise InputError("Expected one of --key-file, --passphrase-file and --keyring.")
    if key_file is not None:
        return KeyFile(key_file)
    if keyring is not None:
        return KeyringKey(keyring)
    assert passphrase_file is not None  # of three one is given
    return Passphrase(_passphrase(passphrase_file))


def _passphrase(path: Path) -> str:
    """The file's text without the end of its line."""
    with path.open("rb") as file:
        if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
            raise InputError(f"Others than its owner may read it. Run: chmod 600 {path}")
        data = file.read(_MAX_PASSPHRASE + 1)
    try:
        text = data.decode() if len(data) <= _MAX_PASSPHRASE else ""
    except ValueError:
        text = ""
    if not text.strip():
        raise InputError(f"{path}: expected a passphrase, UTF-8, {_MAX_PASSPHRASE} bytes at most.")
    return text.removesuffix("\n").removesuffix("\r")


def _catalogue(path: Path) -> Catalogue:
    return read_catalogue_json(path) if path.suffix == ".json" else read_catalogue(path)[0]
