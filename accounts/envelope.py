"""OpenAI's error envelope, and every error this API answers, in one table."""

import json
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is not a success. `message` says what to do; `retry_after_s` becomes `Retry-After`."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None

    def because(
        self, message: str, *, param: str | None = None, retry_after_s: int | None = None
    ) -> "Problem":
        """The same problem with words for this occasion."""
        return replace(
            self,
            message=message,
            param=param or self.param,
            retry_after_s=retry_after_s or self.retry_after_s,
        )

    def content(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def body(self) -> bytes:
        return json.dumps(self.content(), ensure_ascii=False).encode()


class ApiError(Exception):
    """Raised to answer with a problem; made anew each time, because a raised exception keeps its frames."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


INVALID = "invalid_request_error"
AUTHENTICATION = "authentication_error"
PERMISSION = "permission_error"
CREDIT = "insufficient_quota"
RATE = "rate_limit_error"
SERVER = "server_error"

MALFORMED = Problem(400, INVALID, "invalid_request", "The request is not understood.")
TOO_LARGE = Problem(413, INVALID, "request_too_large", "The request body is too large; send less.")
LOOP = Problem(
    508,
    INVALID,
    "loop_detected",
    "This request came from NeuralGate itself: the server's address leads back here.",
)
TOO_SLOW = Problem(408, INVALID, "request_timeout", "The request body did not arrive in time; send it again.")
NO_KEY = Problem(
    401,
    AUTHENTICATION,
    "missing_api_key",
    "No API key was sent. Send the header `Authorization: Bearer ngk_…`.",
)
BAD_KEY = Problem(
    401,
    AUTHENTICATION,
    "invalid_api_key",
    "This API key is not valid. Check it, or make a new one on /account.",
)
REVOKED_KEY = Problem(
    401, AUTHENTICATION, "revoked_api_key", "This API key was revoked. Make a new one on /account."
)
EXPIRED_KEY = Problem(
    401, AUTHENTICATION, "expired_api_key", "This API key has expired. Make a new one on /account."
)
INACTIVE = Problem(401, AUTHENTICATION, "account_inactive", "This account is blocked. Write to the operator.")
PLAYGROUND_KEY = Problem(
    403,
    PERMISSION,
    "playground_key",
    "The playground's key asks models and reads, and changes nothing. Use a key of your own; /account makes one.",
)
FORBIDDEN = Problem(403, PERMISSION, "forbidden", "This is not yours to see or change.")
MODEL_NOT_ALLOWED = Problem(
    403,
    PERMISSION,
    "model_not_allowed",
    "This API key may not use this model. Use another key or model.",
    "model",
)
NOT_FOUND = Problem(
    404, INVALID, "not_found", "There is nothing here. See /v1/openapi.json for what there is."
)
UNSUPPORTED = Problem(
    400,
    INVALID,
    "unsupported_by_model",
    "No server of this model offers this route. Use another route, or a model that has it.",
    "model",
)
MODEL_NOT_FOUND = Problem(
    404,
    INVALID,
    "model_not_found",
    "This model does not exist here. GET /v1/models lists those that do.",
    "model",
)
METHOD_NOT_ALLOWED = Problem(405, INVALID, "method_not_allowed", "This method is not allowed here.")
CONFLICT = Problem(409, INVALID, "conflict", "What is there now does not allow this.")
IDEMPOTENCY_RUNNING = Problem(
    409,
    INVALID,
    "idempotency_key_in_use",
    "A request with this Idempotency-Key is running. Send it again in a moment for its answer.",
    None,
    1,
)
IDEMPOTENCY_DONE = Problem(
    409,
    INVALID,
    "idempotency_key_done",
    "The request with this Idempotency-Key was served and charged once; a stream is not kept. "
    "GET /v1/requests shows it. Use a new key to ask again.",
)
IDEMPOTENCY_MISMATCH = Problem(
    422,
    INVALID,
    "idempotency_key_reused",
    "This Idempotency-Key was used with another body or route. Use a new key for a new request.",
)
INSUFFICIENT_CREDIT = Problem(
    402, CREDIT, "insufficient_credit", "Not enough credit for this request. Lower max_tokens or add credit."
)
CREDIT_RESERVED = Problem(
    402,
    CREDIT,
    "credit_reserved",
    "Your other running requests hold the credit this one needs. Wait for them to finish or lower max_tokens.",
)
SPEND_LIMIT = Problem(
    402,
    CREDIT,
    "spend_limit_reached",
    "What is left of this API key's spending limit does not cover this request. Edit the key on /account.",
)
RATE_LIMITED = Problem(429, RATE, "rate_limit_exceeded", "Too many requests. Try again later.")
REFUSED_UPSTREAM = Problem(400, INVALID, "refused_by_server", "The model's server refused this request.")
UPSTREAM_FAILED = Problem(
    502,
    SERVER,
    "upstream_failed",
    "Every server that could answer failed. Nothing was charged; try again.",
    None,
    5,
)
UPSTREAM_INVALID = Problem(
    502,
    SERVER,
    "upstream_invalid_response",
    "The server's answer was not usable. Nothing was charged; try again.",
)
UPSTREAM_TIMEOUT = Problem(
    504, SERVER, "upstream_timeout", "No server answered in time. Nothing was charged; try again.", None, 5
)
NO_SERVER = Problem(
    503,
    SERVER,
    "no_server_available",
    "No server of this model is available now. Try again soon.",
    "model",
    10,
)
OVERLOADED = Problem(503, SERVER, "overloaded", "NeuralGate is overloaded. Try again in a moment.", None, 2)
UNAVAILABLE = Problem(
    503,
    SERVER,
    "temporarily_unavailable",
    "NeuralGate cannot reach its database. Try again in a moment.",
    None,
    2,
)
PLATFORM_FAULT = Problem(
    500, SERVER, "platform_fault", "NeuralGate failed while answering. Nothing was charged; try again."
)
