"""Flower's server side: the one file that knows it.

:class:`FlowerFleet` runs a step of the plan over any Flower ``Grid``: a SuperLink's, Flower's
simulation, or one in memory. Messages are queries of our own (see
:mod:`privet.privacy.minimization.envelope`); Flower's strategies, secure aggregation and
differential privacy are not used.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from secrets import SystemRandom
from typing import TYPE_CHECKING, TypeVar

from privet.models.federation import Federation
from privet.privacy.errors import InputError, TransportError
from privet.privacy.minimization.envelope import MESSAGE_TYPE, RECORD, Envelope
from privet.privacy.minimization.flower_environment import quiet_flower
from privet.privacy.secagg.primitives import SigningKey
from privet.server.courier import Deadlines, Reply
from privet.server.remote_fleet import RemoteFleet

if TYPE_CHECKING:
    from flwr.app import Context, Message
    from flwr.serverapp import Grid, ServerApp

POLL_SECONDS = 0.2
PUSHED_AT_ONCE = 64
PULLED_AT_ONCE = 16
REST_SECONDS = 0.05
_LOG = logging.getLogger("privet.server")
_T = TypeVar("_T")


class GridCourier:
    """Carries envelopes over a Grid.

    Replies are matched by the identifier of the request that they answer, never by the node that
    they claim to come from; an error reply counts as no answer.

    A Grid raises for a whole batch where one device's objects are malformed, or were confirmed
    before they were sent. So batches are small, and one that fails is tried again message by
    message. Replies that Flower had confirmed by then are lost: at most one batch's, each time.

    A look for many replies is many requests, each of which a SuperLink works at for up to 10 ms, also
    where nothing has come. So the pause after a look is as long as its requests are many.

    Args:
        grid: Of the run.
        poll_seconds: Between two looks for replies, at least.
    """

    transport = "messages between processes"

    def __init__(self, grid: "Grid", *, poll_seconds: float = POLL_SECONDS) -> None:
        """Use the grid."""
        self._grid, self._poll = grid, poll_seconds

    def nodes(self) -> Sequence[int]:
        """The nodes that are connected now.

        Raises:
            TransportError: The Grid does not answer.
        """
        try:
            return list(self._grid.get_node_ids())
        except Exception as error:
            raise TransportError(
                f"The SuperLink did not say who is connected: {type(error).__name__}. Nothing was "
                "asked of devices since; start again to go on."
            ) from error

    def exchange(self, requests: Mapping[int, Envelope], seconds: float) -> Iterator[Reply]:
        """Send each node its request, and yield replies as they come; see `Courier`."""
        deadline = time.monotonic() + seconds
        waiting: dict[str, int] = {}
        for nodes in _batches(list(requests), PUSHED_AT_ONCE):
            waiting |= self._push(nodes, requests, seconds, deadline)
        for node in requests.keys() - waiting.values():
            yield Reply(node, None)
        while waiting:
            looks = list(_batches(self._shuffled(waiting), PULLED_AT_ONCE))
            for identifiers in looks:
                for message in self._pull(identifiers, deadline):
                    found = waiting.pop(message.metadata.reply_to_message_id, None)
                    if found is not None:
                        yield Reply(found, _payload(message, requests[found]))
            left = deadline - time.monotonic()
            if left <= 0:
                return
            if waiting:
                time.sleep(min(max(self._poll, REST_SECONDS * len(looks)), left))

    def _push(
        self, nodes: list[int], requests: Mapping[int, Envelope], seconds: float, deadline: float
    ) -> dict[str, int]:
        """Send some requests; the identifiers of those that were taken, with their nodes."""
        messages = [_message(node, requests[node], seconds) for node in nodes]
        try:
            found = list(self._grid.push_messages(messages))
        except Exception as error:  # noqa: BLE001 - see GridCourier
            _LOG.warning("requests were not taken: %s", type(error).__name__)
            if len(nodes) == 1 or time.monotonic() >= deadline:
                return {}
            alone = [self._push([node], requests, seconds, deadline) for node in nodes]
            return {identifier: node for one in alone for identifier, node in one.items()}
        taken = zip(found, nodes, strict=False)
        return {identifier: node for identifier, node in taken if identifier}

    def _pull(self, identifiers: list[str], deadline: float) -> list["Message"]:
        """The replies that are there."""
        try:
            return list(self._grid.pull_messages(identifiers))
        except Exception as error:  # noqa: BLE001 - see GridCourier
            _LOG.warning("replies were not read: %s", type(error).__name__)
            if len(identifiers) == 1 or time.monotonic() >= deadline:
                return []
            return [message for one in identifiers for message in self._pull([one], deadline)]

    def _shuffled(self, waiting: Mapping[str, int]) -> list[str]:
        """In another order each time, so that nobody chooses whose batch a bad reply is in."""
        identifiers = list(waiting)
        SystemRandom().shuffle(identifiers)
        return identifiers


def _batches(everything: list[_T], size: int) -> Iterator[list[_T]]:
    for start in range(0, len(everything), size):
        yield everything[start : start + size]


def _message(node: int, request: Envelope, seconds: float) -> "Message":
    from flwr.app import ConfigRecord, Message, RecordDict

    content = RecordDict({RECORD: ConfigRecord({**request.fields})})
    return Message(
        content,
        dst_node_id=node,
        message_type=MESSAGE_TYPE,
        ttl=seconds,
        group_id=str(request.round),
    )


def _payload(message: "Message", request: Envelope) -> bytes | None:
    """The payload of a reply to this request; None for an error and for anything else."""
    if message.has_error() or set(message.content) != {RECORD}:
        return None
    try:
        reply = Envelope.from_fields(dict(message.content.config_records[RECORD]))
    except (InputError, KeyError):
        return None
    return reply.payload if reply == request.reply(reply.payload) else None


class FlowerFleet(RemoteFleet):
    """A fleet of devices that a Flower Grid reaches.

    Args:
        grid: Of the run.
        federation: Constants that every device pinned.
        key: The server's, whose public half is in the federation.
        allowed: Identities that may take part, with their public numbers; see `Enrolment`.
        deadlines: How long to wait for what.
        poll_seconds: Between two looks for replies, at least.
    """

    def __init__(
        self,
        grid: "Grid",
        *,
        federation: Federation,
        key: SigningKey,
        allowed: Mapping[bytes, int] | None = None,
        deadlines: Deadlines | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """Know nobody yet."""
        super().__init__(
            GridCourier(grid, poll_seconds=poll_seconds),
            federation=federation,
            key=key,
            allowed=allowed,
            deadlines=deadlines,
        )


def server_app(coordinate: Callable[["Grid", Mapping[str, object]], object]) -> "ServerApp":
    """A ServerApp that runs a federation over the Grid that Flower gives it.

    Args:
        coordinate: Opens the run's store, makes a `FlowerFleet` of the Grid and runs the
            coordinator; it can be run again after a crash and goes on where it was. Gets the Grid
            and the run's configuration (``--run-config``).
    """
    quiet_flower()
    from flwr.serverapp import ServerApp

    app = ServerApp()

    @app.main()
    def main(grid: "Grid", context: "Context") -> None:
        coordinate(grid, context.run_config)

    return app
