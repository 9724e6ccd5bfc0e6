"""People and servers for tests. Alice buys, Bob hosts, Carol is a stranger."""

import itertools
import uuid
from dataclasses import dataclass

from django.utils import timezone

from accounts import keys
from accounts.models import ApiKey, Customer, User
from billing import ledger
from billing.models import LedgerAccount
from hosting import tokens
from hosting.models import HostedModel, Hoster, Server

numbers = itertools.count(1)


@dataclass(frozen=True)
class Person:
    customer: Customer
    key: str
    api_key: ApiKey

    @property
    def account(self) -> LedgerAccount:
        return LedgerAccount.objects.get(kind="customer", customer=self.customer)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:10]}"


def person(name: str = "alice", *, tier: str = "internal", sold_nanos: int = 0) -> Person:
    """A customer with the welcome credit of 5 USD, more if sold, and one key."""
    user = User.objects.create_user(f"{unique(name)}@example.org")
    customer = ledger.open_customer(user=user, tier=tier)
    if sold_nanos:
        ledger.sell(customer=customer, amount_nanos=sold_nanos, reference="test", reason="test")
    key, api_key = new_key(customer)
    return Person(customer, key, api_key)


def new_key(customer: Customer, **fields: object) -> tuple[str, ApiKey]:
    key = keys.make()
    row = ApiKey.objects.create(
        customer=customer, name="test", digest=keys.digest(key), visible_part=keys.visible_part(key), **fields
    )
    return key, row


def hoster(name: str = "bob", **fields: object) -> tuple[Person, Hoster]:
    owner = person(name)
    ledger.pending_account(owner.customer)
    return owner, Hoster.objects.create(customer=owner.customer, name=unique(name), **fields)


def server(
    base_url: str = "",
    *,
    model: str | None = None,
    price_in: int = 100,
    price_out: int = 300,
    kind: str = "hoster",
    of: Hoster | None = None,
    token: str = "server-token-of-tests",
    context_window: int = 100_000,
    upstream_name: str = "",
    chats: bool = True,
    **fields: object,
) -> tuple[Server, HostedModel]:
    """A verified server with one model (a name of its own, and an address where nobody listens, unless given)."""
    base_url = base_url or f"http://127.0.0.1:9/{unique('nobody')}"
    if kind == "hoster" and of is None:
        of = hoster()[1]
    row = Server.objects.create(
        kind=kind, hoster=of, name=unique("server"), base_url=base_url, verified_at=timezone.now(), **fields
    )
    row.token_encrypted = tokens.seal(server_id=row.pk, token=token) if token else ""
    row.save(update_fields=["token_encrypted"])
    offer = HostedModel.objects.create(
        server=row,
        model_id=model or unique("model"),
        price_per_input_token=price_in,
        price_per_output_token=price_out,
        context_window=context_window,
        upstream_name=upstream_name,
        chats=chats,
    )
    return row, offer
