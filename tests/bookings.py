"""Calls booked by the two trips themselves, for tests of what reads them. The clock is the books'."""

import os
import uuid
from dataclasses import dataclass

from django.db import connection

from billing import ledger
from billing.models import LedgerAccount
from hosting.models import HostedModel, Hoster, Server
from tests import factories
from tests.factories import Person

BOOT = uuid.uuid4()
FEE_BPS = 2_000
EARNINGS_HOLD_S = 86_400
HOLD_EXPIRY_S = 1_200

ADMIT = """
SELECT status, hold FROM routing_admit(
    ARRAY[%(id)s], ARRAY[%(digest)s], ARRAY[%(model)s], ARRAY[%(input)s]::bigint[],
    ARRAY[%(output)s]::bigint[], ARRAY[true], ARRAY[1], ARRAY[%(price_in)s]::bigint[],
    ARRAY[%(price_out)s]::bigint[], ARRAY[%(prices_in)s], ARRAY[%(prices_out)s], ARRAY[%(payees)s],
    ARRAY[%(servers)s], ARRAY[%(versions)s], %(boot)s, %(fee_bps)s, %(expiry)s, false)
"""
SETTLE = """
SELECT charge, status, gross FROM routing_settle(
    %(id)s::uuid[], %(quote)s::int[], %(input)s::bigint[], %(output)s::bigint[], %(outcome)s::text[],
    %(hold_s)s, %(model)s::text[], %(model)s::text[], %(provider)s::text[], %(server)s::bigint[],
    %(endpoint)s::text[], %(streamed)s::boolean[], %(success)s::boolean[], %(attempts)s::int[],
    %(input)s::bigint[], %(output)s::bigint[], %(bytes)s::bigint[], %(bytes)s::bigint[], %(latency)s::int[],
    %(latency)s::int[], %(failed)s::text[])
"""


@dataclass(frozen=True)
class Call:
    """An admitted call of one customer to one offer."""

    id: uuid.UUID
    offer: HostedModel
    hold_nanos: int
    input_max: int
    output_max: int


def admit(
    who: Person,
    offer: HostedModel,
    *,
    input_tokens: int = 250,
    output_tokens: int = 250,
    free: bool = False,
    fee_bps: int = FEE_BPS,
) -> Call:
    """Hold the worst case of one call at the offer's prices (or at 0, as `auto` does with a local server)."""
    server = Server.objects.get(pk=offer.server_id)  # its version may have risen since the offer was read
    price_in, price_out = (0, 0) if free else (offer.price_per_input_token, offer.price_per_output_token)
    parameters = {
        "id": new_id(),
        "digest": bytes(who.api_key.digest).hex(),
        "model": offer.model_id,
        "input": input_tokens,
        "output": output_tokens,
        "price_in": price_in,
        "price_out": price_out,
        "prices_in": f"{{{price_in}}}",
        "prices_out": f"{{{price_out}}}",
        "payees": f"{{{payee(server)}}}",
        "servers": f"{{{server.pk}}}",
        "versions": f"{{{server.version}}}",
        "boot": BOOT,
        "fee_bps": fee_bps,
        "expiry": HOLD_EXPIRY_S,
    }
    with connection.cursor() as cursor:
        cursor.execute(ADMIT, parameters)
        status, hold_nanos = cursor.fetchone()
    assert status == "ok", status
    return Call(parameters["id"], offer, hold_nanos, input_tokens, output_tokens)


@dataclass(frozen=True)
class Ending:
    """How a call ended: served by its offer, or (quote 0) by nobody."""

    call: Call
    quote: int = 1
    input_tokens: int = 250
    output_tokens: int = 250
    outcome: str = "finished"
    latency_ms: int = 1_000
    failed_servers: tuple[int, ...] = ()


def settle(
    call: Call,
    *,
    input_tokens: int = 250,
    output_tokens: int = 250,
    latency_ms: int = 1_000,
    hold_s: int = EARNINGS_HOLD_S,
) -> int:
    """The call was served: what the customer paid, in nanodollars."""
    ending = Ending(call, input_tokens=input_tokens, output_tokens=output_tokens, latency_ms=latency_ms)
    ((_, status, gross_nanos),) = end(ending, hold_s=hold_s)
    assert status == "posted", status
    return gross_nanos


def void(call: Call, *, outcome: str = "upstream_failed") -> None:
    """The call failed: nothing is paid."""
    ((_, status, _),) = end(Ending(call, 0, 0, 0, outcome))
    assert status == "voided", status


def book(
    who: Person, offer: HostedModel, *, latency_ms: int = 1_000, free: bool = False, **tokens: int
) -> Call:
    """Admit and settle a call that used exactly what it asked for."""
    call = admit(who, offer, free=free, **tokens)
    settle(call, latency_ms=latency_ms, **tokens)
    return call


def spend(who: Person, nanos: int) -> None:
    """So much less of the balance, promotional first: a request that the platform itself serves."""
    if nanos:
        drain = f"https://{factories.unique('drain')}.example"
        _, offer = factories.server(drain, kind="cloud", price_in=1, price_out=0)
        book(who, offer, input_tokens=nanos, output_tokens=0)


def earn(hoster: Hoster, gross_nanos: int) -> None:
    """Somebody paid so much with bought money for what this hoster served, and 80 % of it is released."""
    payer = factories.person("payer", sold_nanos=gross_nanos)
    spend(payer, 5_000_000_000)  # the welcome credit
    server = f"https://{factories.unique('gpu')}.example"
    _, offer = factories.server(server, of=hoster, price_in=1, price_out=0, draining=True)
    call = admit(payer, offer, input_tokens=gross_nanos, output_tokens=0)
    settle(call, input_tokens=gross_nanos, output_tokens=0, hold_s=-60)
    while ledger.release()[0]:
        pass


def end(*endings: Ending, hold_s: int = EARNINGS_HOLD_S) -> list[tuple[uuid.UUID, str, int]]:
    """Settle a batch: (id, status, nanodollars) of each call."""
    servers = [ending.call.offer.server for ending in endings]
    parameters = {
        "id": [ending.call.id for ending in endings],
        "quote": [ending.quote for ending in endings],
        "input": [ending.input_tokens for ending in endings],
        "output": [ending.output_tokens for ending in endings],
        "outcome": [ending.outcome for ending in endings],
        "hold_s": hold_s,
        "model": [ending.call.offer.model_id for ending in endings],
        "provider": [
            server.kind if ending.quote else "" for ending, server in zip(endings, servers, strict=True)
        ],
        "server": [
            server.pk if ending.quote else None for ending, server in zip(endings, servers, strict=True)
        ],
        "endpoint": ["chat.completions"] * len(endings),
        "streamed": [False] * len(endings),
        "success": [ending.outcome == "finished" for ending in endings],
        "attempts": [1 + len(ending.failed_servers) for ending in endings],
        "bytes": [1_000] * len(endings),
        "latency": [ending.latency_ms for ending in endings],
        "failed": [f"{{{','.join(map(str, ending.failed_servers))}}}" for ending in endings],
    }
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, parameters)
        return cursor.fetchall()


def payee(server: Server) -> int:
    """The ledger account that earns what the server serves; 0 for the platform's own."""
    if server.hoster is None:
        return 0
    return LedgerAccount.objects.get(kind="hoster_pending", customer=server.hoster.customer_id).pk


def new_id() -> uuid.UUID:
    """A UUIDv7 of the books' present, its last byte 0, as the gateway makes them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM app_now()) * 1000)::bigint")
        milliseconds = cursor.fetchone()[0]
    tail = bytearray(os.urandom(9))
    tail[0], tail[2] = 0x70 | tail[0] & 0x0F, 0x80 | tail[2] & 0x3F
    return uuid.UUID(bytes=milliseconds.to_bytes(6) + bytes(tail) + b"\0")
