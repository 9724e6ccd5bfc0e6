"""Every page that people see, with people and data in it: from the URL list, and some states more.

A new route is a page without further ado; what is none is named in NO_PAGES with the reason.
"""

import datetime as dt
from dataclasses import dataclass

from django.contrib import admin

from accounts.models import User
from neuralgate import manual
from tests import site
from tests.site import Market, Route

NO_PAGES = {
    "favicon.ico": "a picture",
    "healthz": "for machines",
    "readyz": "for machines",
    "metrics": "for machines",
    "live": "a part of the landing page",
    "admin": "leads to admin/",
    "account/requests.csv": "a file",
    "account/statements/<str:month>.csv": "a file",
    "hosters/statements/<str:month>.csv": "a file",
    "account/credit/automatic": "a button",
    "account/notices/test": "a button",
    "account/notices/stop": "a button",
    "hosters/payouts/<uuid:payout_id>/cancel": "a button",
    "hosters/payouts/stripe": "leads to Stripe",
    "stripe/events": "for Stripe",
    "account/requests/<str:request_id>/dispute": "a button",
    "account/playground/key": "for the playground's script",
    "account/keys/<int:key_id>/end": "a button",
    "hosters/register/<int:draft_id>/leave": "a button",
    "hosters/register/<int:draft_id>/done": "its draft is not done",
    "hosters/servers/<int:server_id>/check": "a button",
    "hosters/servers/<int:server_id>/drain": "a button",
    "hosters/servers/<int:server_id>/models": "a button",
    "hosters/servers/<int:server_id>/models/<int:model_id>": "a button",
    "hosters/servers/<int:server_id>/models/<int:model_id>/retest": "a button",
    "hosters/actions/<int:action_id>/answer": "a button",
    "accounts/2fa/authenticate/": "between two steps of signing in",
    "accounts/2fa/recovery-codes/download/": "a file",
    "accounts/login/code/confirm/": "between two steps of signing in",
    "accounts/2fa/reauthenticate/": "needs a second factor",
    "accounts/2fa/totp/deactivate/": "needs a second factor",
    "accounts/2fa/recovery-codes/": "needs a second factor",
    "accounts/2fa/recovery-codes/generate/": "needs a second factor",
    "accounts/password/reset/key/done/": "needs a mail's link",
    **dict.fromkeys(site.SECRETS - {"join/<str:ticket>"}, "needs a mail's link"),
}
LEAD_ON = {  # pages that show another one to who visits them here
    "register_server": "a registration goes on where it was left",
    "register_token": "a registration goes on where it was left",
    "account_set_password": "who has a password changes it",
    "mfa_activate_totp": "asks for the password first",
    "accounts-2fa-totp-activate": "asks for the password first",
}
NOBODYS = (  # seen by who is not signed in
    *("", "models", "status", "docs", "join", "v1/docs"),
    *(
        "accounts/login/",
        "accounts/signup/",
        "accounts/password/reset/",
        "accounts/login/code/",
        "accounts/inactive/",
    ),
    *("accounts/confirm-email/", "accounts/password/reset/done/"),
)
BOBS = ("hosters/",)
STATES = {  # what the URL list does not show: (path, who)
    "not-found": ("/nowhere", "nobody"),
    "models-none": ("/models?q=nothing+like+it", "nobody"),
    "model-auto": ("/models/auto", "nobody"),
    "model-longest-name": ("/models/" + "m" * 200, "nobody"),
    "landing-signed-in": ("/", "alice"),
    "account-new": ("/account", "dave"),
    "requests-new": ("/account/requests", "dave"),
    "disputes-new": ("/account/disputes", "dave"),
    "register-new": ("/hosters/register", "dave"),
    "statements-new": ("/account/statements", "dave"),
    "statement-of-a-hoster": (f"/account/statements/{dt.datetime.now(dt.UTC):%Y-%m}", "bob"),
    "portal-new": ("/hosters/portal", "dave"),
}


@dataclass(frozen=True)
class Page:
    """who: nobody, joining (has a ticket), alice, bob, dave or eve (staff). ours: not of a package's own design."""

    name: str
    path: str
    who: str = "nobody"
    ours: bool = True

    def __str__(self) -> str:
        return self.name


def pages(market: Market) -> list[Page]:
    found = [page for route in site.routes() if is_page(route) for page in _of(route, market)]
    found += [Page(name, path, who) for name, (path, who) in STATES.items()]
    found += [
        Page(
            f"admin-{model._meta.label_lower}",
            f"/admin/{model._meta.app_label}/{model._meta.model_name}/",
            "eve",
            ours=False,
        )
        for model in admin.site._registry
    ]
    return found


def is_page(route: Route) -> bool:
    of_machines = route.of_the_api and route.template != "v1/docs"
    return (
        not of_machines
        and route.template not in NO_PAGES
        and (not route.of_the_admin or route.template == "admin/")
    )


def user(market: Market, who: str) -> User | None:
    people = {"alice": market.alice, "bob": market.bob, "dave": market.dave}
    return market.eve if who == "eve" else people[who].customer.user if who in people else None


def _of(route: Route, market: Market) -> list[Page]:
    if route.template == "docs/<slug:name>":
        return [Page(f"docs-{name}", f"/docs/{name}") for name in manual.CHAPTERS]
    name = route.name or route.template.strip("/").replace("/", "-")
    path = market.path(route)
    if route.of_the_admin:
        return [Page("admin", path, "eve", ours=False)]
    return [Page(name, path, _who(route), ours=route.template != "v1/docs")]


def _who(route: Route) -> str:
    if route.template == "join/code":
        return "joining"
    if (
        route.template in NOBODYS
        or route.template in site.PUBLIC_IDS
        or route.template == "join/<str:ticket>"
    ):
        return "nobody"
    if route.template == "hosters":
        return "nobody"
    return "bob" if route.template.startswith(BOBS) else "alice"
