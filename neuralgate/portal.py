"""Everything that the hosters' portal shows, read in a bounded number of questions."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, Func
from django.db.models.fields import DateTimeField

from accounts.models import Customer
from billing import lifetime
from billing.lifetime import Lifetime
from billing.models import Dispute, Payout
from hosting import looks, offered, standing
from hosting.models import HostedModel, Hoster, ModerationAction, Server
from hosting.offered import Offered
from hosting.standing import Standing
from neuralgate import charts, earning_charts, score_charts
from neuralgate.earning_charts import Earned
from routing import losses, shares
from routing.losses import Losses
from routing.shares import Shares

CASES_SHOWN = 10
CLOCK = Func(function="app_now", output_field=DateTimeField())


@dataclass(frozen=True, slots=True)
class ServerRow:
    server: Server
    standing: Standing
    hours: list[looks.Hour]
    models: list[Offered]

    @property
    def deactivated(self) -> list[HostedModel]:
        return [row.model for row in self.models if row.model.deactivated_at]


@dataclass(frozen=True, slots=True)
class Portal:
    hoster: Hoster
    now: dt.datetime
    servers: list[ServerRow]
    money: Lifetime
    earned: Earned
    shares: Shares
    losses: Losses
    actions: list[ModerationAction]
    disputes: list[Dispute]
    payouts: list[Payout]
    health_data: str
    trust_data: str
    trust_days: list[tuple[str, float]]
    trust_parts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def standing(self) -> Standing:
        return standing.of_hoster(self.hoster)

    @property
    def release_in_s(self) -> int:
        """Seconds until the next release; 0 when it is due, or there is none."""
        due = self.money.next_release_at
        return max(int((due - self.now).total_seconds()), 0) if due else 0

    @property
    def places(self) -> list[tuple[str, str, int, str]]:
        """Where everything is that was ever earned: (class, words, nanodollars, note). They add up to it."""
        money = self.money
        return [
            ("pending", "Pending", money.pending_nanos, "24 hours from the request, against fraud"),
            ("frozen", "Frozen", money.frozen_nanos, "until a dispute is decided"),
            ("available", "To spend now", money.available_nanos, "on any model, with any of your keys"),
            ("spent", "Spent", money.spent_nanos, "on requests of your own"),
            ("leaving", "In payout", money.in_payout_nanos, "reserved, on its way to you"),
            ("paid", "Paid out", money.paid_out_nanos, "as cash"),
            ("reversed", "Given back", money.reversed_nanos, "to customers: disputes upheld, refunds"),
            ("kept", "Kept back", money.kept_back_nanos, "for what was given back after its release"),
        ]

    @property
    def parts(self) -> list[charts.Part]:
        return charts.parts(*((name, amount) for name, _, amount, _ in self.places))


def of(customer: Customer, *, days: str) -> Portal | None:
    """None for who hosts nothing. days: one of earning_charts.PERIODS."""
    servers = list(
        Server.objects.filter(hoster__customer=customer)
        .select_related("hoster", "circuit")
        .prefetch_related("models")
        .annotate(clock=CLOCK)
        .order_by("pk")
    )
    hoster = servers[0].hoster if servers else _hoster(customer)
    if hoster is None:
        return None
    now: dt.datetime = (servers[0].clock if servers else hoster.clock).astimezone(dt.UTC)  # type: ignore[attr-defined]  # annotated
    own = [server.pk for server in servers]
    names = {model.model_id for server in servers for model in server.models.all()}
    hours = looks.of_servers(own, now)
    earned = earning_charts.of(customer, now=now, days=days)
    return Portal(
        hoster=hoster,
        now=now,
        servers=_rows(hoster, servers, hours, now),
        money=lifetime.of(customer),
        earned=earned,
        shares=shares.of_servers(own, sorted(names), now=now, days=earned.days),
        losses=losses.of_servers(set(own)),
        actions=standing.actions(hoster),
        disputes=_disputes(customer),
        payouts=list(customer.payouts.order_by("-requested_at")[:CASES_SHOWN]),
        health_data=score_charts.health(servers, hours, now),
        trust_data=score_charts.trust(hoster),
        trust_days=score_charts.trust_rows(hoster),
        trust_parts=standing.trust_parts(hoster),
    )


def _hoster(customer: Customer) -> Hoster | None:
    return Hoster.objects.filter(customer=customer).annotate(clock=CLOCK).first()


def _rows(
    hoster: Hoster,
    servers: Sequence[Server],
    hours: dict[int, list[looks.Hour]],
    now: dt.datetime,
) -> list[ServerRow]:
    offers = offered.of_servers(hoster, servers)
    return [
        ServerRow(server, stands, hours.get(server.pk, []), offers[server.pk])
        for server, stands in standing.of_servers(servers, now)
    ]


def _disputes(customer: Customer) -> list[Dispute]:
    """Against this hoster, without who opened them and what they wrote."""
    against = customer.disputes_against.order_by(F("decided_at").desc(nulls_first=True), "-opened_at")
    return list(against.defer("detail", "customer")[:CASES_SHOWN])
