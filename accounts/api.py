"""What the views of /v1 share: JSON only, and the error envelope where DRF has no say."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.views import APIView

from accounts import auth, envelope
from accounts.envelope import Problem

API_PREFIX = "/v1/"


class JsonAlways(BaseContentNegotiation):
    """Answer in JSON whatever `Accept` or `?format=` say, as OpenAI does."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Endpoint(APIView):
    """A view of /v1: needs a key, speaks JSON, fails in OpenAI's envelope."""

    content_negotiation_class = JsonAlways


def refuse(problem: Problem) -> JsonResponse:
    """A problem as the answer of a plain Django view."""
    return JsonResponse(problem.content(), status=problem.status, headers=auth.headers(problem))


@csrf_exempt
def nothing_here(request: HttpRequest) -> HttpResponse:
    """The last route under /v1."""
    return refuse(envelope.NOT_FOUND)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return refuse(envelope.MALFORMED)
    return defaults.bad_request(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return refuse(envelope.NOT_FOUND)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API_PREFIX):
        return refuse(envelope.PLATFORM_FAULT)
    return defaults.server_error(request)
