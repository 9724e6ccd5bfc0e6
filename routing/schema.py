"""The part of the OpenAPI document that no DRF view describes: inference, the export, the error envelope."""

from typing import Any

Json = dict[str, Any]

ROUTING_FIELDS: Json = {
    "tier": {"type": "string", "enum": ["cheapest", "balanced", "fastest"], "default": "balanced"},
    "max_latency_ms": {"type": "integer", "minimum": 1},
    "privacy_mode": {"type": "boolean", "description": "never send this request to a cloud provider"},
    "trusted_only": {"type": "boolean", "description": "only servers with a trust above 0.8"},
    "fallback_models": {"type": "array", "items": {"type": "string"}},
    "allow_hosters": {
        "type": "array",
        "items": {"type": "string"},
        "description": "only these hosters, by name",
    },
    "deny_hosters": {
        "type": "array",
        "items": {"type": "string"},
        "description": "none of these hosters, by name",
    },
    "max_price": {
        "type": "object",
        "description": "nanodollars per token: 100 is 0.10 USD per 1M tokens",
        "properties": {"input": {"type": "integer"}, "output": {"type": "integer"}},
    },
}
MODEL: Json = {"type": "string", "description": "a name from GET /v1/models, or `auto`"}
GENERATION: Json = {
    "max_tokens": {"type": "integer", "minimum": 1},
    "n": {"type": "integer", "minimum": 1},
    "stream": {"type": "boolean", "description": "server-sent events that end in `data: [DONE]`"},
    "stream_options": {"type": "object", "properties": {"include_usage": {"type": "boolean"}}},
    "temperature": {"type": "number"},
}
USAGE: Json = {
    "type": "object",
    "properties": {
        name: {"type": "integer"} for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    },
}
ANSWER: Json = {
    "type": "object",
    "description": "OpenAI's answer as the server gave it; with `stream` its chunks",
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string"},
        "model": {"type": "string"},
        "usage": USAGE,
    },
    "additionalProperties": True,
}
ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string", "description": "what went wrong and what to do"},
                "type": {"type": "string"},
                "param": {"type": "string", "nullable": True},
                "code": {"type": "string"},
            },
        }
    },
}
ERRORS: Json = {
    "4XX": "400 not understood · 401 bad key · 402 not enough credit · 403 not allowed · 404 not found · "
    "429 too many requests, with `Retry-After`",
    "5XX": "502 and 504 every server failed · 503 nobody can serve, with `Retry-After`; nothing is charged",
}
SECURITY: list[dict[str, list[str]]] = [{"bearerKey": []}]


def describe_the_rest(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """drf-spectacular's postprocessing hook: adds the routes above and the errors of every route."""
    messages = {"type": "array", "items": {"type": "object", "additionalProperties": True}}
    text = {"oneOf": [{"type": "string"}, {"type": "array", "items": {}}]}
    paths: Json = result["paths"]
    paths["/v1/chat/completions"] = _inference(
        "chat_completions", "Answer a conversation.", {"messages": messages, **GENERATION}
    )
    paths["/v1/completions"] = _inference("completions", "Continue a text.", {"prompt": text, **GENERATION})
    paths["/v1/embeddings"] = _inference("embeddings", "Turn text into vectors.", {"input": text})
    paths["/v1/usage/export"] = _export(paths["/v1/usage/breakdown"]["get"]["parameters"])
    result.setdefault("components", {}).setdefault("schemas", {})["Error"] = ERROR
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"].update({status: _error(words) for status, words in ERRORS.items()})
    result["paths"] = dict(sorted(paths.items()))
    return result


def _inference(name: str, words: str, fields: Json) -> Json:
    required = ["model", next(iter(fields))]
    schema = {
        "type": "object",
        "required": required,
        "properties": {"model": MODEL, **fields, **ROUTING_FIELDS},
        "additionalProperties": True,
    }
    answer = {"application/json": {"schema": ANSWER}}
    if "stream" in fields:
        answer["text/event-stream"] = {"schema": {"type": "string"}}
    return {
        "post": {
            "operationId": name,
            "description": f"{words} Fields that are not listed here pass through to the server.",
            "tags": ["inference"],
            "security": SECURITY,
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
            "responses": {"200": {"description": "the answer", "content": answer}},
        }
    }


def _export(parameters: list[Json]) -> Json:
    return {
        "get": {
            "operationId": "usage_export",
            "description": "Your requests as CSV: timestamp, model, provider, input_tokens, output_tokens, "
            "total_tokens, cost_usd, latency_ms, success.",
            "tags": ["usage"],
            "security": SECURITY,
            "parameters": parameters,
            "responses": {
                "200": {"description": "the file", "content": {"text/csv": {"schema": {"type": "string"}}}}
            },
        }
    }


def _error(words: str) -> Json:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}
