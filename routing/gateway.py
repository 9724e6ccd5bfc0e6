"""The inference routes as a plain ASGI application; reads like the steps a request takes.

bytes → parse → candidates → ADMIT → forward, stream, count → SETTLE → last bytes
"""

import asyncio
import hmac
import time
import uuid
from dataclasses import dataclass
from random import getrandbits

import structlog

from accounts import envelope, keys
from accounts.envelope import ApiError, Problem
from billing import idempotency_key
from hosting import targets
from hosting.offers import LiveOffer
from routing import calls
from routing.admission import Admission
from routing.arrival import ClientGone, Receive, Scope, read_body, read_headers
from routing.booking import explained
from routing.calls import Limits
from routing.chooser import Chooser, NobodyFits
from routing.crashpoints import reach
from routing.delivery import Delivery, Headers, Send
from routing.directory import Directory
from routing.load import Load
from routing.relay import Relay
from routing.repeats import Lease, Repeats, Replay
from routing.settlement import Settlement
from routing.tickets import Asked, Tickets
from routing.traffic import Bounds, Traffic
from routing.upstream import Upstreams
from routing.watcher import Watcher

log = structlog.get_logger(__name__)

ROUTES = {
    "/v1/chat/completions": calls.CHAT,
    "/v1/completions": calls.COMPLETIONS,
    "/v1/embeddings": calls.EMBEDDINGS,
}
ROUNDS_MAX = 3  # admissions of one request whose servers all failed before anything was sent
REPLAYED_HEADER = idempotency_key.REPLAYED.lower().encode()
CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"x-request-id, retry-after, x-ratelimit-limit-requests, "
     b"x-ratelimit-remaining-requests, x-ratelimit-reset-requests, idempotent-replayed"),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the gateway needs from the settings, with units."""

    dsn: str
    secret: str
    fee_bps: int
    earnings_hold_s: int
    hold_expiry_s: int
    auto_max_price: int
    test_price_max: int
    body_bytes_max: int
    body_timeout_s: float
    limits: Limits
    output_tokens_max: int
    attempts_max: int
    in_flight_max: int
    batch_rows_max: int
    batch_queue_max: int
    admission_wait_s: float
    settle_wait_s: float
    heartbeat_s: float
    dead_after_s: float
    bounds: Bounds
    comment_every_s: float
    crash_at: str = ""


class Gateway:
    """One for each process; `start` before the first request, `stop` after the last."""

    def __init__(self, config: Config) -> None:
        self._config = config
        boot = str(uuid.uuid4())
        self._settlement = Settlement(
            config.dsn,
            hold_s=config.earnings_hold_s,
            rows_max=config.batch_rows_max,
            wait_s=config.settle_wait_s,
        )
        self._admission = Admission(
            config.dsn,
            boot=boot,
            fee_bps=config.fee_bps,
            expiry_s=config.hold_expiry_s,
            rows_max=config.batch_rows_max,
            queue_max=config.batch_queue_max,
            wait_s=config.admission_wait_s,
            give_back=self._settlement.give_back,
        )
        self._repeats = Repeats(
            config.dsn,
            boot=boot,
            dead_after_s=config.dead_after_s,
            longest_s=config.hold_expiry_s,
            rows_max=config.batch_rows_max,
            wait_s=config.admission_wait_s,
        )
        load = Load(time.monotonic, lambda *change: self._directory.tell_circuit(*change))
        self._directory = Directory(
            config.dsn,
            load,
            boot=boot,
            heartbeat_s=config.heartbeat_s,
            dead_after_s=config.dead_after_s,
        )
        chooser = Chooser(
            self._directory,
            load,
            auto_max_price=config.auto_max_price,
            attempts_max=config.attempts_max,
            clock=time.monotonic,
        )
        self._tickets = Tickets(
            self._directory,
            chooser,
            self._admission,
            self._settlement,
            output_tokens_max=config.output_tokens_max,
            test_price_max=config.test_price_max,
        )
        self._traffic = Traffic(
            upstreams=Upstreams(),
            settlement=self._settlement,
            load=load,
            bounds=config.bounds,
            end_user=self._end_user,
            crash_at=config.crash_at,
            comment_every_s=config.comment_every_s,
        )
        self._in_flight = 0
        self._arriving = 0  # requests whose body is not here yet: slow ones must not keep others out

    async def start(self) -> None:
        await self._directory.start()
        self._settlement.start()
        self._admission.start()
        self._repeats.start()
        self._comments = asyncio.get_running_loop().create_task(
            self._traffic.keep_streams_open(), name="comments"
        )

    async def stop(self) -> None:
        """Book what is still on its way, then say goodbye."""
        self._comments.cancel()
        await self._admission.stop()
        await self._settlement.stop()
        await self._repeats.stop()
        await self._directory.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seed = getrandbits(64)
        headers: Headers = [request_id(f"{seed:016x}{getrandbits(64):016x}"), *CORS]
        if self._arriving >= self._config.in_flight_max:
            await refuse(envelope.OVERLOADED, headers, send)
            return
        try:
            await self._serve(scope, receive, send, headers, seed)
        except ApiError as error:
            await refuse(error.problem, headers, send)
        except ClientGone:
            pass
        except Exception:
            log.exception("gateway.broken", request_id=headers[0][1].decode())
            await refuse(envelope.PLATFORM_FAULT, headers, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers, seed: int) -> None:
        crash_at = self._config.crash_at
        head = read_headers(scope)
        digest = keys.digest(head.key)
        reach("received", crash_at)
        try:
            if scope["method"] != "POST":
                raise ApiError(envelope.METHOD_NOT_ALLOWED.because("This route takes POST."))
            calls.check_size(head.length, self._config.body_bytes_max)
            self._arriving += 1
            try:
                async with asyncio.timeout(self._config.body_timeout_s):
                    body = await read_body(receive, self._config.body_bytes_max)
            finally:
                self._arriving -= 1
            call = calls.parse(ROUTES[scope["path"]], body, self._config.limits)
        except (ApiError, TimeoutError) as error:
            await self._tickets.authenticate(digest)  # a stranger learns nothing but that
            raise (error if isinstance(error, ApiError) else ApiError(envelope.TOO_SLOW)) from None
        if self._in_flight >= self._config.in_flight_max:
            raise ApiError(envelope.OVERLOADED)
        reach("before_admit", crash_at)
        target = targets.server_of(head.target, secret=self._config.secret, now_s=time.time())
        asked = Asked(call, digest, seed, target)
        delivery = Delivery(
            send, headers, stream=call.stream, stall_s=self._config.bounds.stall_s, clock=time.monotonic
        )
        if head.repeat is None:
            await self._answer(asked, receive, headers, delivery, explain=head.explain)
            return
        self._in_flight += 1  # who waits for another's answer is a request like any other
        try:
            claim = await self._claim(head.repeat, scope["path"], asked, body)
        finally:
            self._in_flight -= 1
        if isinstance(claim, Replay):
            headers[0] = request_id(claim.charge)
            await delivery.whole(claim.status, claim.body, [(REPLAYED_HEADER, b"true")])
            return
        try:
            await self._answer(asked._replace(lease=claim), receive, headers, delivery, explain=head.explain)
        finally:
            claim.end()

    async def _claim(self, name: str, route: str, asked: Asked, body: bytes) -> Lease | Replay:
        verdict = await self._tickets.authenticate(asked.digest)
        return await self._repeats.claim(
            customer=verdict.customer,
            name=idempotency_key.check(name),
            route=route,
            body=body,
            join=not asked.call.stream,
        )

    async def _answer(
        self, asked: Asked, receive: Receive, headers: Headers, delivery: Delivery, *, explain: bool
    ) -> None:
        """Admit the call and relay its answer, with other servers where the first ones failed."""
        try:
            ticket = await self._tickets.take(asked, headers)
        except NobodyFits as error:
            await delivery.fail(error.problem, explained(error.choice.explanation()) if explain else None)
            return
        headers[0] = request_id(ticket.charge)
        reach("admitted", self._config.crash_at)
        relay = Relay(self._traffic, ticket, delivery, explain=explain, lease=asked.lease)
        # An answer that is kept for a repetition is finished even when its client has gone.
        watcher = Watcher(receive, relay, deaf=asked.lease is not None and not asked.call.stream)
        self._in_flight += 1
        try:
            await relay.run()
            for _ in range(ROUNDS_MAX - 1):
                if relay.problem is None:
                    break
                relay = await self._go_on(asked, relay, watcher, headers)
            if relay.problem is not None:
                await relay.fail(relay.problem)
        finally:
            self._in_flight -= 1
            watcher.stop()

    async def _go_on(self, asked: Asked, relay: Relay, watcher: Watcher, headers: Headers) -> Relay:
        """Nobody has answered yet, and other servers are left: admit the call for those, and let them try."""
        if watcher.gone:
            relay.problem = None
            return relay
        try:
            await relay.given_back()
            ticket = await self._tickets.take(asked, [], tried=relay.tried)
        except ApiError as error:
            # Who is busy or paused was not asked, and may have the route that the others lack.
            left_out = isinstance(error, NobodyFits) and relay.problem is envelope.UNSUPPORTED
            await relay.fail(error.problem if left_out else relay.problem or envelope.UPSTREAM_FAILED)
            return relay
        headers[0] = request_id(ticket.charge)
        relay = relay.followed_by(ticket)
        watcher.watch(relay)
        await relay.run()
        return relay

    def _end_user(self, offer: LiveOffer, customer: int, user: object) -> str:
        """What a hoster is told instead of the customer's own `user`: stable there, meaningless elsewhere."""
        text = f"{offer.hoster_id}:{customer}:{user}"
        return hmac.digest(self._config.secret.encode(), text.encode(), "sha256").hex()[:32]


def request_id(name: str) -> tuple[bytes, bytes]:
    """The header `x-request-id`: once a call is admitted it names its charge, by which the receipt is found."""
    return b"x-request-id", b"req_" + name.encode()


async def refuse(problem: Problem, headers: Headers, send: Send) -> None:
    await Delivery(send, headers, stream=False, stall_s=0, clock=time.monotonic).fail(problem)
