"""Sessions of staff end when nothing was asked for a while (STAFF_IDLE_S), in the database and in the browser."""

import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

SEEN = "staff_seen_s"  # seconds since 1970, in the session
WRITTEN_EVERY_S = 60  # a session is written once a minute, not at every request


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """The last one before the views; after the view, so that the request that signs in counts too."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.session.accessed and request.user.is_authenticated and request.user.is_staff:
            now_s = int(time.time())
            if now_s - request.session.get(SEEN, 0) >= min(WRITTEN_EVERY_S, settings.STAFF_IDLE_S // 2):
                request.session[SEEN] = now_s
                request.session.set_expiry(settings.STAFF_IDLE_S)
        return response

    return answer
