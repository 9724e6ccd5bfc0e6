"""Browsers of other origins may call /v1 with a key, never with cookies; every answer there can be named."""

import uuid
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

API_PREFIX = "/v1/"
METHODS = "GET, POST, DELETE, OPTIONS"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key"
EXPOSED_HEADERS = (
    "x-request-id, retry-after, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
    "x-ratelimit-reset-requests, idempotent-replayed"
)
PREFLIGHT_MAX_AGE_S = 86_400

Answer = Callable[[HttpRequest], HttpResponse]
AsyncAnswer = Callable[[HttpRequest], Awaitable[HttpResponse]]


@sync_and_async_middleware
def middleware(get_response: Answer | AsyncAnswer) -> Answer | AsyncAnswer:
    """Answer preflights with 204; add `x-request-id` and the CORS headers to every other answer under /v1.

    The id is also in `request.META["request_id"]`, for the logs.
    """
    if iscoroutinefunction(get_response):
        return _async_middleware(get_response)

    def answer(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API_PREFIX):
            return get_response(request)  # type: ignore[return-value]  # synchronous here: the other branch has the coroutines
        _name(request)
        response = _preflight(request) if request.method == "OPTIONS" else get_response(request)
        return _open(request, response)  # type: ignore[arg-type]  # as above

    return answer


def _async_middleware(get_response: AsyncAnswer) -> AsyncAnswer:
    async def answer(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(API_PREFIX):
            return await get_response(request)
        _name(request)
        response = _preflight(request) if request.method == "OPTIONS" else await get_response(request)
        return _open(request, response)

    markcoroutinefunction(answer)
    return answer


def _name(request: HttpRequest) -> None:
    request.META["request_id"] = f"req_{uuid.uuid4().hex}"


def _preflight(request: HttpRequest) -> HttpResponse:
    """OpenAI's clients send headers of their own (`x-stainless-…`); without cookies any may be sent."""
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = METHODS
    response["Access-Control-Allow-Headers"] = request.headers.get(
        "Access-Control-Request-Headers", REQUEST_HEADERS
    )
    response["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
    response["Vary"] = "Access-Control-Request-Headers"
    return response


def _open(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    response["Access-Control-Allow-Origin"] = "*"
    response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    response.setdefault("x-request-id", request.META["request_id"])
    return response
