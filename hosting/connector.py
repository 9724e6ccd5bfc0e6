"""The one function that opens connections to servers; nothing else may build an HTTP client.

The name is resolved once, every answer is checked, and the client is pinned to one of them: what was checked
is what is connected to, however often the name changes. TLS and the Host header still see the name.
"""

import asyncio
import functools
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import ConnectError, PyreqwestError

from hosting import addresses
from hosting.addresses import AddressRefused, Origin, Policy

IDLE_CONNECTIONS_MAX = 256  # kept per client
USER_AGENT = "NeuralGate"

ASK_TIMEOUT_S = 10
ASK_BODY_BYTES_MAX = 256 * 1024

Resolver = Callable[[str, int], Awaitable[list[str]]]


class ConnectRefused(Exception):
    """No connection is made: the address is not allowed or the name not known. The words hold no secret."""


class AskFailed(Exception):
    """A question got no usable answer. The words are for the server's owner and hold no secret."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


async def open_client(base_url: str, *, guarded: bool, resolver: Resolver | None = None) -> Client:
    """A pooled HTTP client for one server; ask it only for URLs that start with `base_url`, and close it.

    guarded: the address guard applies (hosters' servers). The client then keeps the address that the name has
        now: open another one to follow the name. Without it (the operator's own providers) only the syntax is
        checked, and the client resolves the name itself whenever it connects.
    resolver: stands in for the system's in tests.
    Raises ConnectRefused.

    The client follows no redirect, uses no proxy, keeps no cookie, decompresses nothing and speaks HTTP/1.1.
    It sets a timeout for connecting only: the others belong to each request.
    """
    try:
        if not guarded:
            addresses.parse_provider_url(base_url)
            return _builder().build()
        rules = policy()
        origin = addresses.parse_base_url(base_url, rules)
        if origin.address is not None:
            return _builder().build()
        checked = await _resolve(origin, rules, resolver or system_resolver)
    except AddressRefused as refusal:
        raise ConnectRefused(str(refusal)) from None
    return _builder().resolve(origin.host, checked, origin.port).build()


async def ask(
    client: Client,
    method: str,
    url: str,
    *,
    token: str = "",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = ASK_TIMEOUT_S,
) -> Answer:
    """One bounded question outside of customers' requests: a health check, a probe at registration, a webhook.

    timeout_s: from connecting to the last byte. Of an answer other than 200 the body is not read.
    Raises AskFailed.
    """
    request = client.request(method, url).timeout(timedelta(seconds=timeout_s))
    if token:
        request = request.header("authorization", f"Bearer {token}", is_sensitive=True)
    if body is not None:
        request = request.header("content-type", "application/json").body_bytes(body)
    for name, value in (headers or {}).items():
        request = request.header(name, value)
    received = bytearray()
    try:
        async with request.build_streamed() as response:
            while response.status == 200 and (piece := await response.body_reader.read_chunk()) is not None:
                received += piece
                if len(received) > ASK_BODY_BYTES_MAX:
                    raise AskFailed(f"the answer is larger than {ASK_BODY_BYTES_MAX:,} bytes")
            return Answer(response.status, bytes(received))
    except (PyreqwestError, TimeoutError, ValueError) as error:
        raise AskFailed(_words(error, timeout_s)) from None


def policy() -> Policy:
    """What this installation allows, from its settings."""
    return _policy(
        settings.ALLOW_PRIVATE_ADDRESSES,
        settings.ALLOW_HTTP_HOSTERS,
        tuple(settings.HOSTER_NETWORKS),
        tuple(settings.ALLOWED_HOSTS),
    )


async def system_resolver(host: str, port: int) -> list[str]:
    """Every address of the name, as the operating system answers. Raises OSError when there is none."""
    answers = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(answer[4][0]) for answer in answers]


async def _resolve(origin: Origin, rules: Policy, resolver: Resolver) -> str:
    """The address to connect to, after all of them passed; IPv4 first: more servers listen there."""
    try:
        async with asyncio.timeout(settings.UPSTREAM_CONNECT_TIMEOUT_S):
            answers = await resolver(origin.host, origin.port)
    except (OSError, UnicodeError, TimeoutError):
        raise ConnectRefused(f"The name {origin.host} cannot be resolved.") from None
    if not answers:
        raise ConnectRefused(f"The name {origin.host} has no address.")
    checked = [addresses.check_address(answer, scheme=origin.scheme, policy=rules) for answer in answers]
    return str(min(checked, key=lambda address: address.version))


def _words(error: Exception, timeout_s: float) -> str:
    """What the owner of a server is told. Never the library's own text, which may repeat what was sent."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} seconds"
    if isinstance(error, ConnectError):
        return "its certificate is not valid" if "certificate" in str(error) else "no connection"
    return "the connection broke or the answer is not HTTP"


def _builder() -> ClientBuilder:
    return (
        ClientBuilder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .default_cookie_store(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .http1_only()
        .error_for_status(False)
        .connect_timeout(timedelta(seconds=settings.UPSTREAM_CONNECT_TIMEOUT_S))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
    )


@functools.cache
def _policy(allow_private: bool, allow_http: bool, networks: tuple[str, ...], own: tuple[str, ...]) -> Policy:
    return Policy(
        allow_private=allow_private,
        allow_http=allow_http,
        networks=tuple(ipaddress.ip_network(network, strict=False) for network in networks),
        own_hosts=frozenset(host.lower().strip("[]") for host in own)
        - {"*", "localhost", "127.0.0.1", "::1"},
    )
