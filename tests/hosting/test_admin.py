"""The market in the admin: everything to see, no token, no address to edit."""

import re

import pytest
from django.test import Client
from django.utils import timezone

from hosting import moderation, tokens
from hosting.models import (
    AutoModel,
    Circuit,
    ConsistencyAnswer,
    HealthCheck,
    HostedModel,
    Hoster,
    ModerationAction,
    Question,
    Server,
)
from tests import factories
from tests.staff import signed_in


@pytest.fixture
def admin() -> Client:
    return signed_in()


def test_every_page_opens_and_no_token_is_shown(admin: Client) -> None:
    server, offer = factories.server(token="bobs-own-token")
    HealthCheck.objects.create(server=server, ok=False, latency_ms=3, error="GET /health: no connection")
    sealed = Server.objects.get(pk=server.pk).token_encrypted
    for path in (
        *("hoster/", "server/", "hostedmodel/", "healthcheck/"),
        *(
            f"hoster/{server.hoster_id}/change/",
            f"server/{server.pk}/change/",
            f"hostedmodel/{offer.pk}/change/",
        ),
    ):
        page = admin.get(f"/admin/hosting/{path}")
        assert page.status_code == 200, path
        assert sealed not in page.content.decode()
        assert "bobs-own-token" not in page.content.decode()


def test_an_address_cannot_be_pointed_elsewhere(admin: Client) -> None:
    server, _ = factories.server(token="bobs-own-token")
    form = {
        **{
            "name": "renamed",
            "slots": "3",
            "base_url": "http://evil.example.org",
            "kind": "cloud",
            "health": "1",
        },
        **{"models-TOTAL_FORMS": "0", "models-INITIAL_FORMS": "0"},
    }
    assert admin.post(f"/admin/hosting/server/{server.pk}/change/", form).status_code == 302
    saved = Server.objects.get(pk=server.pk)
    assert (saved.name, saved.slots) == ("renamed", 3)
    assert (saved.base_url, saved.kind) == (server.base_url, "hoster")
    assert tokens.unseal(server_id=saved.pk, sealed=saved.token_encrypted) == "bobs-own-token"


@pytest.mark.parametrize("path", ["hoster/add/", "server/add/", "hostedmodel/add/", "healthcheck/add/"])
def test_nothing_is_added_past_registration(admin: Client, path: str) -> None:
    assert admin.get(f"/admin/hosting/{path}").status_code == 403


# ------------------------------------------------------------------------------------------------- moderation


def do(admin: Client, table: str, action: str, rows: list[int], **fields: str):
    data = {"action": action, "_selected_action": rows, **fields}
    return admin.post(f"/admin/hosting/{table}/", data, follow=True)


@pytest.mark.parametrize(
    ("action", "words", "status"),
    [
        ("notice", "Tell", "warned"),
        ("warn", "Warn", "warned"),
        ("probation", "Put on probation", "probation"),
        ("suspend", "Suspend", "suspended"),
        ("deactivate", "Deactivate", "deactivated"),
        ("reinstate", "Reinstate", "active"),
    ],
)
def test_a_standing_is_changed_by_an_action_that_asks_why(
    admin: Client, action: str, words: str, status: str
) -> None:
    (bob, hoster), (_, other) = factories.hoster(status="warned"), factories.hoster(status="warned")
    asked = do(admin, "hoster", action, [hoster.pk]).content.decode()
    assert words in asked
    assert hoster.name in asked
    assert 'name="reason"' in asked
    assert not hoster.actions.exists()
    again = do(admin, "hoster", action, [hoster.pk], reason="  ").content.decode()
    assert "This field is required" in again
    assert not hoster.actions.exists()
    do(admin, "hoster", action, [hoster.pk], reason="Wrong answers on Monday.")
    hoster.refresh_from_db()
    done = hoster.actions.get()
    assert (hoster.status, done.reason, done.status_before) == (status, "Wrong answers on Monday.", "warned")
    assert (done.actor_id, done.rule) == (int(admin.session["_auth_user_id"]), "")
    assert bob.customer.notices.get().facts["reason"] == "Wrong answers on Monday."
    other.refresh_from_db()
    assert other.status == "warned"


def offered(admin: Client, path: str) -> list[str]:
    return re.findall(r'<button name="action" value="(\w+)">', admin.get(path).content.decode())


def test_only_acts_that_change_something_are_offered(admin: Client) -> None:
    _, hoster = factories.hoster()
    page = f"/admin/hosting/hoster/{hoster.pk}/change/"
    assert offered(admin, page) == ["notice", "warn", "probation", "suspend", "deactivate"]
    do(admin, "hoster", "probation", [hoster.pk], reason="Slow.")
    assert offered(admin, page) == ["notice", "warn", "suspend", "deactivate", "reinstate"]
    again = do(admin, "hoster", "probation", [hoster.pk], reason="Slow.").content.decode()
    assert "It is on probation already" in again
    assert hoster.actions.count() == 1
    _, offer = factories.server(of=hoster)
    _, own = factories.server(kind="local")
    assert offered(admin, f"/admin/hosting/hostedmodel/{offer.pk}/change/") == ["deactivate"]
    assert offered(admin, f"/admin/hosting/hostedmodel/{own.pk}/change/") == []
    do(admin, "hostedmodel", "deactivate", [offer.pk], reason="Wrong.")
    assert offered(admin, f"/admin/hosting/hostedmodel/{offer.pk}/change/") == ["reinstate"]


def test_a_server_that_takes_traffic_is_no_alarm(admin: Client) -> None:
    server, _ = factories.server()
    listed = f"/admin/hosting/server/?q={server.name}"
    of_hoster = f"/admin/hosting/hoster/{server.hoster_id}/change/"
    for page in (listed, of_hoster):
        assert "takes traffic" in admin.get(page).content.decode()
    for fields, words in (({"draining": True}, "draining"), ({"verified_at": None}, "not verified yet")):
        Server.objects.filter(pk=server.pk).update(**fields)
        for page in (listed, of_hoster):
            shown = admin.get(page).content.decode()
            assert words in shown
            assert "takes traffic" not in shown


def test_a_hoster_is_called_what_it_calls_itself(admin: Client) -> None:
    _, hoster = factories.hoster(name=factories.unique("borealis"))
    page = admin.get(f"/admin/hosting/hoster/{hoster.pk}/change/").content.decode()
    assert hoster.name in page
    assert hoster.name.capitalize() not in page
    assert "to view" not in admin.get("/admin/billing/dispute/").content.decode()


def test_a_standing_cannot_be_written_past_the_actions(admin: Client) -> None:
    _, hoster = factories.hoster(status="suspended", status_reason="Because.")
    form = {"name": hoster.name, "status": "active", "status_reason": "", "trust": "1"}
    for prefix in ("servers", "actions"):
        form |= {f"{prefix}-TOTAL_FORMS": "0", f"{prefix}-INITIAL_FORMS": "0"}
    assert admin.post(f"/admin/hosting/hoster/{hoster.pk}/change/", form).status_code == 302
    saved = Hoster.objects.get(pk=hoster.pk)
    assert (saved.status, saved.status_reason, saved.trust) == ("suspended", "Because.", 0.5)


def test_a_model_is_deactivated_and_reinstated_with_a_reason(admin: Client) -> None:
    _, offer = factories.server()
    do(admin, "hostedmodel", "deactivate", [offer.pk], reason="Not the model it says.")
    offer.refresh_from_db()
    assert offer.deactivated_at is not None
    assert offer.deactivated_reason == "Not the model it says."
    again = do(admin, "hostedmodel", "deactivate", [offer.pk], reason="Twice.").content.decode()
    assert "It is deactivated already" in again
    assert HostedModel.objects.get(pk=offer.pk).deactivated_reason == "Not the model it says."
    do(admin, "hostedmodel", "reinstate", [offer.pk], reason="Repaired.")
    offer.refresh_from_db()
    assert offer.deactivated_at is None


def test_the_operators_own_models_are_not_moderated(admin: Client) -> None:
    _, offer = factories.server(kind="local")
    page = do(admin, "hostedmodel", "deactivate", [offer.pk], reason="Why not.").content.decode()
    assert "Only hosters are moderated" in page
    assert HostedModel.objects.get(pk=offer.pk).deactivated_at is None


def test_the_history_shows_evidence_and_answer_and_cannot_be_edited(admin: Client) -> None:
    _, hoster = factories.hoster()
    action = moderation.act(
        ModerationAction.Kind.WARN, hoster, reason="Slow.", rule="slow", evidence={"ms": 98_765}
    )
    assert action is not None
    moderation.answer(action, "We moved house.")
    for path in (f"hoster/{hoster.pk}/change/", f"moderationaction/{action.pk}/change/"):
        page = admin.get(f"/admin/hosting/{path}").content.decode()
        assert "98765" in page
        assert "We moved house." in page
    assert hoster.name in admin.get("/admin/hosting/moderationaction/").content.decode()
    edited = admin.post(f"/admin/hosting/moderationaction/{action.pk}/change/", {"reason": "Fast."})
    assert edited.status_code == 403


# ------------------------------------------------------------------------------------------ questions and judges


def question(**fields: str) -> dict[str, str]:
    return {
        **{"slug": factories.unique("q"), "topic": "space", "kind": "text"},
        **{"wordings": "Which planet, if any,\nis red?", "answers": "Mars\n\nMars\nthe red one"},
        **fields,
    }


def test_a_question_is_added_and_changed_line_by_line(admin: Client) -> None:
    form = question()
    assert admin.post("/admin/hosting/question/add/", form).status_code == 302
    row = Question.objects.get(slug=form["slug"])
    assert row.wordings == ["Which planet, if any,", "is red?"]
    assert row.answers == ["Mars", "the red one"]
    page = admin.get(f"/admin/hosting/question/{row.pk}/change/").content.decode()
    assert "Which planet, if any,\nis red?" in page
    admin.post(f"/admin/hosting/question/{row.pk}/change/", form | {"answers": "Mars"})
    row.refresh_from_db()
    assert row.answers == ["Mars"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"wordings": " \n "}, "This field is required"),
        ({"answers": ""}, "This field is required"),
        ({"kind": "number", "answers": "42\nforty-two"}, "“forty-two” is not a number"),
        ({"answers": "x" * 201}, "200 characters at most"),
        ({"slug": "two words"}, "valid “slug”"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_words(
    admin: Client, fields: dict[str, str], words: str
) -> None:
    form = question(**fields)
    page = admin.post("/admin/hosting/question/add/", form)
    assert page.status_code == 200
    assert words in page.content.decode()
    assert not Question.objects.filter(slug=form["slug"]).exists()


def test_a_slug_is_used_once(admin: Client) -> None:
    form = question()
    admin.post("/admin/hosting/question/add/", form)
    assert "already exists" in admin.post("/admin/hosting/question/add/", form).content.decode()


def test_numbers_are_answers_to_a_number(admin: Client) -> None:
    form = question(kind="number", answers="42\n-1.5")
    assert admin.post("/admin/hosting/question/add/", form).status_code == 302


def test_the_pool_of_auto_is_edited(admin: Client) -> None:
    name = factories.unique("org/m")
    assert admin.post("/admin/hosting/automodel/add/", {"model_id": name}).status_code == 302
    refused = admin.post("/admin/hosting/automodel/add/", {"model_id": "auto"})
    assert "cannot be the id of a model" in refused.content.decode()
    AutoModel.objects.get(model_id=name).delete()


def test_circuits_and_test_answers_can_be_read_but_not_edited(admin: Client) -> None:
    server, offer = factories.server()
    circuit = Circuit.objects.create(server=server, open_until=timezone.now(), openings=2)
    asked = Question.objects.create(
        slug=factories.unique("q"), topic="x", wordings=["?"], answers=["!"], enabled=False
    )
    said = ConsistencyAnswer.objects.create(
        offer=offer, question=asked, right=False, counted=True, answer="Um."
    )
    for table, row in (("circuit", circuit), ("consistencyanswer", said)):
        assert admin.get(f"/admin/hosting/{table}/").status_code == 200
        page = f"/admin/hosting/{table}/{row.pk}/"
        assert admin.get(page + "change/").status_code == 200
        assert admin.post(page + "change/", {}).status_code == 403
        assert admin.post(page + "delete/", {"post": "yes"}).status_code == 403
