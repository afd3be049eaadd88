"""A client of `muslin serve`. Needs httpx, which the extra `client` brings."""

from muslin.client.async_client import AsyncClient
from muslin.client.client import Client

__all__ = ["AsyncClient", "Client"]
