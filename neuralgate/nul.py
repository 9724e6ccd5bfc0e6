"""A path with a NUL byte names nothing: PostgreSQL has no such text, and refuses to look for it."""

from collections.abc import Callable

from django.http import Http404, HttpRequest, HttpResponse


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """404 for such a path, as for any other that leads nowhere."""

    def answer(request: HttpRequest) -> HttpResponse:
        if "\0" in request.path_info:
            raise Http404
        return get_response(request)

    return answer
