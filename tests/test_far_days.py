"""The first and the last day that a field can hold, and months like them: answered in words, never by a failure."""

from urllib.parse import urlencode

import pytest
from django.test import Client

from tests import bookings, factories, staff
from tests.accounts.test_pages import signed_in
from tests.test_account_pages import download

FIRST, LAST = "0001-01-01", "9999-12-31"
PERIODS = [(FIRST, LAST), (LAST, LAST), (FIRST, FIRST), ("", LAST), (LAST, ""), (FIRST, ""), ("", FIRST)]
TOO_LATE = "Choose a day before the year 3000"


def body(answer) -> str:
    page: str = answer.content.decode()
    return page


@pytest.mark.parametrize("action", ["new", "edit"])
@pytest.mark.parametrize("day", [LAST, "3000-01-01"])
def test_a_key_is_not_told_to_work_for_ever(action: str, day: str):
    alice = factories.person()
    path = "/account/keys/new" if action == "new" else f"/account/keys/{alice.api_key.pk}/edit"
    given = {"name": "far", "spend_period": "month", "expires_at": day}
    assert TOO_LATE in body(signed_in(alice).post(path, given))
    assert not alice.customer.api_keys.filter(name="far").exists()


def test_the_last_day_that_a_key_may_have_is_kept_as_it_was_said():
    alice = factories.person()
    given = {"name": "far", "spend_period": "month", "expires_at": "2999-12-31"}
    client = signed_in(alice)
    client.post("/account/keys/new", given)
    row = alice.customer.api_keys.get(name="far")
    assert 'value="2999-12-31"' in body(client.get(f"/account/keys/{row.pk}/edit"))
    assert row.visible_part in body(client.get("/account"))


@pytest.mark.parametrize(("since", "until"), PERIODS)
def test_the_log_and_its_csv_take_any_day(since: str, until: str):
    alice = factories.person()
    _, offer = factories.server()
    call = bookings.book(alice, offer)
    asked = {"since": since, "until": until}
    found = since != LAST and until != FIRST
    assert (str(call.id) in body(signed_in(alice).get("/account/requests", asked))) == found
    assert len(download(alice, f"?{urlencode(asked)}")) == found


@pytest.mark.parametrize("month", ["0001-01", "9999-12", "9999-11", "2000-01"])
def test_a_month_without_a_statement_is_not_there(month: str):
    bob, _ = factories.hoster()
    client = signed_in(bob)
    for whose in ("account", "hosters"):
        for kind in ("", ".csv"):
            assert client.get(f"/{whose}/statements/{month}{kind}").status_code == 404
    for path in (f"/v1/statements/{month}", f"/v1/statements/{month}.csv"):
        assert Client(headers=bob.headers).get(path).status_code == 404


@pytest.mark.parametrize(("first", "last"), PERIODS)
def test_an_accounts_statement_in_the_admin_takes_any_days(first: str, last: str):
    alice = factories.person()
    path = f"/admin/billing/ledgeraccount/{alice.account.pk}/statement/"
    answer = staff.signed_in().get(f"{path}?{urlencode({'first': first, 'last': last})}")
    assert answer.status_code == 200
    if (first, last) == (FIRST, LAST):
        assert '<dd id="closing">$5.00</dd>' in body(answer)
