"""What a hoster sees of its standing, and what it can say to it; what a stranger does not."""

import datetime as dt
import html

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from billing import emails
from hosting import moderation
from hosting.models import (
    Circuit,
    ConsistencyAnswer,
    HealthCheck,
    HostedModel,
    Hoster,
    ModerationAction,
    Question,
    Server,
)
from hosting.moderation import Kind
from tests import factories
from tests.hosting.test_pages import page_of, signed_in


def bobs() -> tuple[Client, Hoster, Server, HostedModel]:
    bob, hoster = factories.hoster()
    server, offer = factories.server(of=hoster)
    return signed_in(bob), hoster, server, offer


def warned(hoster: Hoster, reason: str = "Claims too many tokens.") -> ModerationAction:
    action = moderation.act(Kind.WARN, hoster, reason=reason, rule="token-claims")
    assert action is not None
    return action


def strangers() -> list[Client]:
    return [signed_in(factories.person("carol")), signed_in(factories.hoster("carol")[0])]


# ---------------------------------------------------------------------------------------------------- answers


def test_an_action_is_shown_with_its_reason_and_answered_once(settings):
    settings.ADMINS = [("Operator", "operator@example.org")]
    client, hoster, _, _ = bobs()
    action = warned(hoster)
    page = page_of(client, "/hosters/portal")
    assert "the rule “token-claims”" in page
    assert "you were active and are warned since" in page
    assert page.count("Claims too many tokens.") == 2  # at the top and in the history
    path = f"/hosters/actions/{action.pk}/answer"
    assert f'action="{path}"' in page
    page = client.post(path, {"answer": "The tokenizer was wrong."}, follow=True).content.decode()
    assert "Your answer is sent" in page
    assert "The tokenizer was wrong." in page
    assert f'action="{path}"' not in page
    action.refresh_from_db()
    assert action.answer == "The tokenizer was wrong."
    assert any("The tokenizer was wrong." in sent.body for sent in mail.outbox)
    again = client.post(path, {"answer": "And more."}, follow=True).content.decode()
    assert "answered already" in again
    action.refresh_from_db()
    assert action.answer == "The tokenizer was wrong."


@pytest.mark.parametrize("answer", ["", "  ", "x" * 4_001])
def test_an_empty_or_endless_answer_is_refused_in_words(answer: str):
    client, hoster, _, _ = bobs()
    action = warned(hoster)
    page = client.post(f"/hosters/actions/{action.pk}/answer", {"answer": answer}, follow=True)
    assert "An answer has 1 to 4,000 characters." in page.content.decode()
    action.refresh_from_db()
    assert action.answered_at is None


def test_the_operators_name_is_not_shown():
    client, hoster, _, _ = bobs()
    admin = factories.person("secret-admin").customer.user
    moderation.act(Kind.PROBATION, hoster, reason="Too slow.", actor=admin)
    page = page_of(client, "/hosters/portal")
    assert "by the operator" in page
    assert admin.email not in page


def test_reasons_and_answers_are_escaped():
    client, hoster, server, offer = bobs()
    attack = "<script>alert(1)</script>"
    action = warned(hoster, attack)
    moderation.answer(action, attack)
    moderation.deactivate_offer(offer, reason=attack, rule="consistency")
    asked_and_answered(offer, [attack])
    for path in ("/hosters/portal", f"/hosters/servers/{server.pk}"):
        page = page_of(client, path)
        assert attack not in page
        assert html.escape(attack) in page


def test_carol_cannot_answer_for_bob():
    _, hoster, _, _ = bobs()
    action = warned(hoster)
    for carol in strangers():
        assert carol.post(f"/hosters/actions/{action.pk}/answer", {"answer": "x"}).status_code == 404
    action.refresh_from_db()
    assert action.answered_at is None
    assert Client().post(f"/hosters/actions/{action.pk}/answer", {"answer": "x"}).status_code == 302


# ------------------------------------------------------------------------------------------ deactivated models


def test_a_deactivated_model_says_why_and_a_new_test_can_be_asked_for():
    client, _, server, offer = bobs()
    moderation.deactivate_offer(offer, reason="Two of twenty were right.", rule="consistency")
    assert '<span class="badge bad">deactivated</span>' in page_of(client, "/hosters/portal")
    page = page_of(client, f"/hosters/servers/{server.pk}")
    assert "Two of twenty were right." in page
    path = f"/hosters/servers/{server.pk}/models/{offer.pk}/retest"
    assert f'action="{path}"' in page
    page = client.post(path, follow=True).content.decode()
    assert "is tested anew" in page
    assert "You asked for a new test" in page
    assert f'action="{path}"' not in page
    offer.refresh_from_db()
    assert offer.retest_at is not None
    assert "its new test has begun already" in client.post(path, follow=True).content.decode()


def test_carol_cannot_ask_for_a_test_of_bobs_model():
    _, _, server, offer = bobs()
    moderation.deactivate_offer(offer, reason="Wrong.", rule="consistency")
    for carol in strangers():
        assert carol.post(f"/hosters/servers/{server.pk}/models/{offer.pk}/retest").status_code == 404
    offer.refresh_from_db()
    assert offer.retest_at is None


def test_a_model_is_looked_for_on_its_own_server():
    bob, hoster = factories.hoster()
    server, _ = factories.server(of=hoster)
    _, elsewhere = factories.server(of=hoster)
    path = f"/hosters/servers/{server.pk}/models/{elsewhere.pk}/retest"
    assert signed_in(bob).post(path).status_code == 404


@pytest.mark.parametrize("path", ["/hosters/actions/1/answer", "/hosters/servers/1/models/1/retest"])
def test_a_link_says_nothing(path: str):
    assert bobs()[0].get(path).status_code == 405


@pytest.mark.parametrize("status", ["suspended", "deactivated"])
def test_no_server_of_a_hoster_off_the_market_is_called_in_traffic(status: str):
    client, hoster, server, _ = bobs()
    Hoster.objects.filter(pk=hoster.pk).update(status=status, status_reason="First line.\nSecond line.")
    for path in ("/hosters/portal", f"/hosters/servers/{server.pk}"):
        page = page_of(client, path)
        assert ">in traffic<" not in page
        assert f"You are {status}: the portal says why." in page
    assert "First line.<br>Second line." in page_of(client, "/hosters/portal")


@pytest.mark.parametrize("how", ["deactivated", "withdrawn"])
def test_a_server_without_a_model_on_the_market_is_not_called_in_traffic(how: str):
    client, _, server, offer = bobs()
    HostedModel.objects.filter(pk=offer.pk).update(
        enabled=how != "withdrawn", deactivated_at=timezone.now() if how == "deactivated" else None
    )
    for path in ("/hosters/portal", f"/hosters/servers/{server.pk}"):
        page = page_of(client, path)
        assert "nothing to offer" in page
        assert ">in traffic<" not in page
    assert f">{how}</span>" in page


def test_a_notice_is_information_and_not_a_sentence():
    client, hoster, _, _ = bobs()
    moderation.act(Kind.NOTICE, hoster, reason="6 of 20 requests failed.", rule="error-rate")
    page = page_of(client, "/hosters/portal")
    assert "For your information" in page
    assert emails.write(hoster.customer.notices.get()).subject == f"About your servers, {hoster.name}"


# ----------------------------------------------------------------------------------------------------- scores


def asked_and_answered(offer: HostedModel, wrong: list[str], rights: int = 0, counted: bool = True) -> None:
    question = Question.objects.create(
        slug=factories.unique("q"), topic="x", wordings=["A secret question?"], answers=["42"], enabled=False
    )
    for text in [*wrong, *["42"] * rights]:
        right = text == "42"
        ConsistencyAnswer.objects.create(
            offer=offer, question=question, right=right, counted=counted, answer="" if right else text
        )


def test_trust_shows_its_parts_and_what_helps():
    client, hoster, _, _ = bobs()
    assert "Not computed yet" in page_of(client, "/hosters/portal")
    Hoster.objects.filter(pk=hoster.pk).update(
        trust=0.72,
        trust_at=timezone.now(),
        trust_parts={
            "age": {"value": 0, "detail": "0.0 days"},
            "success": {"value": 1, "detail": "7 requests served"},
            "honesty": {"value": 0.25, "detail": "2 × the others'"},
        },
    )
    page = page_of(client, "/hosters/portal")
    assert "Trust 0.72 of 1" in page
    assert "7 requests served" in page
    honesty, success, age = (page.index(f">{name}<") for name in ("Honesty", "Success", "Age"))
    assert honesty < success < age  # what is bad first; how far it counts comes last


def test_health_and_consistency_stand_in_the_portal():
    client, _, server, offer = bobs()
    Server.objects.filter(pk=server.pk).update(health=0.87)
    HostedModel.objects.filter(pk=offer.pk).update(consistency=0.61, consistency_at=timezone.now())
    page = page_of(client, "/hosters/portal")
    scores = page[page.index('id="scores"') :]
    assert ": 0.87 of 1" in scores
    assert ">0.61<" in scores


def test_consistency_counts_right_and_wrong_by_five_and_keeps_the_questions_secret():
    client, _, server, offer = bobs()
    page = page_of(client, f"/hosters/servers/{server.pk}")
    assert "Not tested yet" in page
    asked_and_answered(offer, [], rights=5)
    asked_and_answered(offer, ["Forty", "Lyon"], rights=2)
    asked_and_answered(offer, ["doubtful"], counted=False)
    HostedModel.objects.filter(pk=offer.pk).update(consistency=0.61, consistency_at=timezone.now())
    page = page_of(client, f"/hosters/servers/{server.pk}")
    newest, oldest = page.index("2 right, 2 wrong, 1 not counted"), page.index("5 right, 0 wrong")
    assert newest < oldest
    assert "0.61" in page
    assert "Lyon" in page
    assert "doubtful" not in page
    assert "A secret question?" not in page


def test_only_the_last_five_rounds_are_shown():
    client, _, server, offer = bobs()
    asked_and_answered(offer, [], rights=30)
    assert page_of(client, f"/hosters/servers/{server.pk}").count("5 right, 0 wrong") == 5


def test_health_shows_the_last_looks_and_what_does_not_count():
    client, _, server, _ = bobs()
    page = page_of(client, f"/hosters/servers/{server.pk}")
    assert "No look yet" in page
    assert "not measured yet" in page
    HealthCheck.objects.create(server=server, ok=False, excused=True, latency_ms=3, error="GET /health: 401")
    Server.objects.filter(pk=server.pk).update(uptime=0.987)
    page = page_of(client, f"/hosters/servers/{server.pk}")
    assert "does not count" in page
    assert "98.7 %" in page


def test_a_pause_is_shown_until_it_ends():
    client, _, server, _ = bobs()
    until = timezone.now() + dt.timedelta(minutes=5)
    Circuit.objects.create(server=server, open_until=until, openings=1)
    for path in ("/hosters/portal", f"/hosters/servers/{server.pk}"):
        page = page_of(client, path)
        assert "paused" in page
        assert f"no requests until {until:%H:%M:%S} UTC" in page
    Circuit.objects.filter(server=server).update(open_until=timezone.now())
    assert "paused" not in page_of(client, "/hosters/portal")


def test_a_waiting_price_is_in_the_portal():
    client, _, server, offer = bobs()
    client.post(f"/hosters/servers/{server.pk}/models/{offer.pk}", {"price_in": 1, "price_out": 2})
    page = page_of(client, "/hosters/portal")
    assert "then 1 ($0.001) from" in page
    assert "then 2 ($0.002) from" in page


def test_the_pages_hold_no_script_or_style_of_their_own():
    client, hoster, server, offer = bobs()
    warned(hoster)
    asked_and_answered(offer, ["Lyon"])
    for path in ("/hosters/portal", f"/hosters/servers/{server.pk}"):
        page = page_of(client, path)
        assert page.count("<script") == page.count("<script src=")
        assert "<style" not in page
        assert " style=" not in page
