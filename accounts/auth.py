"""Bearer key → caller, for DRF and plain views; every failure of a view → OpenAI's error envelope."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now
from django.http import Http404
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import authentication, exceptions
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import envelope, keys
from accounts.envelope import ApiError, Problem
from accounts.models import ApiKey, User

log = structlog.get_logger(__name__)

SCHEME = "bearer"

# What DRF and Django raise, as answers of ours; looked through from the top, so subclasses stand first.
ANSWERS: tuple[tuple[type[Exception], Problem], ...] = (
    (exceptions.ParseError, envelope.MALFORMED.because("The body is not valid JSON.")),
    (exceptions.NotAuthenticated, envelope.NO_KEY),
    (exceptions.AuthenticationFailed, envelope.BAD_KEY),
    (exceptions.PermissionDenied, envelope.FORBIDDEN),
    (PermissionDenied, envelope.FORBIDDEN),
    (exceptions.NotFound, envelope.NOT_FOUND),
    (Http404, envelope.NOT_FOUND),
    (exceptions.MethodNotAllowed, envelope.METHOD_NOT_ALLOWED),
    (SuspiciousOperation, envelope.MALFORMED),
    (OperationalError, envelope.UNAVAILABLE),
    (InterfaceError, envelope.UNAVAILABLE),
)


def caller(authorization_header: str) -> ApiKey:
    """The key row (with its customer, user and tier) that `Authorization: Bearer ngk_…` names; one query, and
    another for a string that is not a key's own.

    A string that a rotation replaced names its key until the grace period ends.

    Raises ApiError: NO_KEY, BAD_KEY (a wrong checksum is refused without the database), REVOKED_KEY,
    INACTIVE, EXPIRED_KEY.
    """
    scheme, _, key = authorization_header.strip().partition(" ")
    key = key.strip()
    if scheme.lower() != SCHEME or not key:
        raise ApiError(envelope.NO_KEY)
    if not keys.is_well_formed(key):
        raise ApiError(envelope.BAD_KEY)
    digest = keys.digest(key)
    known = ApiKey.objects.select_related("customer__user", "customer__tier").annotate(
        is_expired=ExpressionWrapper(Q(expires_at__lte=Now()), output_field=BooleanField())
    )
    row = known.filter(digest=digest).first()
    if row is None:
        row = known.filter(replaced__digest=digest, replaced__works_until__gt=Now()).first()
    if row is None:
        raise ApiError(envelope.BAD_KEY)
    if row.revoked_at is not None:
        raise ApiError(envelope.REVOKED_KEY)
    if not row.customer.user.is_active:
        raise ApiError(envelope.INACTIVE)
    if row.is_expired:
        raise ApiError(envelope.EXPIRED_KEY)
    return row


class BearerKey(authentication.BaseAuthentication):
    """`request.user` is the customer's user, `request.auth` the ApiKey. Without a key it refuses.

    The playground's key is in a browser's memory: beyond inference it reads, and changes nothing.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiKey]:
        key = caller(request.META.get("HTTP_AUTHORIZATION", ""))
        if key.is_playground and request.method not in SAFE_METHODS:
            raise ApiError(envelope.PLAYGROUND_KEY)
        return key.customer.user, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BearerKeyScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document describes BearerKey."""

    target_class = "accounts.auth.BearerKey"
    name = "bearerKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": SCHEME, "bearerFormat": "ngk_…"}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """For DRF: whatever a view raised, in OpenAI's envelope; what nobody expected is logged, and a 500."""
    request = context.get("request")
    answer = problem_of(error, path=getattr(request, "path", ""))
    return Response(answer.content(), status=answer.status, headers=headers(answer))


def problem_of(error: Exception, *, path: str) -> Problem:
    """The answer for an exception; unexpected ones are logged with the path, never with the query."""
    if isinstance(error, ApiError):
        return error.problem
    if isinstance(error, exceptions.ValidationError):
        param, message = _first_problem(error.detail)
        return envelope.MALFORMED.because(message, param=param)
    if isinstance(error, exceptions.Throttled):
        return envelope.RATE_LIMITED.because(
            envelope.RATE_LIMITED.message, retry_after_s=max(round(getattr(error, "wait", None) or 1), 1)
        )
    for kind, answer in ANSWERS:
        if isinstance(error, kind):
            return answer
    if isinstance(error, exceptions.APIException) and error.status_code < 500:
        return Problem(error.status_code, envelope.INVALID, error.default_code, str(error.detail))
    log.error("api.failed", path=path, exc_info=error)
    return envelope.PLATFORM_FAULT


def headers(answer: Problem) -> dict[str, str]:
    """The headers that belong to an error: `Retry-After`, `WWW-Authenticate`."""
    found = {}
    if answer.retry_after_s is not None:
        found["Retry-After"] = str(answer.retry_after_s)
    if answer.status == 401:
        found["WWW-Authenticate"] = "Bearer"
    return found


def _first_problem(detail: Any, param: str | None = None) -> tuple[str | None, str]:
    """(parameter, message) of a validation error's first complaint; a nested parameter has dots."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        if name != "non_field_errors":
            param = f"{param}.{name}" if param else str(name)
        return _first_problem(inner, param)
    if isinstance(detail, list):
        return _first_problem(next(item for item in detail if item), param)
    return param, f"{param}: {detail}" if param else str(detail)
