"""The names that apps import from `privet.client`."""

from privet.client.asynchronous import AsyncClient
from privet.client.client import Client
from privet.client.learning.published import Published
from privet.client.policy import Policy
from privet.client.rights.notice import Notice
from privet.client.vault.kept_key import KeyFile, KeyringKey
from privet.client.vault.key_source import HostKey, Passphrase
from privet.models.catalogue import Catalogue

__all__ = [
    "AsyncClient",
    "Catalogue",
    "Client",
    "HostKey",
    "KeyFile",
    "KeyringKey",
    "Notice",
    "Passphrase",
    "Policy",
    "Published",
]
