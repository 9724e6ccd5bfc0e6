"""Moderation: what is done to whom, by which right, with which words, and the way back."""

import json

import httpx
import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction

from billing import emails
from hosting import moderation
from hosting.models import ModerationAction
from hosting.moderation import Kind, ModerationRefused
from tests import factories, fakes
from tests.gateway import RunningGateway


@pytest.fixture
def admin() -> object:
    return factories.person("admin").customer.user


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Kind.WARN, "warned"),
        (Kind.PROBATION, "probation"),
        (Kind.SUSPEND, "suspended"),
        (Kind.DEACTIVATE, "deactivated"),
    ],
)
def test_a_person_changes_a_standing_with_a_reason_and_back(admin, kind: Kind, status: str) -> None:
    _, bob = factories.hoster()
    done = moderation.act(kind, bob, reason="Because.", actor=admin)
    assert (bob.status, bob.status_reason) == (status, "Because.")
    assert done is not None
    assert (done.status_before, done.status_after, done.actor) == ("active", status, admin)
    moderation.act(Kind.REINSTATE, bob, reason="Explained.", actor=admin)
    assert (bob.status, bob.status_reason) == ("active", "")
    assert [action.kind for action in bob.actions.order_by("pk")] == [kind, "reinstate"]


def test_a_rule_never_softens_what_stands_and_never_says_a_thing_twice() -> None:
    _, bob = factories.hoster(status="suspended")
    assert moderation.act(Kind.PROBATION, bob, reason="Claims.", rule="token-claims") is None
    assert bob.status == "suspended"
    _, carol = factories.hoster("carol")
    assert moderation.act(Kind.PROBATION, carol, reason="Claims.", rule="token-claims")
    assert moderation.act(Kind.PROBATION, carol, reason="Claims.", rule="token-claims") is None
    assert carol.actions.count() == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Kind.PROBATION, "probation"),
        (Kind.SUSPEND, "suspended"),
        (Kind.DEACTIVATE, "deactivated"),
        (Kind.REINSTATE, "active"),
    ],
)
def test_what_a_person_does_twice_is_refused_and_nobody_is_told(admin, kind: Kind, status: str) -> None:
    _, bob = factories.hoster(status=status)
    mail.outbox.clear()
    with pytest.raises(ModerationRefused, match="already: nothing was changed"):
        moderation.act(kind, bob, reason="Again.", actor=admin)
    assert bob.actions.count() == 0
    assert not bob.customer.notices.exists()
    assert kind not in moderation.possible(status)


def test_what_only_speaks_can_be_said_again(admin) -> None:
    _, bob = factories.hoster(status="warned")
    for kind in (Kind.NOTICE, Kind.WARN, Kind.WARN):
        assert moderation.act(kind, bob, reason="Again.", actor=admin)
    assert bob.actions.count() == 3
    assert bob.status == "warned"


def test_only_what_would_change_something_is_possible() -> None:
    assert set(moderation.possible("active")) == set(Kind) - {Kind.REINSTATE}
    assert set(moderation.possible("suspended")) == set(Kind) - {Kind.SUSPEND}
    assert set(moderation.possible("warned")) == set(Kind)


@pytest.mark.parametrize(
    ("reason", "rule", "by"),
    [(" ", "r", False), ("x" * 2_001, "r", False), ("x", "", False), ("x", "r", True)],
)
def test_nothing_is_done_without_a_reason_or_without_somebody(
    admin, reason: str, rule: str, by: bool
) -> None:
    _, bob = factories.hoster()
    with pytest.raises(ModerationRefused):
        moderation.act(Kind.WARN, bob, reason=reason, rule=rule, actor=admin if by else None)
    assert bob.actions.count() == 0


def test_the_database_refuses_an_action_without_a_reason_or_without_somebody() -> None:
    _, bob = factories.hoster()
    for fields in ({"reason": "", "rule": "r"}, {"reason": "x", "rule": ""}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ModerationAction.objects.create(
                hoster=bob, kind="warn", status_before="active", status_after="warned", **fields
            )


def test_the_hoster_gets_a_mail_with_the_reason_and_the_operator_hears_of_rules_and_answers(settings) -> None:
    settings.ADMINS = [("Admin", "ops@example.org")]
    owner, bob = factories.hoster()
    mail.outbox.clear()
    action = moderation.act(Kind.WARN, bob, reason="Too <b>slow</b>.", rule="error-rate")
    assert action is not None
    (to_admin,) = mail.outbox
    (to_hoster,) = letters(owner)
    assert to_hoster.subject == f"{bob.name} was warned"
    assert "Too <b>slow</b>." in to_hoster.body
    assert "&lt;b&gt;slow" in to_hoster.alternatives[0][0]
    assert to_admin.to == ["ops@example.org"]
    moderation.answer(action, "It was a power cut.")
    assert "It was a power cut." in mail.outbox[-1].body
    with pytest.raises(ModerationRefused):
        moderation.answer(action, "And another thing.")


def letters(who: factories.Person) -> list[EmailMessage]:
    """What the sweep of mails sends to somebody."""
    while emails.send_waiting():
        pass
    return [sent for sent in mail.outbox if sent.to == [who.customer.user.email]]


def test_a_model_that_is_taken_off_the_market_is_among_the_notices() -> None:
    owner, bob = factories.hoster()
    _, offer = factories.server(of=bob)
    moderation.deactivate_offer(offer, reason="2 of 20 were right.", rule="consistency")
    told = owner.customer.notices.get()
    assert (told.kind, told.facts["model"], told.facts["reason"]) == (
        "moderated", offer.model_id, "2 of 20 were right.",
    )  # fmt: skip
    assert emails.write(told).subject == f"{bob.name} – {offer.model_id} was deactivated"
    (letter,) = letters(owner)
    assert f"Your model {offer.model_id} on {offer.server.name} was deactivated." in letter.body


def test_a_mail_server_that_is_away_does_not_undo_a_suspension(settings, admin) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 9, 1
    _, bob = factories.hoster()
    moderation.act(Kind.SUSPEND, bob, reason="Now.", actor=admin)
    bob.refresh_from_db()
    assert bob.status == "suspended"
    assert bob.customer.notices.get().mailed_at is None, "it is told when the mail server is back"


def test_a_deactivated_model_is_off_the_market_until_it_is_reinstated(gateway: RunningGateway) -> None:
    alice, fake = factories.person(), fakes.FakeServer(fakes.model())
    server, offer = factories.server(fake.base_url)
    gateway.wait_for(server)
    assert ask(gateway, alice, offer.model_id).status_code == 200
    moderation.deactivate_offer(offer, reason="Wrong answers.", rule="consistency")
    assert moderation.deactivate_offer(offer, reason="Wrong answers.", rule="consistency") is None
    asked = len(fake.asked)
    assert ask(gateway, alice, offer.model_id).status_code == 503
    assert len(fake.asked) == asked, "not one request more"
    moderation.ask_for_retest(offer)
    with pytest.raises(ModerationRefused):
        moderation.ask_for_retest(offer)
    moderation.reinstate_offer(offer, reason="Passed.", rule="retest")
    assert ask(gateway, alice, offer.model_id).status_code == 200


@pytest.mark.parametrize("kind", [Kind.SUSPEND, Kind.DEACTIVATE])
def test_a_suspension_acts_on_the_very_next_request(gateway: RunningGateway, admin, kind: Kind) -> None:
    alice, fake = factories.person(), fakes.FakeServer(fakes.model())
    _, bob = factories.hoster()
    server, offer = factories.server(fake.base_url, of=bob)
    gateway.wait_for(server)
    for _ in range(5):
        assert ask(gateway, alice, offer.model_id).status_code == 200
        moderation.act(kind, bob, reason="Now.", actor=admin)
        asked = len(fake.asked)
        assert ask(gateway, alice, offer.model_id).status_code == 503
        assert len(fake.asked) == asked
        moderation.act(Kind.REINSTATE, bob, reason="Back.", actor=admin)


def ask(gateway: RunningGateway, who: factories.Person, model: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    return httpx.post(
        f"{gateway.url}/v1/chat/completions", content=json.dumps(body),
        headers={**who.headers, "content-type": "application/json"}, timeout=10,
    )  # fmt: skip


def test_a_warning_frees_nobody_from_what_is_stricter(admin: object):
    _, bob = factories.hoster()
    moderation.act(Kind.SUSPEND, bob, reason="It cheats.", actor=admin)
    action = moderation.act(Kind.WARN, bob, reason="Answer the mail, too.", actor=admin)
    assert action is not None
    assert (bob.status, bob.status_reason) == ("suspended", "It cheats.")
    assert (action.status_before, action.status_after) == ("suspended", "suspended")
