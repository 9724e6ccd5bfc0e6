"""What a Django view costs that does nothing: the yardstick beside the gateway. Run under uvicorn as `application`."""

import os

from django.http import HttpRequest, JsonResponse
from django.urls import path

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.bench.bare_settings"


async def view(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"id": "x", "choices": [{"message": {"content": "word " * 64}}]})


urlpatterns = [path("v1/chat/completions", view)]


def make() -> object:
    from django.core.asgi import get_asgi_application

    return get_asgi_application()
