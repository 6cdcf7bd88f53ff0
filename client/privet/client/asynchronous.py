"""The client for apps that run an event loop: the same methods, awaited, each in a worker thread."""

from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from privet.client.client import Client

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _awaited(
    method: Callable[Concatenate[Client, _P], _T],
) -> Callable[Concatenate["AsyncClient", _P], Awaitable[_T]]:
    """A method of `Client`, in a worker thread, after those that were called before it."""

    @wraps(method)
    async def call(self: "AsyncClient", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        from asyncio import to_thread

        async with self._turn:
            return await to_thread(method, self.client, *args, **kwargs)

    return call


def _aside(
    method: Callable[Concatenate[Client, _P], _T],
) -> Callable[Concatenate["AsyncClient", _P], Awaitable[_T]]:
    """A method of `Client` that waits for a server: in a worker thread, and nobody waits for it."""

    @wraps(method)
    async def call(self: "AsyncClient", /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        from asyncio import to_thread

        return await to_thread(method, self.client, *args, **kwargs)

    return call


class AsyncClient:
    """A client whose methods are awaited; they run one after the other, in the order of the calls.

    `train_if_due` and `preview_upload`, which wait for a server, run beside the others.

    Args:
        client: An open one, such as ``await asyncio.to_thread(Client.open, ...)`` gives.

    Attributes:
        client: The same; its ``consent`` is used from here.
    """

    def __init__(self, client: Client) -> None:
        """Start nothing."""
        from asyncio import Lock  # which loads TLS and sockets; an app of its own loop has them

        self.client = client
        self._turn = Lock()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        await self.close()

    close = _awaited(Client.close)
    flush = _awaited(Client.flush)
    record = _awaited(Client.record)
    record_impressions = _awaited(Client.record_impressions)
    review = _awaited(Client.review)
    feedback = _awaited(Client.feedback)
    recommend = _awaited(Client.recommend)
    explain = _awaited(Client.explain)
    search = _awaited(Client.search)
    similar = _awaited(Client.similar)
    profile = _awaited(Client.profile)
    edit_profile = _awaited(Client.edit_profile)
    ask = _awaited(Client.ask)
    answer = _awaited(Client.answer)
    main_parameters = _awaited(Client.main_parameters)
    opt_out = _awaited(Client.opt_out)
    has_opted_out = _awaited(Client.has_opted_out)
    connect = _awaited(Client.connect)
    train_if_due = _aside(Client.train_if_due)
    preview_upload = _aside(Client.preview_upload)
    on_upload = _awaited(Client.on_upload)
    ledger = _awaited(Client.ledger)
    export = _awaited(Client.export)
    erase = _awaited(Client.erase)
