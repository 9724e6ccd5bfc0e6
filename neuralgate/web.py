"""One web process: uvicorn with the ASGI application, on a socket that the supervisor bound or on its own.

`python -m neuralgate.web --fd 5` shares the socket 5; without --fd it binds HOST:PORT itself.
"""

import argparse
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralgate.settings")

import uvicorn
from django.conf import settings

BACKLOG = 2_048
KEEP_ALIVE_S = 65  # above the 60 s of most load balancers: they, not we, close an idle connection
HEADER_BYTES_MAX = 64 * 1024

Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class ClientBehindProxies:
    """Puts the caller's address into the scope: what the outermost of our own proxies saw.

    Each proxy appends the address it was called from, so the entry that many from the right is the last one
    that no client can write. uvicorn's own option takes the leftmost, which anybody can.
    """

    def __init__(self, app: App, proxies: int) -> None:
        self.app = app
        self.proxies = proxies

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").split(
                b","
            )
            if len(seen) >= self.proxies and (address := seen[-self.proxies].strip()):
                scope["client"] = (address.decode("latin-1"), 0)
        await self.app(scope, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, help="an inherited listening socket")
    descriptor = parser.parse_args().fd
    listener = socket.socket(fileno=descriptor) if descriptor is not None else bind()
    uvicorn.Server(config()).run(sockets=[listener])


def config() -> uvicorn.Config:
    return uvicorn.Config(
        application,
        factory=True,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,  # settings.LOGGING rules
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.SHUTDOWN_GRACE_S,
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
    )


def application() -> App:
    from neuralgate.asgi import application as inner

    return ClientBehindProxies(inner, settings.TRUSTED_PROXIES) if settings.TRUSTED_PROXIES else inner


def bind() -> socket.socket:
    """The listening socket of HOST:PORT; OSError when it is taken."""
    family = socket.AF_INET6 if ":" in settings.HOST else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.HOST, settings.PORT))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


if __name__ == "__main__":
    main()
