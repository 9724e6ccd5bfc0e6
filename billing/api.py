"""Disputes and payouts of /v1. Each POST takes an `Idempotency-Key`."""

import uuid
from typing import Any

from django.conf import settings
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import envelope
from accounts.api import Endpoint
from accounts.envelope import ApiError
from accounts.models import Customer
from billing import balances, disputes, idempotency, payouts, shapes
from billing.disputes import DisputeRefused
from billing.payouts import PayoutRefused

IDEMPOTENT = [
    OpenApiParameter(
        idempotency.HEADER, str, OpenApiParameter.HEADER,
        description="the same key and body get the same answer for 24 hours, and it happens once",
    )
]  # fmt: skip
DAY_S = 86_400


class Disputes(Endpoint):
    @extend_schema(operation_id="disputes", parameters=[shapes.Page], responses=shapes.DisputeList)
    def get(self, request: Request) -> Response:
        """Your disputes, the newest first."""
        rows = _page(request, _customer(request).disputes.order_by("-opened_at", "-pk"), "opened_at")
        return Response(shapes.DisputeList({"disputes": rows}).data)

    @extend_schema(
        operation_id="dispute",
        parameters=IDEMPOTENT,
        request=shapes.DisputeInput,
        responses={201: shapes.DisputeOutput},
    )
    def post(self, request: Request) -> Response:
        """Dispute a charge of yours while its earning is held: once for each request."""
        asked = _asked(shapes.DisputeInput, request.data)

        def act() -> tuple[int, Any]:
            try:
                dispute = disputes.open_(customer=_customer(request), **asked)
            except DisputeRefused as refusal:
                raise ApiError(_refused(refusal)) from None
            return 201, shapes.DisputeOutput(dispute).data

        return idempotency.once(request, act)


class Payouts(Endpoint):
    @extend_schema(operation_id="payouts", parameters=[shapes.Page], responses=shapes.PayoutList)
    def get(self, request: Request) -> Response:
        """Your payouts, the newest first, and what can be paid out now."""
        customer = _customer(request)
        found = {
            "available_nanos": balances.of(customer).payable_nanos,
            "minimum_nanos": settings.PAYOUT_MIN_NANOS,
            "payouts": _page(request, customer.payouts.order_by("-requested_at", "-pk"), "requested_at"),
        }
        return Response(shapes.PayoutList(found).data)

    @extend_schema(
        operation_id="payout",
        parameters=IDEMPOTENT,
        request=shapes.PayoutInput,
        responses={201: shapes.PayoutOutput},
    )
    def post(self, request: Request) -> Response:
        """Ask for a payout of earned money; it is reserved at once."""
        asked = _asked(shapes.PayoutInput, request.data)

        def act() -> tuple[int, Any]:
            try:
                payout = payouts.ask(customer=_customer(request), may_replace=False, **asked)
            except PayoutRefused as refusal:
                raise ApiError(envelope.CONFLICT.because(str(refusal))) from None
            payout.refresh_from_db()
            return 201, shapes.PayoutOutput(payout).data

        return idempotency.once(request, act)


class CancelPayout(Endpoint):
    @extend_schema(
        operation_id="cancel_payout", parameters=IDEMPOTENT, request=None, responses=shapes.PayoutOutput
    )
    def post(self, request: Request, payout_id: uuid.UUID) -> Response:
        """Take a payout back while nobody has approved it: its money is yours again."""
        payout = get_object_or_404(_customer(request).payouts, pk=payout_id)

        def act() -> tuple[int, Any]:
            try:
                cancelled = payouts.cancel(payout=payout, actor=_customer(request).user)
            except PayoutRefused as refusal:
                raise ApiError(envelope.CONFLICT.because(str(refusal))) from None
            return 200, shapes.PayoutOutput(cancelled).data

        return idempotency.once(request, act)


def _refused(refusal: DisputeRefused) -> envelope.Problem:
    if refusal.code == "missing":
        return envelope.NOT_FOUND.because(str(refusal), param="request_id")
    if refusal.code == "too_many":
        return envelope.RATE_LIMITED.because(str(refusal), retry_after_s=DAY_S)
    return envelope.CONFLICT.because(str(refusal), param="request_id")


def _page(request: Request, rows: Any, moment: str) -> list[Any]:
    """Rows of the caller's, newest first, after the one that `before` names."""
    asked = _asked(shapes.Page, request.query_params.dict())
    if before := asked.get("before"):
        last = rows.filter(pk=before).values_list(moment, flat=True).first()
        if last is None:
            raise serializers.ValidationError({"before": "must be the id of one of the rows."})
        rows = rows.filter(**{f"{moment}__lte": last}).exclude(**{moment: last, "pk__gte": before})
    return list(rows[: asked["limit"]])


def _asked(shape: type[serializers.Serializer[Any]], data: Any) -> dict[str, Any]:
    form = shape(data=data)
    form.is_valid(raise_exception=True)
    return form.validated_data


def _customer(request: Request) -> Customer:
    return request.auth.customer  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
