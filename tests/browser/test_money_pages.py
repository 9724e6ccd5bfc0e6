"""Buying credit and asking for payouts as people see it: there and back again, on every screen."""

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from accounts.models import Customer
from billing import ledger, payouts, recharges, topups
from billing.models import Recharge, TopUp
from hosting.models import Hoster
from tests import bookings, factories
from tests.billing.test_reversals import release_all
from tests.browser.test_pages import SCREENS, fits, sign_up
from tests.fake_stripe import FakeStripe, deliver, running
from tests.gateway import RunningGateway
from tests.routing.test_usage_api import address

pytestmark = [pytest.mark.slow, pytest.mark.browser]
USD = 10**9


@pytest.fixture
def stripe(site: RunningGateway, settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeStripe]:
    with running(settings, monkeypatch) as fake:
        settings.PUBLIC_URL = site.url
        yield fake


def test_alice_buys_credit_and_sees_it_arrive(stripe: FakeStripe, open_page: Callable[..., Page]):
    page = open_page()
    sign_up(page)
    page.get_by_role("link", name="Credit", exact=True).click()
    page.get_by_role("button", name="$25").click()
    page.get_by_role("link", name="Pay", exact=True).click()  # Stripe's page, reached by itself
    expect(page.get_by_role("heading", name="Waiting for the payment …")).to_be_visible()
    session = stripe.the("checkout.session")
    stripe.pay(session)
    assert deliver(stripe.event("checkout.session.completed", session)) == 200
    expect(page.get_by_role("heading", name="$25.00 of credit is yours")).to_be_visible()
    expect(page.get_by_text("$30.00 to spend now")).to_be_visible()


def test_the_pages_of_money_fit_every_screen_and_have_no_barriers(
    stripe: FakeStripe, open_page: Callable[..., Page], settings, travel
):
    keys = settings.STRIPE_SECRET_KEY
    for day, screen in enumerate(SCREENS, 1):
        page = open_page(**screen)
        settings.STRIPE_SECRET_KEY = ""
        email = sign_up(page)
        customer = Customer.objects.get(user__email=email)
        look(page, "/account/credit", "credit-off")
        look(page, "/hosters/payouts", "payouts-none")
        settings.STRIPE_SECRET_KEY = keys
        earn(customer)
        travel(dt.timedelta(hours=25 * day))
        release_all()
        waiting = fill(customer)
        look(page, "/account/credit", "credit")
        look(page, "/hosters/payouts", "payouts")
        look(page, f"/account/credit/{waiting.pk}", "credit-waiting")


def look(page: Page, path: str, name: str) -> None:
    page.goto(path)
    fits(page, name)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def earn(customer: Customer) -> None:
    """80 USD of bought money, pending."""
    alice = factories.person("alice", sold_nanos=100 * USD)
    bookings.spend(alice, 5 * USD)
    ledger.pending_account(customer)
    hoster = Hoster.objects.create(customer=customer, name=factories.unique("bob"))
    _, offer = factories.server(address(), of=hoster, price_in=1_000_000, price_out=0)
    bookings.book(alice, offer, input_tokens=100_000, output_tokens=0)


def fill(customer: Customer) -> TopUp:
    """Purchases and payouts in several states; returns an open purchase."""
    topups.pay(
        topup=TopUp.objects.create(customer=customer, amount_nanos=25 * USD).pk,
        payment=None,
        amount_cents=2_500,
        currency="usd",
    )
    TopUp.objects.create(
        customer=customer,
        amount_nanos=20 * USD,
        automatic=True,
        state="expired",
        error="Your card was declined.",
    )
    recharges.wish(
        customer=customer, enabled=True, below_nanos=5 * USD, amount_nanos=20 * USD, month_max_nanos=100 * USD
    )
    Recharge.objects.filter(customer=customer).update(
        payment_method="pm_1", paused_because="Your card was declined."
    )
    payouts.store_destination(customer=customer, method="stripe", destination="acct_1")
    asked = [
        payouts.ask(customer=customer, amount_nanos=20 * USD, method=method, destination="somewhere")
        for method in ("paypal", "crypto")
    ]
    payouts.cancel(payout=asked[0], actor=customer.user)
    return TopUp.objects.create(customer=customer, amount_nanos=10 * USD)
