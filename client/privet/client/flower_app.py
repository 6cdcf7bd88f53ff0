"""Flower's client side: the one file that knows it.

A SuperNode runs each message in a process of its own and hands the app a context that lasts for the
run, so a round of secure aggregation, with its secrets, is kept in that context's state, which
stays in the SuperNode's memory. An app of a few lines is enough::

    from privet.client.flower_app import client_app

    app = client_app(open_device)  # your own: from the node's configuration to a `DeviceSession`

Whatever an app raises, Flower sends to the server, text and all. So this one never raises, and its
"no answer" is the same for every reason.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from privet.privacy.minimization.envelope import (
    ACTION,
    NO_ANSWER,
    NO_ANSWER_CODE,
    RECORD,
    Envelope,
)
from privet.privacy.minimization.flower_environment import quiet_flower
from privet.privacy.minimization.gate import AdmittedMessage
from privet.privacy.minimization.messages import scrub

if TYPE_CHECKING:
    from flwr.app import Context, Message
    from flwr.clientapp import ClientApp

_STATE, _ROUND = "privet", "round"
_LOG = logging.getLogger("privet.client")


class Session(Protocol):
    """A device's answers, and what is to be kept between them: a `DeviceSession` or its like."""

    def resume(self, data: bytes) -> None:
        """Go on where `suspend` left off; from the beginning if there is nothing."""

    def answer(self, request: Envelope) -> AdmittedMessage | None:
        """What the gate admitted, or None for silence."""

    def suspend(self) -> bytes:
        """What another process needs to go on."""


OpenSession = Callable[[Mapping[str, object]], Session]
"""Opens the device that a node's configuration (``--node-config``) names."""


def client_app(open_session: OpenSession, *, lasting: bool = False) -> "ClientApp":
    """A ClientApp for one device a node.

    Args:
        open_session: Called for every message.
        lasting: True where ``open_session`` gives the same session for every message of a node,
            so that nothing is to be kept between them.
    """
    quiet_flower()
    from flwr.clientapp import ClientApp

    app = ClientApp()

    @app.query(ACTION)
    def answer(message: "Message", context: "Context") -> "Message":
        try:
            request = Envelope.from_fields(dict(message.content.config_records[RECORD]))
            session = open_session(context.node_config)
            if not lasting:
                session.resume(_kept(context))
            admitted = session.answer(request)
            if not lasting:
                _keep(context, session.suspend())
            return _reply(message, request, admitted)
        except Exception as error:  # noqa: BLE001 - Flower would send its text
            _LOG.info("no answer to a message: %s", scrub(error))
            return _no_answer(message)

    return app


def _reply(message: "Message", request: Envelope, admitted: AdmittedMessage | None) -> "Message":
    from flwr.app import ConfigRecord, Message, RecordDict

    if admitted is None:
        return _no_answer(message)
    fields = request.reply(admitted.payload).fields
    return Message(RecordDict({RECORD: ConfigRecord({**fields})}), reply_to=message)


def _no_answer(message: "Message") -> "Message":
    from flwr.app import Error, Message

    return Message(Error(code=NO_ANSWER_CODE, reason=NO_ANSWER), reply_to=message)


def _kept(context: "Context") -> bytes:
    record = context.state.config_records.get(_STATE)
    kept = b"" if record is None else record[_ROUND]
    return kept if isinstance(kept, bytes) else b""


def _keep(context: "Context", data: bytes) -> None:
    from flwr.app import ConfigRecord

    context.state[_STATE] = ConfigRecord({_ROUND: data})
