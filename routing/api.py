"""/v1/usage…, /v1/requests… and /v1/earnings…: parse, read, shape."""

from typing import Any

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import auth, envelope
from accounts.api import Endpoint, refuse
from routing import earnings, export, history, receipts, shapes, usage

USAGE_DAYS = 30


class Usage(Endpoint):
    @extend_schema(operation_id="usage", responses=shapes.Usage)
    def get(self, request: Request) -> Response:
        """Your balance, your limits, and the last 30 days."""
        customer = request.auth.customer  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
        found = {
            "customer": customer.user.email,
            "tier": customer.tier_id,
            "standing": usage.standing(customer.pk),
            "totals": usage.totals(customer.pk, days=USAGE_DAYS),
        }
        return Response(shapes.Usage(found).data)


class Tokens(Endpoint):
    @extend_schema(operation_id="usage_tokens", parameters=[shapes.DaysAndInterval], responses=shapes.Tokens)
    def get(self, request: Request) -> Response:
        """Tokens and cost over time, without gaps."""
        asked = _asked(shapes.DaysAndInterval, request)
        series = usage.timeseries(_customer_id(request), days=asked["days"], interval=asked["interval"])
        found = {
            "period_days": asked["days"],
            "interval": asked["interval"],
            "totals": usage.add(series),
            "timeseries": series,
        }
        return Response(shapes.Tokens(found).data)


class Breakdown(Endpoint):
    @extend_schema(operation_id="usage_breakdown", parameters=[shapes.Days], responses=shapes.Breakdown)
    def get(self, request: Request) -> Response:
        """Cost by model and by day."""
        days = _asked(shapes.Days, request)["days"]
        by_model, daily = usage.breakdown(_customer_id(request), days=days)
        return Response(shapes.Breakdown({"by_model": by_model, "daily": daily}).data)


class Requests(Endpoint):
    @extend_schema(operation_id="requests", parameters=[shapes.RequestsAsked], responses=shapes.Requests)
    def get(self, request: Request) -> Response:
        """Your requests one by one, newest first; `next_before` is the `before` of the next page."""
        form = shapes.RequestsAsked(data=request.query_params.dict())
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        customer = request.auth.customer  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
        found = history.page(customer, form.wanted(), before=asked["before"], rows_max=asked["limit"])
        return Response(shapes.Requests(found).data)


class OneRequest(Endpoint):
    @extend_schema(operation_id="request", responses=shapes.Receipt)
    def get(self, request: Request, request_id: str) -> Response:
        """The receipt of one request, by its UUID, its `x-request-id` or the `id` of the answer."""
        wanted = receipts.parse(request_id)
        customer = request.auth.customer  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
        receipt = receipts.of(customer, wanted) if wanted else None
        if receipt is None:
            raise Http404
        return Response(shapes.Receipt(receipt).data)


class Earnings(Endpoint):
    @extend_schema(operation_id="earnings", parameters=[shapes.Days], responses=shapes.Earnings)
    def get(self, request: Request) -> Response:
        """What the hoster linked to this key earned, and when it is released."""
        days = _asked(shapes.Days, request)["days"]
        found = {"period_days": days, "statement": earnings.statement(_customer_id(request), days=days)}
        return Response(shapes.Earnings(found).data)


class EarningsByModel(Endpoint):
    @extend_schema(
        operation_id="earnings_by_model", parameters=[shapes.Days], responses=shapes.EarningsByModel
    )
    def get(self, request: Request) -> Response:
        """Which of the hoster's models earns the most."""
        days = _asked(shapes.Days, request)["days"]
        found = {"period_days": days, "by_model": earnings.by_model(_customer_id(request), days=days)}
        return Response(shapes.EarningsByModel(found).data)


async def usage_export(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """The customer's requests as CSV, streamed; no database connection is held between its pages."""
    if request.method != "GET":
        return refuse(envelope.METHOD_NOT_ALLOWED)
    try:
        customer_id, period = await sync_to_async(_begin_export)(request)
    except Exception as error:
        return refuse(auth.problem_of(error, path=request.path))
    return StreamingHttpResponse(export.lines(customer_id, period), headers=export.HEADERS)


@export.without_connection
def _begin_export(request: HttpRequest) -> tuple[int, export.Period]:
    key = auth.caller(request.META.get("HTTP_AUTHORIZATION", ""))
    form = shapes.Days(data=request.GET.dict())
    form.is_valid(raise_exception=True)
    return key.customer_id, export.period(form.validated_data["days"])


def _asked(shape: type[shapes.Days], request: Request) -> dict[str, Any]:
    """The query parameters that this shape knows; raises ValidationError. Unknown ones are ignored."""
    form = shape(data=request.query_params.dict())
    form.is_valid(raise_exception=True)
    return form.validated_data


def _customer_id(request: Request) -> int:
    return request.auth.customer_id  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
