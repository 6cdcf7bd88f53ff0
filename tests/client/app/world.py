"""Clients for tests: a small catalogue with topics, a clock that is set by hand."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privet.client.client import Client
from privet.client.vault.key_source import HostKey
from privet.models.catalogue import Catalogue

KEY = HostKey(bytes(range(32)))
NOW = 1_700_000_000
TOPICS = ("Comedy", "Horror", "Western", "Space")
WORDS = (
    "laughs jokes farce clown banter",
    "screams ghosts blood crypt dread",
    "cowboys desert saloon horses duel",
    "rockets planets aliens orbit comet",
)


def catalogue(items: int = 40) -> Catalogue:
    """Items whose topic is their number's remainder; each has two of its topic's words."""
    titles, topics = [], []
    for n in range(items):
        words = WORDS[n % 4].split()
        titles.append(f"{words[n // 4 % 5]} and {words[(n // 4 + 1 + n // 20) % 5]} {n}")
        topics.append((TOPICS[n % 4],))
    return Catalogue(
        item_ids=tuple(f"tt{n:04d}" for n in range(items)),
        titles=tuple(titles),
        categories=tuple(topics),
        years=tuple(1980 + n for n in range(items)),
    )


CATALOGUE = catalogue()


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


def opened(path: Path, **options: Any) -> Client:
    """A client on a store, new if there is none; nothing is agreed to."""
    given: dict[str, Any] = {"catalogue": CATALOGUE, "key": KEY, "clock": Clock()} | options
    return Client.open(path, **given)


def consenting(path: Path, **options: Any) -> Client:
    """A client of a user who has agreed to personalize."""
    client = opened(path, **options)
    client.consent.grant("personalize")
    return client


def topic_of(item: str) -> str:
    """The topic of an item of the catalogue."""
    return TOPICS[int(item.removeprefix("tt")) % 4]


def bytes_of(folder: Path) -> bytes:
    """Every byte of every file of a folder, and the files' names."""
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    return b"|".join(file.name.encode() + b":" + file.read_bytes() for file in files)
