"""The real application under uvicorn, in a thread of the test process, on the test database."""

import asyncio
import socket
import threading
import time
from types import TracebackType
from typing import Any

import uvicorn

from hosting.models import Server
from neuralgate import asgi, web


class RunningGateway:
    """`with RunningGateway(**settings) as gateway: gateway.url`. Settings override those of Django."""

    def __init__(self, **overrides: Any) -> None:
        from django.test import override_settings

        self._overrides = override_settings(**overrides)

    def __enter__(self) -> "RunningGateway":
        from django.db import connection
        from psycopg.conninfo import make_conninfo

        parameters = connection.get_connection_params()
        dsn = make_conninfo(
            **{
                name: parameters[name]
                for name in ("host", "port", "dbname", "user", "password")
                if parameters.get(name)
            }
        )
        self._overrides.enable()
        from django.conf import settings

        settings.DATABASE_DSN = dsn
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._application = asgi.Application()
        config = uvicorn.Config(
            self._application, loop="uvloop", http="httptools", lifespan="on", log_config=None, access_log=False,
            timeout_graceful_shutdown=5, timeout_keep_alive=web.KEEP_ALIVE_S, server_header=False,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="gateway")
        self._thread.start()
        for _ in range(1_000):
            if self._server.started:
                return self
            self._started.wait(0.01)
        raise RuntimeError("the gateway did not start")

    def wait_for(self, server: Server) -> None:
        """Until the gateway knows this server in this version."""
        for _ in range(500):
            gateway = self._application._gateway
            offers = gateway._directory.all_offers() if gateway else []
            server.refresh_from_db()
            if any((o.server_id, o.server_version) == (server.pk, server.version) for o in offers):
                return
            time.sleep(0.01)
        raise RuntimeError("the gateway does not hear of new servers")

    def refresh(self) -> None:
        """Until the gateway has read everything anew."""
        directory = self._application._gateway._directory
        since_s = time.monotonic()
        for _ in range(500):
            if directory.loaded_s > since_s:
                return
            time.sleep(0.01)
        raise RuntimeError("the gateway does not read")

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=config_loop) as runner:
            runner.run(self._server.serve([self._socket]))

    def __exit__(self, *details: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(15)
        self._socket.close()
        self._overrides.disable()


def config_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()
