"""Every route of the site from its URL list, and a market with people in it whose ids fill them.

A route with a parameter that nobody here knows raises UnknownParameter: whoever adds one says here whose it is.
"""

import datetime as dt
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.sessions.backends.db import SessionStore
from django.db.models.functions import Now
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from accounts.models import User
from billing import disputes, payouts
from billing.models import TopUp
from hosting import moderation, stages
from hosting.models import HealthCheck, HostedModel, Hoster, ModerationAction, Server
from hosting.moderation import Kind
from neuralgate import joining, manual
from routing import pulse
from routing.models import OutcomeHour
from tests import bookings, factories, staff
from tests.factories import Person

PARAMETER = re.compile(r"<(?:(?P<kind>\w+):)?(?P<name>\w+)>|\(\?P<(?P<group>\w+)>(?:[^()]|\([^()]*\))*\)")
MODEL = "qwen/qwen2.5:7b-instruct"
PUBLIC_IDS = {  # what everybody may see
    "models/<path:model_id>",
    "docs/<slug:name>",
    "v1/models/<path:model_id>",
}
CALLERS_OWN = {  # the same address shows everybody what is his
    *("account/statements/<str:month>", "account/statements/<str:month>.csv"),
    *("hosters/statements/<str:month>", "hosters/statements/<str:month>.csv"),
    *("v1/statements/<str:month>", "v1/statements/<str:month>.csv"),
}
SECRETS = {  # what opens them was sent to one person by mail and is no object that could be counted through
    "join/<str:ticket>",
    r"accounts/^confirm-email/(?P<key>[-:\w]+)/$",
    r"accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
}


class UnknownParameter(AssertionError):
    """A route of the URL list has a parameter, and this file does not say whose object fills it."""


@dataclass(frozen=True)
class Route:
    """template: as the URL list says it, with its parameters."""

    template: str
    name: str | None

    @property
    def parameters(self) -> list[str]:
        """As they stand in the template."""
        return [found[0] for found in PARAMETER.finditer(self.template)]

    @property
    def of_the_admin(self) -> bool:
        return self.template.startswith("admin/")

    @property
    def of_the_api(self) -> bool:
        return self.template.startswith("v1/") or self.template == "hosters/drain"

    def __str__(self) -> str:
        return self.template or "landing"


def routes() -> list[Route]:
    """Without the last resort of /v1, which only says that there is nothing."""
    return [route for route in _walk(get_resolver().url_patterns, "") if route.template != "^v1/"]


def _walk(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[Route]:
    for pattern in patterns:
        template = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, template)
        else:
            yield Route(template, pattern.name)


@dataclass(frozen=True)
class Market:
    """Alice buys, Bob hosts (two servers, things that were done to him), Dave has just joined, Eve is staff."""

    alice: Person
    bob: Person
    dave: Person
    eve: User
    hoster: Hoster
    server: Server
    offer: HostedModel
    action: ModerationAction
    draft: Server  # Bob registers it, and is to choose its models
    call: uuid.UUID  # of Alice, served by Bob
    payout: uuid.UUID  # Bob asked for it
    topup: uuid.UUID  # Alice began it
    ticket: str  # of somebody who asked for a code

    def path(self, route: Route) -> str:
        """The route with ids of Alice's and Bob's things. Raises UnknownParameter."""
        known = {
            "<int:key_id>": self.alice.api_key.pk,
            "<int:server_id>": self.server.pk,
            "<int:draft_id>": self.draft.pk,
            "<int:model_id>": self.offer.pk,
            "<int:action_id>": self.action.pk,
            "<str:request_id>": self.call,
            "<uuid:payout_id>": self.payout,
            "<uuid:topup_id>": self.topup,
            "<path:model_id>": self.offer.model_id,
            "<str:month>": f"{timezone.now().astimezone(dt.UTC):%Y-%m}",
            "<slug:name>": next(iter(manual.CHAPTERS)),
            "<str:ticket>": (joining.asked_with(self.ticket) or joining.Asked("", "", "gone")).link,
        }
        path = route.template
        for parameter in route.parameters:
            if parameter not in known:
                raise UnknownParameter(
                    f"Who owns what {parameter} stands for in {route.template!r}? Say it in {__file__}."
                )
            path = path.replace(parameter, str(known[parameter]), 1)
        return "/" + path

    @property
    def marks(self) -> list[str]:
        """Words that stand on pages of Alice and Bob, and on nobody else's."""
        return [
            self.alice.customer.user.email,
            self.bob.customer.user.email,
            self.alice.api_key.visible_part,
            self.bob.api_key.visible_part,
            self.server.base_url,
            self.server.name,
            self.action.reason,
            str(self.call),
            str(self.payout),
            str(self.topup),
        ]


def open_market() -> Market:
    """Made anew for each caller; names are plain where nobody has them yet."""
    days = {
        (timezone.now() - dt.timedelta(days=back)).date().isoformat(): 0.86 - back * 0.012
        for back in range(29)
    }
    bob, hoster = factories.hoster(
        "bob", trust=0.86, trust_at=timezone.now(), trust_parts=PARTS, trust_days=days, is_new=False
    )
    _rename(hoster, "northern-lights")
    server, offer = factories.server(
        f"https://{factories.unique('gpu')}.example:8443",
        of=hoster,
        model=MODEL,
        price_in=60,
        price_out=120,
        uptime=0.998,
    )
    _measure(offer, first_ms=140, tokens_per_s=88.0, consistency=0.97)
    _, off = factories.server(
        f"https://{factories.unique('gpu')}.example", of=hoster, model="mistralai/mistral-small-24b"
    )
    moderation.deactivate_offer(off, reason="Its answers are those of a smaller model.", rule="consistency")
    broken, _ = factories.server(f"https://{factories.unique('gpu')}.example", of=hoster, model=MODEL)
    error = "It lets strangers in: without the token it answers 200 instead of 401."
    Server.objects.filter(pk=broken.pk).update(verified_at=None, verification_error=error)
    for seconds, ok in enumerate((True, True, False, True)):
        HealthCheck.objects.create(
            server=server, latency_ms=40 + seconds, ok=ok, error="" if ok else "timeout"
        )
    reason = f"A fifth of the answers were cut short ({factories.unique('case')})."
    action = moderation.act(Kind.WARN, hoster, reason=reason, rule="odd-answers")
    assert action is not None
    _competition()
    alice, dave = factories.person("alice", sold_nanos=12_500_000_000), factories.person("dave")
    factories.new_key(alice.customer, allowed_models=["auto", MODEL], spend_limit_nanos=500_000_000)
    factories.new_key(alice.customer, revoked_at=timezone.now())
    calls = [
        bookings.book(alice, offer, input_tokens=tokens, output_tokens=tokens // 2)
        for tokens in (250, 1_200, 40)
    ]
    disputes.open_(
        customer=alice.customer, charge=calls[1].id, reason="incomplete", detail="It stops in the middle."
    )
    bookings.earn(hoster, 40_000_000_000)
    payout = payouts.ask(
        customer=bob.customer, amount_nanos=12_000_000_000, method="paypal", destination="bob@example.org"
    )
    bookings.void(bookings.admit(alice, offer))
    dave.customer.api_keys.update(revoked_at=Now())
    alice.customer.user.set_password("a long enough sentence")
    alice.customer.user.save(update_fields=["password"])
    eve = staff.member()
    _history()
    return Market(
        alice,
        bob,
        dave,
        eve,
        hoster,
        server,
        offer,
        action,
        draft(hoster),
        calls[0].id,
        payout.pk,
        TopUp.objects.create(customer=alice.customer, amount_nanos=25_000_000_000).pk,
        joining.begin(f"{factories.unique('new')}@example.org"),
    )


PARTS = {
    name: {"value": 0.86, "detail": "of the last seven days"}
    for name in ("success", "consistency", "volume", "age")
}


def draft(hoster: Hoster) -> Server:
    passed = {stage.name: "" for stage in stages.STAGES}
    models = [[MODEL, 32_768], ["nomic-embed-text", None]]
    return Server.objects.create(
        hoster=hoster, name="second rack", base_url=f"https://{factories.unique('gpu')}.example",
        token_encrypted="sealed", setup={"checks": passed, "models": models},
    )  # fmt: skip


def _rename(hoster: Hoster, name: str) -> None:
    if not Hoster.objects.filter(name=name).exists():
        hoster.name = name
        hoster.save(update_fields=["name"])


def _measure(offer: HostedModel, *, first_ms: int, tokens_per_s: float, consistency: float) -> None:
    HostedModel.objects.filter(pk=offer.pk).update(
        ttft_ms_p50=first_ms, ttft_ms_p95=3 * first_ms, latency_ms_p50=9 * first_ms, latency_ms_p95=20 * first_ms,
        tokens_per_s=tokens_per_s, consistency=consistency, consistency_at=timezone.now(),
    )  # fmt: skip


def _competition() -> None:
    """Other hosters, an operator's free server, a model that is out of reach, and one with the longest name."""
    for name, model, price, first_ms, speed, trust in (
        ("sirius-compute", MODEL, 45, 310, 41.0, 0.91),
        ("kiln", MODEL, 80, 90, 130.0, 0.83),
        ("basement-4090", MODEL, 20, 620, 22.5, 0.5),
        ("sirius-large", "meta-llama/llama-3.3-70b-instruct", 500, 420, 31.0, 0.93),
        ("kiln-two", "deepseek-ai/deepseek-r1-distill-qwen-32b", 300, 380, 36.0, 0.84),
    ):
        _, hoster = factories.hoster(trust=trust, is_new=trust < 0.8)
        _rename(hoster, name)
        _, offer = factories.server(
            f"https://{factories.unique('gpu')}.example", of=hoster, model=model, price_in=price, price_out=2 * price,
            uptime=0.99, context_window=131_072,
        )  # fmt: skip
        _measure(offer, first_ms=first_ms, tokens_per_s=speed, consistency=0.94)
    factories.server(
        f"https://{factories.unique('own')}.example",
        kind="local",
        model="llama-3.2-1b",
        price_in=0,
        price_out=0,
    )
    factories.server(
        f"https://{factories.unique('gpu')}.example", model=factories.unique("gone/model"), health=0.1
    )
    _, longest = factories.hoster()
    _rename(longest, "h" * 80)
    factories.server(
        f"https://{factories.unique('gpu')}.example",
        of=longest,
        model="m" * 200,
        price_in=10**9,
        price_out=10**9,
    )


def _history() -> None:
    """Thirty days of requests, of which some failed."""
    pulse.count_outcomes()
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for day in range(1, 30):
        failed = {4: 90, 17: 14}.get(day, day % 3 // 2)
        OutcomeHour.objects.filter(hour=this_hour - dt.timedelta(days=day)).update(
            served=640 - 7 * day, failed=failed
        )


def signed_in(user: User | None, **session: object) -> Client:
    """A browser of this user, who proved to be it a moment ago, and need not do so again for an hour.

    Staff passed their second factor, too.
    """
    client = Client()
    if user is not None:
        client.force_login(user)
        factors = [{"method": "mfa", "type": "totp", "at": time.time() + 3_600}] if user.is_staff else []
        session["account_authentication_methods"] = [
            {"method": "password", "at": time.time() + 3_600},
            *factors,
        ]
        session["account_authentication_methods_user"] = str(user.pk)
    store = SessionStore(client.session.session_key) if user is not None else SessionStore()
    store.update(session)
    store.save()
    client.cookies["session"] = store.session_key or ""
    return client
