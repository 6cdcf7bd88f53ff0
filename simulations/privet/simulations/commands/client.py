"""``privet client``: a device of a federation, for desktops, gateways and tests."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from privet.client.consent import Terms, terms_of
from privet.client.membership import REQUEST, Membership, join
from privet.client.running import answer_until
from privet.client.session import DeviceSession
from privet.models.invitation import MAX_BYTES, Invitation
from privet.models.known import model_of
from privet.privacy.errors import InputError, PrivacyError
from privet.privacy.report.text import rounded_up
from privet.simulations.commands import options as o
from privet.simulations.commands.console import console, print_json
from privet.simulations.commands.sidecar import sidecar_command
from privet.simulations.data.csv import read_catalogue
from privet.simulations.data.own_history import read_own_history

app = typer.Typer(help="A device of a federation.", no_args_is_help=True)
app.command("sidecar")(sidecar_command)


@app.command("join")
def join_command(
    invitation: Annotated[Path, typer.Argument(help="The invitation, from a way that you trust.")],
    directory: Annotated[Path, typer.Argument(help="A directory that is not there yet.")],
    yes: Annotated[bool, typer.Option("--yes", help="Agree without being asked.")] = False,
    json: o.Json = False,
) -> None:
    """Show what leaves this device, ask, and make its keys and its request."""
    with invitation.open("rb") as file:
        found = Invitation.from_bytes(file.read(MAX_BYTES + 1))
    terms = terms_of(found)
    if not json:
        _explain(terms)
    if not yes:
        if json or not sys.stdin.isatty():
            raise InputError("Nobody is there to ask: say --yes to agree. Nothing was made.")
        if not typer.confirm("Do you agree?", default=False):
            raise InputError("You did not agree. Nothing was made.")
    join(found, directory)
    if json:
        print_json(
            {**terms.to_dict(), "directory": str(directory), "request": str(directory / REQUEST)}
        )
        return
    console.print(
        f"Joined. Give {directory / REQUEST} to the operator; it holds public keys only. Then\n"
        f"  privet client run {directory} --data FILE --catalogue FILE",
        soft_wrap=True,
    )


@app.command("run")
def run_command(
    directory: Annotated[Path, typer.Argument(help="The device's directory.")],
    data: Annotated[
        Path, typer.Option("--data", help="CSV of your events: item_id,weight,datetime.")
    ],
    catalogue: Annotated[Path, typer.Option("--catalogue", help="The federation's items, CSV.")],
    once: Annotated[bool, typer.Option("--once", help="End when a new model is there.")] = False,
    json: o.Json = False,
) -> None:
    """Answer the server, until it is stopped."""
    membership = Membership.open(directory)
    try:
        plan = membership.invitation.plan
        items, _ = read_catalogue(catalogue)
        if items.hash != plan.catalogue_hash:
            raise PrivacyError("This is another catalogue than the plan's. Nothing was sent.")
        history = read_own_history(data, items, membership.request.number)
        session = DeviceSession(membership.device(model_of(plan), history))
        first = membership.models.held
        done = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: done.set())

        def until() -> bool:
            now = membership.models.held if once else None
            fresh = now is not None and (first is None or now.decision > first.decision)
            return done.is_set() or fresh

        outcomes = answer_until(membership, session, until, wait=done.wait)
        held = membership.models.held
    finally:
        membership.close()
    body = {
        "answered": outcomes["answered"],
        "refused": outcomes["refused"],
        "version": None if held is None else held.version,
        "state_hash": None if held is None else held.state_hash,
    }
    if json:
        print_json(body)
        return
    console.print(
        f"Answered {body['answered']} times, refused {body['refused']} times. Model: "
        f"{body['version'] or 'none'}."
    )


def _explain(terms: Terms) -> None:
    console.print(f"[bold]{terms.name}[/] asks this device to take part.", soft_wrap=True)
    console.print(f"It speaks to {terms.server} and to nobody else. {terms.trust}", soft_wrap=True)
    console.print("What may leave, and nothing else:")
    for message in terms.messages:
        what = "made from your history, with noise" if message.private else "not from your history"
        often = f", at most {terms.answers} times" if message.private else ""
        console.print(
            f"  {message.step}: {message.size_bytes} bytes, {what}{often}", soft_wrap=True
        )
        for field, purpose in message.fields:
            console.print(f"    {field}: {purpose}", soft_wrap=True)
    console.print(
        "What that tells (epsilon; smaller tells less), in one run, and if everything were asked "
        f"for {terms.answers} times, at delta {terms.delta:g}:",
        soft_wrap=True,
    )
    for who, epsilon, most in terms.epsilons:
        if epsilon is None or most is None:
            console.print(f"  {who}: no guarantee", soft_wrap=True)
        else:
            console.print(
                f"  {who}: {rounded_up(epsilon)[0]}, at most {rounded_up(most)[0]}", soft_wrap=True
            )
    console.print(
        f"Plan {terms.plan_hash}\nPolicy {terms.policy_hash}\nThe device checks both whenever it is "
        "asked for something, and counts its answers itself.",
        soft_wrap=True,
    )
