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


class AsyncClient:
    """A client whose methods are awaited; they run one after the other, in the order of the calls.

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
    feedback = _awaited(Client.feedback)
    recommend = _awaited(Client.recommend)
    explain = _awaited(Client.explain)
    search = _awaited(Client.search)
    similar = _awaited(Client.similar)
    export = _awaited(Client.export)
    erase = _awaited(Client.erase)
