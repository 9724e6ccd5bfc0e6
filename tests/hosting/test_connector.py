"""Connections to servers: what was checked is what is connected to, and nothing else."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyreqwest.client import Client

from hosting import connector
from hosting.connector import AskFailed, ConnectRefused, ask, open_client
from tests import fakes


class FakeResolver:
    """Answers one list after the other, the last one for ever; counts the questions."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def strict(settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = settings.ALLOW_HTTP_HOSTERS = False
    settings.HOSTER_NETWORKS = []


@pytest.fixture
def server() -> Iterator[fakes.FakeServer]:
    made = fakes.FakeServer(fakes.model(), token="")
    yield made
    made.stop()


async def fetch(base_url: str, path: str = "/v1/models", **options: Any) -> int:
    async with await open_client(base_url, guarded=True, **options) as client:
        return (await ask(client, "GET", base_url + path)).status


def test_the_client_is_pinned_to_the_address_and_keeps_the_name(server: fakes.FakeServer) -> None:
    resolver = FakeResolver(["127.0.0.1"], ["203.0.113.9"])
    base_url = f"http://gpu.good.com:{server.port}"

    async def scenario() -> None:
        async with await open_client(base_url, guarded=True, resolver=resolver) as client:
            for _ in range(20):
                assert (await ask(client, "GET", f"{base_url}/v1/models")).status == 200

    asyncio.run(scenario())
    assert resolver.asked == ["gpu.good.com"]
    assert {request.headers["host"] for request in server.requests} == {f"gpu.good.com:{server.port}"}
    assert server.requests[0].headers["user-agent"] == "NeuralGate"
    assert "accept-encoding" not in server.requests[0].headers


@pytest.mark.parametrize(
    "inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "rubbish"]
)
@pytest.mark.parametrize("beside", [[], ["8.8.8.8"], ["2606:4700::1111"]])
def test_one_forbidden_answer_refuses_the_name(
    strict: None, monkeypatch: pytest.MonkeyPatch, inside: str, beside: list[str]
) -> None:
    monkeypatch.setattr(connector, "_builder", _must_not_be_called)
    for answers in ([*beside, inside], [inside, *beside]):
        with pytest.raises(ConnectRefused):
            asyncio.run(_open("https://gpu.good.com:8443", FakeResolver(answers)))


@pytest.mark.parametrize("flip_at", [2, 10, 1_000])
def test_a_name_that_flips_inside_is_refused_at_that_connect(
    strict: None, server: fakes.FakeServer, flip_at: int
) -> None:
    answers = [["8.8.8.8"]] * (flip_at - 1) + [["127.0.0.1"]]
    resolver = FakeResolver(*answers)
    base_url = f"https://gpu.good.com:{server.port}"

    async def scenario() -> None:
        for _ in range(flip_at - 1):
            await connector._resolve(
                connector.addresses.parse_base_url(base_url), connector.policy(), resolver
            )
        with pytest.raises(ConnectRefused):
            await open_client(base_url, guarded=True, resolver=resolver)

    asyncio.run(scenario())
    assert server.requests == []


@pytest.mark.parametrize("failure", [socket.gaierror("no such name"), UnicodeError("idna"), TimeoutError()])
def test_a_name_that_cannot_be_resolved_is_refused_in_words(strict: None, failure: Exception) -> None:
    with pytest.raises(ConnectRefused, match=r"gpu\.good\.com cannot be resolved"):
        asyncio.run(_open("https://gpu.good.com", FakeResolver(failure)))
    with pytest.raises(ConnectRefused, match="no address"):
        asyncio.run(_open("https://gpu.good.com", FakeResolver([])))


def test_a_slow_name_server_is_not_waited_for(strict: None, settings: Any) -> None:
    settings.UPSTREAM_CONNECT_TIMEOUT_S = 0.05

    async def slow(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return ["8.8.8.8"]

    with pytest.raises(ConnectRefused):
        asyncio.run(_open("https://gpu.good.com", slow))


def test_a_forbidden_literal_is_refused_without_asking_anybody(strict: None) -> None:
    resolver = FakeResolver(["8.8.8.8"])
    for base_url in ("https://127.0.0.1:8443", "https://127.1", "https://[::1]", "http://8.8.8.8:8000"):
        with pytest.raises(ConnectRefused):
            asyncio.run(_open(base_url, resolver))
    assert resolver.asked == []


def test_the_operators_own_providers_are_not_guarded(strict: None, server: fakes.FakeServer) -> None:
    async def scenario() -> int:
        async with await open_client(f"{server.base_url}/v1", guarded=False) as client:
            return (await ask(client, "GET", f"{server.base_url}/v1/models")).status

    assert asyncio.run(scenario()) == 200
    with pytest.raises(ConnectRefused):
        asyncio.run(open_client("https://user:pw@good.com", guarded=False))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server: fakes.FakeServer, status: int) -> None:
    other = fakes.FakeServer(fakes.model(), token="")
    server.script = fakes.plain(status, {}, extra=f"location: {other.base_url}/v1/models\r\n")
    assert asyncio.run(fetch(server.base_url)) == status
    assert other.requests == []
    other.stop()


def test_proxy_variables_are_ignored(monkeypatch: pytest.MonkeyPatch, server: fakes.FakeServer) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert asyncio.run(fetch(server.base_url)) == 200


def test_answers_are_bounded_in_size_and_time(server: fakes.FakeServer) -> None:
    async def question(**options: Any) -> None:
        async with await open_client(server.base_url, guarded=True) as client:
            await ask(client, "GET", f"{server.base_url}/v1/models", **options)

    server.script = fakes.raw(fakes.http(200, "text/plain", b"x" * (connector.ASK_BODY_BYTES_MAX + 1)))
    with pytest.raises(AskFailed, match="larger than"):
        asyncio.run(question())
    server.script = fakes.silent()
    with pytest.raises(AskFailed, match=r"no answer within 0\.2 seconds"):
        asyncio.run(question(timeout_s=0.2))
    server.script = fakes.raw(b"SSH-2.0-OpenSSH\r\n", then_close=True)
    with pytest.raises(AskFailed, match="not HTTP"):
        asyncio.run(question())


def test_what_went_wrong_is_told_without_the_token() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound, but nobody listens

        async def scenario() -> None:
            base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with await open_client(base_url, guarded=True) as client:
                await ask(client, "GET", base_url, token="ngs_secret")

        with pytest.raises(AskFailed, match="no connection") as failure:
            asyncio.run(scenario())
    assert "ngs_secret" not in str(failure.value)


def test_a_certificate_must_be_trusted_and_tls_asks_for_the_name(tmp_path: Path) -> None:
    names: list[str | None] = []
    _self_signed("gpu.good.com", tmp_path / "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    async def scenario() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
        async with server:
            base_url = f"https://gpu.good.com:{server.sockets[0].getsockname()[1]}"
            await fetch(base_url, resolver=FakeResolver(["127.0.0.1"]))

    with pytest.raises(AskFailed, match="certificate is not valid"):
        asyncio.run(scenario())
    assert names == ["gpu.good.com"]


async def _open(base_url: str, resolver: connector.Resolver) -> Client:
    return await open_client(base_url, guarded=True, resolver=resolver)


def _must_not_be_called() -> None:
    raise AssertionError("a client was made for a forbidden address")


def _self_signed(host: str, file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
