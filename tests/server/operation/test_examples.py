"""The examples for systemd and containers: what is started again, and who sees which key."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from privet.privacy import errors

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "server" / "examples"
UNIT, COMPOSE = EXAMPLES / "privet-server.service", EXAMPLES / "compose.yaml"
ANALYZE = shutil.which("systemd-analyze")


def test_a_server_is_started_again_only_where_that_helps() -> None:
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.PrivetError)
    }
    (line,) = re.findall("^RestartPreventExitStatus=(.*)$", UNIT.read_text(), re.MULTILINE)
    helps = {errors.PrivetError.exit_code, errors.TransportError.exit_code}
    assert {int(code) for code in line.split()} == codes - helps


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/privet/bin/privet", sys.executable))
    found = subprocess.run(
        [str(ANALYZE), "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert UNIT.name not in found.stderr


def test_the_proxy_sees_no_key_but_the_certificates() -> None:
    _, proxy = COMPOSE.read_text().split("  proxy:")
    mounted = set(re.findall(r"- \./federation/?(\S*):/", proxy))
    assert mounted == {"tls/server.pem", "tls/server.key", "tls/authority.pem"}


def test_an_image_holds_what_is_installed_and_nothing_that_lies_beside_it() -> None:
    copied = re.findall("^COPY (.*) [^ ]+$", (EXAMPLES / "Dockerfile").read_text(), re.MULTILINE)
    found = {ROOT / name for line in copied for name in line.split()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {path for path in found if path.is_dir()} == {ROOT / name for name in packages}
    assert all(path.exists() for path in found)
    assert {ROOT / name for name in (project["project"]["readme"], "LICENSE")} <= found
