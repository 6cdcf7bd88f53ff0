"""A sidecar on loopback, and requests to it."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.client.app.world import opened

from privet.client.client import Client
from privet.client.sidecar.server import Sidecar, SidecarLimits


class Asker:
    """Asks a sidecar as an app does, by its token file."""

    def __init__(self, token_file: Path) -> None:
        found = json.loads(token_file.read_text())
        self.port, self.token = found["port"], found["token"]

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str | None] = MappingProxyType({}),
    ) -> tuple[int, dict[str, str], bytes]:
        """A request with other headers than an app's; None to leave one out."""
        given: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token}",
            "Host": f"127.0.0.1:{self.port}",
            "Content-Type": None if body is None else "application/json",
            "Content-Length": None if body is None else str(len(body)),
        } | dict(headers)
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            link.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value is not None:
                    link.putheader(name, value)
            link.endheaders(body)
            reply = link.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()
        finally:
            link.close()

    def get(self, path: str) -> Any:
        status, _, body = self.raw("GET", path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> Any:
        found, _, answer = self.raw("POST", path, json.dumps(body or {}).encode())
        assert found == status, answer
        return json.loads(answer)


@contextmanager
def running(
    folder: Path, *, limits: SidecarLimits | None = None, **options: Any
) -> Iterator[tuple[Asker, Client]]:
    """A sidecar on a new store, and its client, to look at what was kept."""
    client = opened(folder / "me.db", **options)
    with Sidecar(client, folder / "token.json", limits=limits):
        yield Asker(folder / "token.json"), client


def events(client: Client) -> int:
    """How many events are kept."""
    return len(client._parts.vault.events())
