"""The Content-Security-Policy of every answer: our own files only, nothing inline, in nobody's frame."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

HEADER = "Content-Security-Policy"
STRICT = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
    "img-src 'self' data:"
)
INLINE_STYLES = STRICT + "; style-src 'self' 'unsafe-inline'"
# Alpine evaluates the expressions in unfold's attributes, and writes style attributes. Inline scripts, handlers and
# style elements stay forbidden: templates/admin/base_site.html leaves out those of unfold and htmx.
ADMIN = STRICT + "; script-src 'self' 'unsafe-eval'; style-src-attr 'unsafe-inline'"

Answer = Callable[[HttpRequest], HttpResponse]
AsyncAnswer = Callable[[HttpRequest], Awaitable[HttpResponse]]


def policy(path: str) -> str:
    """The policy for a path. Relaxed where a package's own page needs it, and no further."""
    if path.startswith("/admin/"):
        return ADMIN
    return INLINE_STYLES if path == "/v1/docs" else STRICT


@sync_and_async_middleware
def middleware(get_response: Answer | AsyncAnswer) -> Answer | AsyncAnswer:
    """Add the policy to every answer that has none of its own."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponse:
            return _guarded(request, await get_response(request))

        markcoroutinefunction(answer_async)
        return answer_async

    def answer(request: HttpRequest) -> HttpResponse:
        return _guarded(request, get_response(request))  # type: ignore[arg-type]  # synchronous here: the other branch has the coroutines

    return answer


def _guarded(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    response.setdefault(HEADER, policy(request.path))
    return response
