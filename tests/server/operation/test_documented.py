"""What the commands of a federation print as JSON is what the document says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.docs.test_documents import CLI, _names, _sections, _table
from tests.server.operation.federation import CATALOGUE, settings

from privet.server.operation.directory import Directory
from privet.server.operation.settings import write_settings
from privet.server.registry import Origin
from privet.simulations import cli


def documented(name: str) -> set[str]:
    return _names(_table(_sections(CLI)[name], "JSON field"))


def test_json_fields_are_those_that_are_documented(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(name: str, *arguments: str | Path) -> dict[str, Any]:
        capsys.readouterr()
        assert cli.run([*name.split()[1:], *map(str, arguments), "--json"]) == 0
        body = json.loads(capsys.readouterr().out)
        expected = "privet budget" if name == "privet server budget" else name
        assert set(body) == documented(expected), name
        assert isinstance(body, dict)
        return body

    server, items, wanted = (tmp_path / name for name in ("server", "items.csv", "wanted.toml"))
    items.write_text("item_id\n" + "\n".join(CATALOGUE.item_ids) + "\n")
    wanted.write_text(write_settings(settings()))
    printed("privet server init", server, "--settings", wanted)
    invitation = printed("privet server invite", server, "--catalogue", items)["invitation"]
    joined = printed("privet client join", invitation, tmp_path / "device", "--yes")
    printed("privet server enrol", server, joined["request"])
    printed("privet server certificate", server)
    publish(server)
    printed("privet server models", server)
    assert printed("privet server rollout", server, "1", "100")["candidate"] == 1
    assert printed("privet server rollout", server, "1", "1000")["stable"] == 1
    assert printed("privet server rollout", server, "2", "1000")["stable"] == 2
    assert printed("privet server rollback", server)["stable"] == 1
    printed("privet server budget", server)
    printed("privet server status", server)


def publish(server: Path) -> None:
    """Two models, as two runs would."""
    place = Directory(server)
    registry, plan = place.registry(), place.invitation.plan
    for run in ("1", "2"):
        origin = Origin(
            model=plan.model,
            run=run,
            plan_hash=plan.hash,
            catalogue_hash=plan.catalogue_hash,
            ledger_length=5,
            ledger_head="0" * 64,
            private=True,
        )
        registry.publish({"popularity": np.full(3, float(run))}, origin)
    registry.close()
