"""A Flower Grid in this process: real Messages to real ClientApps, without a SuperLink.

For tests and benchmarks of up to some thousands of devices. Flower has no public one of its own.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from privet.privacy.minimization.flower_environment import quiet_flower

quiet_flower()

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

SERVER = 1


class Node(Protocol):
    """What is behind a node's number: messages in, any number of replies out."""

    def __call__(self, message: Message) -> Iterable[Message]:
        """The replies to a message, none for a node that is silent."""


def app_node(app: ClientApp, node_id: int, config: Mapping[str, Any]) -> Node:
    """A node that calls a ClientApp with a context that lasts, as a SuperNode does."""
    context = Context(
        run_id=1, node_id=node_id, node_config=dict(config), state=RecordDict(), run_config={}
    )

    def answer(message: Message) -> Iterable[Message]:
        return [app(message, context)]

    return answer


class MemoryGrid(Grid):
    """A Grid whose nodes are callables; one is called when its replies are pulled for.

    Args:
        nodes: By their numbers.
        watch: Called with every message on its way, requests and replies.
    """

    def __init__(
        self, nodes: Mapping[int, Node], *, watch: Callable[[Message], None] | None = None
    ) -> None:
        """Take the place of a run's task, which Message() asks for."""
        self.nodes = dict(nodes)
        self._watch = watch or (lambda _: None)
        self._sent: dict[str, Message] = {}
        self._late: dict[str, list[Message]] = {}
        self._count = 0
        _identify()

    def set_run(self, run: Any) -> None:
        """There is one run only."""

    @property
    def run(self) -> Any:
        """There is none to describe."""
        raise NotImplementedError("A grid in memory has no run of a SuperLink.")

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Make a message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """The numbers of all nodes."""
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Take messages; whoever sent them may go on using their records."""
        found = []
        for message in messages:
            self._count += 1
            name = str(self._count)
            message.metadata.__dict__["_message_id"] = name
            self._sent[name] = message
            found.append(name)
        return found

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """The replies to these messages that are there."""
        found: list[Message] = []
        for name in message_ids:
            found += self._late.pop(name, [])
            message = self._sent.pop(name, None)
            if message is None or message.metadata.dst_node_id not in self.nodes:
                continue
            self._watch(message)
            replies = list(self.nodes[message.metadata.dst_node_id](_copied(message)))
            for reply in replies:
                self._count += 1
                reply.metadata.__dict__["_message_id"] = str(self._count)
                self._watch(reply)
            found += replies
        return found

    def deliver_late(self, reply: Message) -> None:
        """Let a reply be there from the next pull for its request on."""
        self._late.setdefault(reply.metadata.reply_to_message_id, []).append(reply)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Push and pull once: nodes answer when asked, or not at all."""
        return self.pull_messages(self.push_messages(messages))


def _copied(message: Message) -> Message:
    """The same message with records of its own; their arrays and bytes are shared."""
    other = copy.copy(message)
    records = {name: _renewed(record) for name, record in message.content.items()}
    other.__dict__["_content"] = RecordDict(records)
    return other


def _renewed(record: Any) -> Any:
    """A record of the same kind with the same entries."""
    return type(record)(dict(record))


def _identify() -> None:
    """Flower makes messages only within a task of its own; private, and not in every version."""
    try:
        from flwr.supercore.task_identity import TaskIdentity
    except ImportError:
        return
    for name in ("task_id", "run_id", "node_id"):
        setattr(TaskIdentity, name, SERVER)
