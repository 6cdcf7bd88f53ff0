"""A network that delays, stalls, cuts and refuses, between devices and a server, for benchmarks.

A relay of TCP connections in a process of its own. What a lost packet does to TCP, it does to a
chunk of bytes: it comes later, and whatever is behind it too.
"""

import asyncio
import mmap
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.federation.live import fork, kill
from tests.superlink import HOST, free_port

_COUNTS = ("connections", "stalls", "cuts", "refusals")


@dataclass(frozen=True, kw_only=True)
class Weather:
    """What the network does.

    Attributes:
        delay: Seconds by which each chunk comes later, each way; half as much again at random.
        stall: Probability that a chunk is lost and comes a retransmission later, 0.2 to 1 s.
        cut: Probability that the connection ends in the middle of a chunk.
        refuse: Probability that a new connection is hung up on.
        dark_seconds: How long nothing passes once `Relay.darken` was called.
    """

    delay: float = 0.0
    stall: float = 0.0
    cut: float = 0.0
    refuse: float = 0.0
    dark_seconds: float = 0.0


@dataclass(kw_only=True)
class Relay:
    """A port on loopback behind which the server is, in some weather."""

    server_port: int
    weather: Weather
    folder: Path
    port: int = field(default_factory=free_port)
    process: int = 0

    def __post_init__(self) -> None:
        """Share the counts with the process to come."""
        self._counts = np.frombuffer(mmap.mmap(-1, 8 * len(_COUNTS)), np.int64)
        self._dark = self.folder / "dark"

    def start(self) -> None:
        """Start its process."""
        self.process = fork(lambda: asyncio.run(self._serve()), self.folder / "relay.log")

    def stop(self) -> None:
        """Kill its process."""
        kill(self.process)

    def darken(self) -> None:
        """From now on nothing passes, for as long as the weather says."""
        self._dark.touch()

    @property
    def counts(self) -> str:
        """What it did."""
        pairs = zip(_COUNTS, self._counts.tolist(), strict=True)
        return ", ".join(f"{count} {name}" for name, count in pairs if count)

    def _count(self, name: str) -> None:
        self._counts[_COUNTS.index(name)] += 1

    @property
    def _is_dark(self) -> bool:
        with suppress(FileNotFoundError):
            return time.time() - self._dark.stat().st_mtime < self.weather.dark_seconds
        return False

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, HOST, self.port)
        await server.serve_forever()

    async def _accept(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._count("connections")
        ends = [back]
        try:
            if self._is_dark or random.random() < self.weather.refuse:
                self._count("refusals")
                return
            far, forth = await asyncio.open_connection(HOST, self.server_port)
            ends.append(forth)
            ways = [asyncio.create_task(self._carry(*way)) for way in ((near, forth), (far, back))]
            _, left = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in left:
                way.cancel()
        except OSError:
            pass
        finally:
            for end in ends:
                end.close()

    async def _carry(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        weather = self.weather
        with suppress(OSError):
            while data := await source.read(1 << 16):
                if self._is_dark:
                    self._count("cuts")
                    return
                if weather.delay:
                    await asyncio.sleep(random.uniform(1.0, 1.5) * weather.delay)
                if random.random() < weather.stall:
                    self._count("stalls")
                    await asyncio.sleep(random.uniform(0.2, 1.0))
                cut = random.random() < weather.cut
                to.write(data[: len(data) // 2] if cut else data)
                await to.drain()
                if cut:
                    self._count("cuts")
                    return
