"""Nothing opens a connection: no module imports what could, and a run opens none."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ["client", "models", "privacy", "server", "simulations"]

# Modules that may talk to the network, each with the reason. A device's transport must take
# nothing but what the gate admitted, so one under client/ must import Admitted or AdmittedMessage.
TRANSPORTS: dict[str, str] = {
    "client/privet/client/embedded/transport.py": "an app's device speaks HTTPS to its server",
    "client/privet/client/flower_app.py": "the ClientApp, which a SuperNode runs",
    "server/privet/server/flower.py": "the server's side of a federation over Flower",
    "server/privet/server/superlink.py": "starts the SuperLink and speaks to it, on the same machine",
    "simulations/privet/simulations/flower_devices.py": "hands devices to the actors of Ray",
    "simulations/privet/simulations/flower_engine.py": "starts Ray, or connects to a cluster of it",
    "simulations/privet/simulations/flower_app.py": "for the types of Flower's Grid",
    "simulations/privet/simulations/flower_fleet.py": "for the types of Flower's Grid",
    "simulations/privet/simulations/memory_grid.py": "a Grid in memory, for Flower's messages",
}

# Modules that only listen, on the loopback interface: they may accept, and connect nowhere.
LISTENERS: dict[str, str] = {
    "client/privet/client/sidecar/handler.py": "one request of an app on the same device",
    "client/privet/client/sidecar/server.py": "apps on the same device, in other languages",
    "simulations/privet/simulations/loopback_https.py": "apps' tests play a federation",
}
CONNECTS = ("connect", "create_connection", "sendto", "getaddrinfo", "getfqdn", "gethostby")

# Modules that need one of these names for something that opens no connection.
HARMLESS = {
    *("urllib.parse", "http.HTTPStatus", "importlib.metadata", "importlib.resources"),
    *("asyncio.Lock", "asyncio.to_thread"),
}

NETWORK = {
    *("socket", "_socket", "ssl", "_ssl", "http", "urllib", "asyncio", "selectors", "select"),
    *("socketserver", "ftplib", "smtplib", "poplib", "imaplib", "nntplib", "telnetlib", "xmlrpc"),
    *("wsgiref", "webbrowser", "urllib3", "requests", "httpx", "aiohttp", "httpcore", "h2"),
    *("websockets", "websocket", "grpc", "flwr", "ray", "zmq", "paramiko", "twisted", "tornado"),
    *("trio", "anyio", "uvloop", "pycurl", "dns", "fastapi", "flask", "uvicorn", "starlette"),
}
# What could reach the network by a detour: another process, a foreign function, a shared queue.
DETOURS = {"subprocess", "pty", "ctypes", "cffi", "_posixsubprocess", "multiprocessing"}
STARTERS = ("os.system", "os.popen", "os.fork", "os.exec", "os.spawn", "os.posix_spawn")


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _names(tree: ast.AST) -> Iterator[str]:
    """Every module that a source file imports, by statement or by name at run time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            first = node.args[0] if node.args else None
            known = isinstance(first, ast.Constant) and isinstance(first.value, str)
            yield first.value if known else "an import of a computed name"  # type: ignore[union-attr]
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)  # os.system and its like


def forbidden(source: str) -> list[str]:
    """What a source file imports that could open a connection."""
    return [
        name
        for name in _names(ast.parse(source))
        if (name.split(".")[0] in NETWORK | DETOURS or name.startswith(("an import", *STARTERS)))
        and name not in HARMLESS
        and name.rpartition(".")[0] not in HARMLESS
    ]


def sources() -> dict[str, str]:
    files = (file for part in PARTS for file in (ROOT / part).rglob("*.py"))
    return {str(file.relative_to(ROOT)): file.read_text() for file in files}


def test_only_listed_modules_import_what_could_open_a_connection() -> None:
    found = {path: forbidden(source) for path, source in sources().items()}
    assert len(found) > 80  # or the walk over the sources found nothing
    known = TRANSPORTS.keys() | LISTENERS.keys()
    assert {path: names for path, names in found.items() if names and path not in known} == {}


def test_listed_listeners_exist_need_it_and_call_nothing_that_connects() -> None:
    found = sources()
    for path, reason in LISTENERS.items():
        assert reason and forbidden(found[path]), f"{path} needs no exception any more"
        calls = [_called(n) for n in ast.walk(ast.parse(found[path])) if isinstance(n, ast.Call)]
        assert not any(name.startswith(CONNECTS) for name in calls), path


def test_listed_transports_exist_need_it_and_take_only_what_the_gate_admitted() -> None:
    found = sources()
    for path, reason in TRANSPORTS.items():
        assert reason and forbidden(found[path]), f"{path} needs no exception any more"
        if path.startswith("client/"):
            assert "Admitted" in found[path], f"{path} sends what no gate admitted"


@pytest.mark.parametrize(
    "source",
    [
        "import socket",
        "import urllib.request as r",
        "from urllib import request",
        "from http.client import HTTPSConnection",
        "from urllib.request import urlopen",
        "import os, ssl",
        "def f():\n    import asyncio",
        "try:\n    import httpx\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('socket')",
        "from importlib import import_module\nimport_module(name)",
        "__import__('http.client')",
        "import subprocess",
        "from ctypes import CDLL",
        "import os\nos.system('curl')",
        "from os import system",
        "import os\nos.execvp('curl', [])",
        "from multiprocessing.connection import Client",
    ],
)
def test_the_search_finds_an_import_however_it_is_written(source: str) -> None:
    assert forbidden(source)


@pytest.mark.parametrize(
    "source",
    ["from urllib.parse import urlsplit", "import urllib.parse", "import json", "from . import x"],
)
def test_the_search_lets_harmless_imports_be(source: str) -> None:
    assert forbidden(source) == []


WATCH = """
import json, sys

seen = []


def hook(event, arguments):
    network = event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib."))
    process = event in {"os.system", "subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec"}
    if network or process or event.startswith("webbrowser."):
        seen.append(event)


sys.addaudithook(hook)
from privet.simulations import cli

code = cli.run(sys.argv[1:])
{EXTRA}
sys.stdout.flush()
print("\\n" + json.dumps({"code": code, "seen": seen}))
"""


def watched(*arguments: str, extra: str = "", cwd: Path) -> list[str]:
    """Audit events of a command that could be a connection or another process."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH.replace("{EXTRA}", extra), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        cwd=cwd,
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["code"] == 0, done.stdout + done.stderr
    return list(result["seen"])


def test_a_whole_simulation_opens_no_socket_and_starts_no_process(tmp_path: Path) -> None:
    world = str(tmp_path / "world.privet")
    small = ("--users", "150", "--items", "40")
    assert watched("data", "synthesize", "--out", world, *small, cwd=tmp_path) == []
    assert watched("simulate", world, "--out", "run", cwd=tmp_path) == []
    assert (tmp_path / "run" / "report.html").is_file()
    assert watched("verify", "run", cwd=tmp_path) == []


def test_the_watch_sees_a_connection_and_a_process(tmp_path: Path) -> None:
    extra = """
import os, socket, subprocess
socket.socket().close()
os.system("true")
subprocess.run(["true"])
"""
    seen = watched("doctor", extra=extra, cwd=tmp_path)
    assert {"socket.__new__", "os.system", "subprocess.Popen"} <= set(seen)
