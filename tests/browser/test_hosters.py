"""The hosters' journeys: from the address to money that is spent; another token; probation; a dispute."""

import datetime as dt
import re
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from billing import disputes, lifetime, tasks
from billing import money as amounts
from billing.models import Dispute
from hosting.models import Hoster, Server
from tests import bookings, factories, fakes, staff
from tests.browser.test_admin import sign_in
from tests.browser.test_pages import OpenPage, sign_up
from tests.gateway import RunningGateway

pytestmark = [pytest.mark.slow, pytest.mark.browser]

Travel = Callable[[dt.timedelta], None]
REQUESTS_MAX = 30  # 5 USD of welcome credit are 20, at 250 tokens of 0.001 USD


@pytest.fixture
def model() -> str:
    return factories.unique("qwen")


@pytest.fixture
def fake(model: str) -> Iterator[fakes.FakeServer]:
    server = fakes.FakeServer(fakes.model(names=[model, f"{model}-large"], usage=(250, 250)))
    yield server
    server.stop()


@pytest.fixture
def sells(model: str) -> Iterator[fakes.FakeServer]:
    """Carol's server, where Bob spends."""
    server = fakes.FakeServer(fakes.model(names=[f"{model}-carols"], usage=(250, 250)))
    yield server
    server.stop()


def register(page: Page, fake: fakes.FakeServer, model: str) -> str:
    """The whole wizard, with a check that fails on the way: the linked key."""
    page.get_by_label("Name", exact=True).fill(factories.unique("Bob's GPU"))
    page.get_by_label("Address").fill(fake.base_url)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Step 2 of 5")).to_be_visible()
    page.get_by_role("button", name="Show the token").click()
    token = page.locator("#token").inner_text()
    expect(page.get_by_text(f"--api-key {token}").first).to_be_visible()
    page.get_by_role("link", name="It runs: go on").click()
    page.get_by_role("button", name="Check my server").click()
    expect(page.get_by_role("button", name="Check again")).to_be_visible()  # it has another token still
    expect(page.locator(".stages .failed")).to_contain_text("401")
    fake.token = token
    page.get_by_role("button", name="Check again").click()
    page.get_by_role("link", name="Go on to models and prices").click()
    offer = page.get_by_role("group", name=model, exact=True)
    offer.get_by_label("Input price").fill("1000000")
    offer.get_by_label("Output price").fill("3000000")
    page.get_by_role("group", name=f"{model}-large").get_by_label("Offer it").uncheck()
    page.get_by_role("button", name="Check them and start").click()
    expect(page.get_by_text("is in traffic")).to_be_visible()
    page.get_by_role("button", name="Show my key").click()
    return page.locator("#key").inner_text()


def ask(site: RunningGateway, key: str, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "word " * 250}], "max_tokens": 300}
    return httpx.post(
        f"{site.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=15
    )


def test_bob_registers_serves_earns_and_spends(
    open_page: OpenPage,
    site: RunningGateway,
    fake: fakes.FakeServer,
    sells: fakes.FakeServer,
    model: str,
    travel: Travel,
):
    page = open_page()
    sign_up(page, "bob")
    page.get_by_role("link", name="Portal").click()
    page.get_by_role("link", name="Register a server").click()
    key = register(page, fake, model)
    server = Server.objects.get(base_url=fake.base_url)
    site.wait_for(server)
    alice = factories.person("alice", sold_nanos=10_000_000_000)
    bookings.spend(alice, 5_000_000_000)  # what was given; what is bought earns what can be paid out
    for _ in range(3):
        answer = ask(site, alice.key, model)
        assert answer.status_code == 200, answer.text
    page.goto("/hosters/portal")
    money = page.locator("#money")
    customer = server.hoster.customer
    earned_nanos = lifetime.of(customer).earned_nanos
    assert earned_nanos > 5_000_000
    expect(money.get_by_role("row", name=re.compile("Pending"))).to_contain_text(amounts.text(earned_nanos))
    expect(money.locator("[data-countdown]")).to_have_text(re.compile(r"^2[34]:\d\d:\d\d$"))
    travel(dt.timedelta(hours=25))
    assert tasks.release_pending_credits()
    page.reload()
    expect(money.locator("[data-countdown]")).to_have_count(0)
    spendable = money.get_by_role("row", name=re.compile("To spend now"))
    expect(spendable).to_contain_text(amounts.text(earned_nanos))
    carols, bought = factories.server(
        sells.base_url, model=f"{model}-carols", price_in=1_000_000, price_out=0
    )
    site.wait_for(carols)
    for _ in range(REQUESTS_MAX):  # the welcome credit goes first
        answer = ask(site, key, bought.model_id)
        assert answer.status_code == 200, answer.text
        spent_nanos = lifetime.of(customer).spent_nanos
        if spent_nanos:
            break
    assert spent_nanos > 0
    page.reload()
    expect(money.get_by_role("row", name=re.compile("Spent"))).to_contain_text(amounts.text(spent_nanos))
    expect(spendable).to_contain_text(amounts.text(earned_nanos - spent_nanos))


def test_a_server_is_registered_without_scripts(open_page: OpenPage, fake: fakes.FakeServer, model: str):
    page = open_page(java_script_enabled=False)
    sign_up(page, "bob")
    page.goto("/hosters/register")
    assert register(page, fake, model).startswith("ngk_")


def test_bob_rotates_his_token_and_the_old_one_is_refused(
    open_page: OpenPage, site: RunningGateway, fake: fakes.FakeServer, model: str
):
    page = open_page()
    email = sign_up(page, "bob")
    server, _ = hosted(email, fake, model)
    site.wait_for(server)
    alice = factories.person()
    assert ask(site, alice.key, model).status_code == 200
    page.goto("/hosters/portal")
    page.get_by_role("link", name=f"Rotate the token of {server.name}").click()
    page.get_by_role("button", name="Rotate the token").click()
    token = page.locator("#token").inner_text()
    old, fake.token = fake.token, token
    assert httpx.get(f"{fake.base_url}/health", headers={"Authorization": f"Bearer {old}"}).status_code == 401
    fake.requests.clear()
    page.get_by_role("button", name="Check my server").click()
    expect(page.get_by_text("passed every check")).to_be_visible()
    site.wait_for(server)
    assert ask(site, alice.key, model).status_code == 200
    carried = {request.headers.get("authorization") for request in fake.asked}
    assert f"Bearer {token}" in carried
    assert f"Bearer {old}" not in carried


def test_a_price_is_told_in_dollars_while_it_is_typed(
    open_page: OpenPage, fake: fakes.FakeServer, model: str
):
    page = open_page()
    email = sign_up(page, "bob")
    server, _ = hosted(email, fake, model)
    page.goto(f"/hosters/servers/{server.pk}")
    price = page.get_by_label(f"Input price of {model}")
    for typed, told in (
        ("50", "$0.05 per 1M tokens"),
        ("0", "free: nobody pays for these tokens"),
        ("9" * 21, "At most 1,000,000,000: that is $1,000,000.00 per 1M tokens."),
    ):
        price.fill(typed)
        expect(price).to_have_accessible_description(told)


def hosted(email: str, fake: fakes.FakeServer, model: str) -> tuple[Server, Hoster]:
    """A server in traffic of who signed up with this address."""
    customer = factories.Customer.objects.get(user__email=email)
    factories.ledger.pending_account(customer)
    hoster = Hoster.objects.create(customer=customer, name=factories.unique("bob"))
    server, _ = factories.server(fake.base_url, of=hoster, model=model)
    return server, hoster


def test_probation_by_an_admin_is_seen_answered_and_lifted(
    open_page: OpenPage, fake: fakes.FakeServer, model: str
):
    page = open_page()
    email = sign_up(page, "bob")
    _, hoster = hosted(email, fake, model)
    eve = open_page(viewport={"width": 1280, "height": 900})
    sign_in(eve)
    eve.goto(f"/admin/hosting/hoster/{hoster.pk}/change/")
    eve.get_by_role("button", name="Put on probation").click()
    eve.get_by_label("Reason").fill("Answers were cut short on Monday.")
    eve.get_by_role("button", name="Put on probation").click()
    expect(eve.get_by_text(f"{hoster.name}: put on probation")).to_be_visible()
    page.goto("/hosters/portal")
    expect(page.get_by_text("Half of your traffic until the reason is gone.").first).to_be_visible()
    expect(page.get_by_text("Answers were cut short on Monday.").first).to_be_visible()
    page.locator("summary", has_text="Answer").first.click()
    page.get_by_label("Your answer, once").fill("A power supply; it is replaced.")
    page.get_by_role("button", name="Send the answer").click()
    expect(page.get_by_text("Your answer is sent")).to_be_visible()
    eve.goto("/admin/moderation/")
    case = eve.locator("#answers article").filter(has_text=hoster.name)
    expect(case).to_contain_text("A power supply; it is replaced.")
    case.get_by_role("button", name="Reinstate").click()
    eve.get_by_label("Reason").fill("It is mended.")
    eve.get_by_role("button", name="Reinstate").click()
    expect(eve.get_by_text(f"{hoster.name}: reinstated")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Half of your traffic")).to_have_count(0)
    expect(page.get_by_text("It is mended.").first).to_be_visible()


def test_a_dispute_is_opened_decided_and_seen_by_both(
    open_page: OpenPage, fake: fakes.FakeServer, model: str
):
    bob_sees = open_page()
    email = sign_up(bob_sees, "bob")
    server, _ = hosted(email, fake, model)
    alice_sees = open_page()
    customer = factories.Customer.objects.get(user__email=sign_up(alice_sees, "alice"))
    alice = factories.Person(customer, *factories.new_key(customer))
    call = bookings.book(alice, server.models.get())
    alice_sees.goto(f"/account/requests/{call.id}")
    alice_sees.locator("summary", has_text="Dispute this request").click()
    alice_sees.get_by_label("What is wrong").select_option("incomplete")
    alice_sees.get_by_label("In your words").fill("My private words.")
    alice_sees.get_by_role("button", name="Dispute it").click()
    expect(alice_sees.get_by_text("It is disputed.")).to_be_visible()
    bob_sees.goto("/hosters/portal")
    case = bob_sees.locator("#disputes")
    expect(case.get_by_text("open", exact=True)).to_be_visible()
    expect(case.get_by_text("$0.00008")).to_be_visible()
    assert "My private words." not in bob_sees.content()
    assert customer.user.email not in bob_sees.content()
    dispute = Dispute.objects.get(charge=call.id)
    disputes.decide(dispute=dispute, upheld=True, verdict="It was cut off.", actor=staff.member())
    bob_sees.reload()
    expect(case.get_by_text("It was cut off.")).to_be_visible()
    alice_sees.goto("/account/disputes")
    expect(alice_sees.get_by_text("It was cut off.")).to_be_visible()
