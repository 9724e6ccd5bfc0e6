"""Static files by whitenoise, answered whole: under ASGI its file iterators would be consumed anyway."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware


class Middleware(WhiteNoiseMiddleware):
    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> HttpResponse:
        """The largest file is a megabyte; Django warns at every synchronous iterator it meets under ASGI."""
        streamed = WhiteNoiseMiddleware.serve(static_file, request)
        try:
            return HttpResponse(
                b"".join(streamed.streaming_content), status=streamed.status_code, headers=streamed.headers
            )
        finally:
            streamed.close()
