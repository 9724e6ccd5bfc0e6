"""Calls booked by the two trips themselves, for tests of what reads them. The clock is the books'."""

import os
import uuid
from dataclasses import dataclass

from django.db import connection

from billing.models import LedgerAccount
from hosting.models import HostedModel, Server
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
SELECT status, gross FROM routing_settle(
    ARRAY[%(id)s], ARRAY[%(quote)s], ARRAY[%(input)s]::bigint[], ARRAY[%(output)s]::bigint[],
    ARRAY[%(outcome)s], %(hold_s)s, ARRAY[%(model)s], ARRAY[%(model)s], ARRAY[%(provider)s],
    ARRAY[%(server)s]::bigint[], ARRAY['chat.completions'], ARRAY[false], ARRAY[%(success)s], ARRAY[1],
    ARRAY[%(input)s]::bigint[], ARRAY[%(output)s]::bigint[], ARRAY[1000]::bigint[], ARRAY[1000]::bigint[],
    ARRAY[%(latency)s], ARRAY[%(latency)s], ARRAY['{}'])
"""


@dataclass(frozen=True)
class Call:
    """An admitted call of one customer to one offer."""

    id: uuid.UUID
    offer: HostedModel
    hold_nanos: int


def admit(
    who: Person, offer: HostedModel, *, input_tokens: int = 250, output_tokens: int = 250, free: bool = False
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
        "fee_bps": FEE_BPS,
        "expiry": HOLD_EXPIRY_S,
    }
    with connection.cursor() as cursor:
        cursor.execute(ADMIT, parameters)
        status, hold_nanos = cursor.fetchone()
    assert status == "ok", status
    return Call(parameters["id"], offer, hold_nanos)


def settle(call: Call, *, input_tokens: int = 250, output_tokens: int = 250, latency_ms: int = 1_000) -> int:
    """The call was served: what the customer paid, in nanodollars."""
    status, gross_nanos = _settle(call, 1, input_tokens, output_tokens, "finished", latency_ms)
    assert status == "posted", status
    return gross_nanos


def void(call: Call, *, outcome: str = "upstream_failed", latency_ms: int = 1_000) -> None:
    """The call failed: nothing is paid."""
    status, _ = _settle(call, 0, 0, 0, outcome, latency_ms)
    assert status == "voided", status


def book(
    who: Person, offer: HostedModel, *, latency_ms: int = 1_000, free: bool = False, **tokens: int
) -> Call:
    """Admit and settle a call that used exactly what it asked for."""
    call = admit(who, offer, free=free, **tokens)
    settle(call, latency_ms=latency_ms, **tokens)
    return call


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


def _settle(
    call: Call, quote: int, input_tokens: int, output_tokens: int, outcome: str, latency_ms: int
) -> tuple[str, int]:
    server = call.offer.server
    parameters = {
        "id": call.id,
        "quote": quote,
        "input": input_tokens,
        "output": output_tokens,
        "outcome": outcome,
        "hold_s": EARNINGS_HOLD_S,
        "model": call.offer.model_id,
        "provider": server.kind if quote else "",
        "server": server.pk if quote else None,
        "success": outcome == "finished",
        "latency": latency_ms,
    }
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, parameters)
        return cursor.fetchone()
