"""The ``privet`` command: mounts the verbs and turns errors into messages and exit codes."""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click
import typer

from privet.privacy.errors import InputError, PrivetError
from privet.simulations.commands import (
    budget,
    client,
    data,
    demo,
    doctor,
    server,
    simulate,
    sweep,
    verify,
)

app = typer.Typer(
    name="privet",
    help="Privacy-preserving federated recommenders: what does privacy cost, and against whom?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("doctor")(doctor.doctor)
app.command("demo")(demo.demo)
app.add_typer(data.app, name="data")
app.command("simulate")(simulate.simulate_command)
app.command("sweep")(sweep.sweep_command)
app.command("verify")(verify.verify_command)
app.command("budget")(budget.budget_command)
app.add_typer(server.app, name="server")
app.add_typer(client.app, name="client")

INTERRUPTED = 130
BROKEN = 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its documented code."""
    sys.exit(run(list(sys.argv[1:]) if arguments is None else list(arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; see ``docs/exit-codes.md``."""
    as_json = "--json" in arguments
    try:
        code = typer.main.get_command(app).main(
            args=list(arguments), prog_name="privet", standalone_mode=False, obj=list(arguments)
        )
        if code == INTERRUPTED:  # typer turns Ctrl-C into this
            raise KeyboardInterrupt
        return int(code or 0)
    except PrivetError as error:
        return _complain(str(error), type(error).__name__, error.exit_code, as_json=as_json)
    except click.ClickException as error:
        message = error.format_message()
        return _complain(message, InputError.__name__, error.exit_code, as_json=as_json)
    except (click.exceptions.Abort, KeyboardInterrupt):
        return _complain("Interrupted.", "Interrupted", INTERRUPTED, as_json=as_json)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        message = f"Cannot use{where or ' a file'}: {error.strerror or type(error).__name__}."
        return _complain(message, InputError.__name__, InputError.exit_code, as_json=as_json)
    except MemoryError:
        message = "Not enough memory for data or a model of this size."
        return _complain(message, "MemoryError", BROKEN, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - one clear message for whatever is left
        if os.environ.get("PRIVET_TRACEBACK"):
            traceback.print_exc()
        return _complain(_bug(error), type(error).__name__, BROKEN, as_json=as_json)


def _bug(error: Exception) -> str:
    """Where it happened; not its message, which may quote a user's data."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"This is a bug in Privet: {type(error).__name__} in {Path(last.filename).name}, line "
        f"{last.lineno}. PRIVET_TRACEBACK=1 shows more, and may show values from the data."
    )


def _complain(message: str, kind: str, code: int, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": kind, "message": message, "exit_code": code}))
    print(f"privet: {message}", file=sys.stderr)
    return code
