"""A local server that speaks the few endpoints of Stripe that we use, with its Idempotency-Keys, and signs events.

`trouble` is what befalls the next calls, one each: "down" (the connection ends), "slow" (done, the answer is late),
"error" (500, nothing done), "done, 500" (done, and 500 is answered), or a tuple (status, error) that refuses.
"""

import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import stripe
from django.test import Client

Object = dict[str, Any]
SECRET = "whsec_test"
DECLINED = (402, {"type": "card_error", "code": "card_declined", "message": "Your card was declined."})
NO_MONEY = (400, {"type": "invalid_request_error", "code": "balance_insufficient", "message": "Too little."})
CLOSED = (400, {"type": "invalid_request_error", "code": "account_invalid", "message": "It is closed."})


class FakeStripe:
    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.calls: list[tuple[str, str, Object]] = []  # method, path, parameters
        self.trouble: list[Any] = []
        self.card_status = "succeeded"
        self.slow_s = 1.0
        self._answers: dict[str | None, Object] = {}
        self._numbers = itertools.count(1)
        self._tag = uuid.uuid4().hex[:8]
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"stripe": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    # ------------------------------------------------------------------------------------------ what people do

    def the(self, kind: str) -> Object:
        """The newest object of a kind."""
        return next(one for one in reversed(self.objects.values()) if one["object"] == kind)

    def count(self, kind: str) -> int:
        return sum(one["object"] == kind for one in self.objects.values())

    def pay(self, session: Object) -> Object:
        """The customer pays on the page: the payment intent."""
        intent = self.make(
            "payment_intent",
            "pi",
            status="succeeded",
            amount_received=session["amount_total"],
            currency="usd",
            customer=session["customer"],
            payment_method=f"pm_{self._tag}_{next(self._numbers)}",
            setup_future_usage=session["payment_intent_data"].get("setup_future_usage"),
            metadata=session["payment_intent_data"]["metadata"],
        )
        session.update(status="complete", payment_status="paid", payment_intent=intent["id"])
        return intent

    def refund(self, intent: Object, cents: int) -> Object:
        return self.make("refund", "re", payment_intent=intent["id"], amount=cents, status="succeeded")

    def dispute(self, intent: Object, cents: int) -> Object:
        return self.make("dispute", "dp", payment_intent=intent["id"], amount=cents, status="needs_response")

    def event(self, kind: str, it: Object) -> Object:
        return {"id": self.new_id("evt"), "object": "event", "type": kind, "data": {"object": {**it}}}

    def make(self, kind: str, prefix: str, **fields: Any) -> Object:
        made = {"id": self.new_id(prefix), "object": kind, "created": int(time.time()), **fields}
        self.objects[made["id"]] = made
        return made

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{self._tag}_{next(self._numbers)}"

    # ------------------------------------------------------------------------------------------- what is asked

    def answer(self, method: str, path: str, asked: Object, key: str | None) -> tuple[int, Object]:
        with self._lock:
            self.calls.append((method, path, asked))
            trouble = self.trouble.pop(0) if self.trouble else None
        if trouble == "down":
            raise ConnectionError
        if trouble == "error":
            return 500, {"error": {"type": "api_error", "message": "Sorry."}}
        if isinstance(trouble, tuple):
            return trouble[0], {"error": trouble[1]}
        with self._lock:
            status, found = (
                (200, self._answers[key]) if key in self._answers else self._act(method, path, asked)
            )
            if key and status == 200:
                self._answers[key] = found
        if trouble == "slow":
            time.sleep(self.slow_s)
        if trouble == "done, 500":
            return 500, {"error": {"type": "api_error", "message": "Sorry."}}
        return status, found

    def _act(self, method: str, path: str, asked: Object) -> tuple[int, Object]:
        kind, _, name = path.removeprefix("/v1/").replace("checkout/sessions", "sessions").partition("/")
        if method == "GET" and name:
            found = self.objects.get(name)
            missing = {
                "type": "invalid_request_error",
                "code": "resource_missing",
                "message": "No such thing.",
            }
            return (200, found) if found else (404, {"error": missing})
        return 200, (self._list(kind, asked) if method == "GET" else MAKERS[kind](self, asked))

    def _list(self, kind: str, asked: Object) -> Object:
        named, field = LISTS[kind]
        rows = [
            one
            for one in reversed(self.objects.values())
            if one["object"] == named and (field is None or one[field] == asked[field])
        ]
        return {"object": "list", "url": f"/v1/{kind}", "has_more": False, "data": rows}


def _session(fake: FakeStripe, asked: Object) -> Object:
    session = fake.make(
        "checkout.session",
        "cs",
        status="open",
        payment_status="unpaid",
        payment_intent=None,
        currency=asked["line_items"]["0"]["price_data"]["currency"],
        amount_total=int(asked["line_items"]["0"]["price_data"]["unit_amount"]),
        customer=asked.get("customer"),
        payment_intent_data=asked["payment_intent_data"],
        metadata=asked["metadata"],
        success_url=asked["success_url"],
    )
    session["url"] = f"{fake.url}/pay/{session['id']}"
    return session


def _intent(fake: FakeStripe, asked: Object) -> Object:
    return fake.make(
        "payment_intent",
        "pi",
        status=fake.card_status,
        amount_received=int(asked["amount"]) if fake.card_status == "succeeded" else 0,
        currency=asked["currency"],
        customer=asked["customer"],
        payment_method=asked["payment_method"],
        metadata=asked["metadata"],
    )


def _account(fake: FakeStripe, asked: Object) -> Object:
    return fake.make(
        "account",
        "acct",
        capabilities={"transfers": "inactive"},
        payouts_enabled=False,
        metadata=asked["metadata"],
    )


def _transfer(fake: FakeStripe, asked: Object) -> Object:
    return fake.make("transfer", "tr", **{**asked, "amount": int(asked["amount"])}, amount_reversed=0)


MAKERS: dict[str, Callable[[FakeStripe, Object], Object]] = {
    "sessions": _session,
    "payment_intents": _intent,
    "accounts": _account,
    "transfers": _transfer,
    "customers": lambda fake, asked: fake.make("customer", "cus", email=asked["email"]),
    "account_links": lambda fake, asked: {
        "object": "account_link",
        "url": f"{fake.url}/join/{asked['account']}",
    },
}


LISTS = {
    "transfers": ("transfer", "transfer_group"),
    "payment_intents": ("payment_intent", "customer"),
    "refunds": ("refund", None),
    "disputes": ("dispute", None),
}


class Handler(BaseHTTPRequestHandler):
    stripe: FakeStripe
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/pay/"):
            self._page(self.stripe.objects[url.path.removeprefix("/pay/")])
        else:
            self._answer("GET", url.path, nested(parse_qsl(url.query)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._answer("POST", self.path, nested(parse_qsl(body)))

    def _page(self, session: Object) -> None:
        """Where a customer pays, in one click."""
        page = f'<!doctype html><link rel="icon" href="data:,"><a href="{session["success_url"]}">Pay</a>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def _answer(self, method: str, path: str, asked: Object) -> None:
        try:
            status, found = self.stripe.answer(method, path, asked, self.headers.get("Idempotency-Key"))
            body = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


def nested(pairs: list[tuple[str, str]]) -> Object:
    """a[b][0]=c → {"a": {"b": {"0": "c"}}}"""
    found: Object = {}
    for name, value in pairs:
        *way, last = name.replace("]", "").split("[")
        inner = found
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return found


def deliver(event: Object | bytes, *, secret: str = SECRET, at: float | None = None) -> int:
    """Post an event as Stripe does: the status of the answer."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at or time.time()))
    client = Client(headers={"Stripe-Signature": header}, raise_request_exception=False)
    return client.post("/stripe/events", body, content_type="application/json").status_code


@contextmanager
def running(settings: Any, monkeypatch: Any) -> Iterator[FakeStripe]:
    """Switched on, with short waits and no repetitions of the library's own."""
    from billing import stripe_client

    fake = FakeStripe()
    settings.STRIPE_SECRET_KEY = f"sk_test_{fake._tag}"
    settings.STRIPE_WEBHOOK_SECRET = ["whsec_other", SECRET]
    settings.STRIPE_API_BASE = fake.url
    monkeypatch.setattr(stripe_client, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(stripe_client, "RETRIES", 0)
    yield fake
    fake.stop()
