"""One ASGI application: the inference routes go to the gateway, everything else to Django."""

import gc
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralgate.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

from routing.calls import Limits
from routing.gateway import ROUTES, Config, Gateway
from routing.traffic import Bounds

django = get_asgi_application()

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


def config() -> Config:
    """The gateway's part of the settings."""
    return Config(
        dsn=settings.DATABASE_DSN,
        secret=settings.SECRET_KEY,
        fee_bps=settings.PLATFORM_FEE_BPS,
        earnings_hold_s=settings.EARNINGS_HOLD_S,
        hold_expiry_s=settings.HOLD_EXPIRY_S,
        auto_max_price=settings.AUTO_MAX_PRICE,
        test_price_max=settings.TEST_PRICE_MAX,
        body_bytes_max=settings.REQUEST_BODY_BYTES_MAX,
        body_timeout_s=settings.REQUEST_BODY_TIMEOUT_S,
        limits=Limits(
            depth=settings.REQUEST_DEPTH_MAX,
            messages=settings.REQUEST_MESSAGES_MAX,
            choices=settings.REQUEST_CHOICES_MAX,
        ),
        output_tokens_max=settings.OUTPUT_TOKENS_DEFAULT_MAX,
        attempts_max=settings.ATTEMPTS_MAX,
        in_flight_max=settings.IN_FLIGHT_MAX,
        batch_rows_max=settings.BATCH_ROWS_MAX,
        batch_queue_max=settings.BATCH_QUEUE_MAX,
        admission_wait_s=settings.ADMISSION_WAIT_S,
        settle_wait_s=settings.SETTLE_WAIT_S,
        heartbeat_s=settings.HEARTBEAT_EVERY_S,
        dead_after_s=settings.PROCESS_DEAD_AFTER_S,
        bounds=Bounds(
            first_byte_s=settings.UPSTREAM_FIRST_BYTE_TIMEOUT_S,
            idle_s=settings.UPSTREAM_IDLE_TIMEOUT_S,
            total_s=settings.UPSTREAM_TOTAL_TIMEOUT_S,
            stall_s=settings.CLIENT_STALL_TIMEOUT_S,
            body_bytes=settings.UPSTREAM_BODY_BYTES_MAX,
            event_bytes=settings.UPSTREAM_LINE_BYTES_MAX,
            stream_bytes=settings.UPSTREAM_STREAM_BYTES_MAX,
        ),
        comment_every_s=settings.STREAM_COMMENT_EVERY_S,
        crash_at=settings.CRASH_AT,
    )


class Application:
    """Made once for each web process; the gateway lives from lifespan startup to shutdown."""

    def __init__(self) -> None:
        self._gateway: Gateway | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._gateway is not None and scope["path"] in ROUTES and scope["method"] != "OPTIONS":
            await self._gateway(scope, receive, send)
        else:
            await django(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                gateway = Gateway(config())
                try:
                    await gateway.start()
                except Exception as error:
                    await send(
                        {"type": "lifespan.startup.failed", "message": f"The gateway cannot start: {error}"}
                    )
                    return
                self._gateway = gateway
                relax_garbage_collection()
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._gateway is not None:
                    await self._gateway.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return


def relax_garbage_collection() -> None:
    """What was imported lives as long as the process; looking through it again and again cost 5 % of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


application = Application()
