"""The asynchronous client has all methods of the other one, in order and off the event loop."""

import asyncio
import inspect
import threading
from pathlib import Path

from tests.client.app.world import consenting, topic_of

from privet.client.asynchronous import AsyncClient
from privet.client.client import Client


def test_it_has_every_public_method_with_the_same_arguments() -> None:
    methods = {
        name
        for name, found in vars(Client).items()
        if not name.startswith("_") and inspect.isfunction(found)
    }
    assert len(methods) > 8
    for name in methods:
        twin = getattr(AsyncClient, name)
        assert inspect.iscoroutinefunction(twin)
        assert inspect.signature(twin) == inspect.signature(getattr(Client, name))
        assert twin.__doc__ == getattr(Client, name).__doc__


def test_calls_run_in_their_order_in_other_threads(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncClient(consenting(tmp_path / "me.db")) as client:
            threads = set()
            inner = client.client._parts.memory.record

            def record(*events: object) -> None:
                threads.add(threading.current_thread())
                inner(*events)  # type: ignore[arg-type]

            client.client._parts.memory.record = record  # type: ignore[method-assign,assignment]
            recorded = asyncio.gather(
                *(client.record("like", f"tt{4 * n + 1:04d}") for n in range(5))
            )
            listed = asyncio.ensure_future(client.recommend(5))
            await recorded
            found = await listed
            assert {topic_of(r.item) for r in found} == {"Horror"}
            assert threading.current_thread() not in threads and threads

    asyncio.run(use())


def test_threads_of_an_app_may_share_a_client(tmp_path: Path) -> None:
    with consenting(tmp_path / "me.db") as client:

        def use(start: int) -> None:
            for n in range(start, start + 5):
                client.record("view", f"tt{n:04d}")
                assert client.recommend(3)

        threads = [threading.Thread(target=use, args=(10 * n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.erase(all=True).store.events == 15
