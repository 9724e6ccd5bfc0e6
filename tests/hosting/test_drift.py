"""What counts as another model, and who hears of it."""

from typing import Any

import pytest

from hosting import checking, drift
from hosting.models import HostedModel, ModerationAction
from tests import factories, fakes


def looks(**changes: Any) -> drift.Fingerprint:
    fields = {"model": "llama", "system_fingerprint": "b1", "answers": ["a", "b", "c"], "ms_per_token": 20.0}
    return drift.fingerprint(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"model": "qwen"}, ["the model's name"]),
        ({"system_fingerprint": "b2"}, ["the system fingerprint"]),
        ({"answers": ["x", "y", "z"]}, ["the answers to fixed questions"]),
        ({"answers": ["x", "y", "c"]}, []),
        ({"answers": ["A ", " b", "C\n"]}, []),
        ({"ms_per_token": 61.0}, ["the speed"]),
        ({"ms_per_token": 6.0}, ["the speed"]),
        ({"ms_per_token": 50.0}, []),
        ({"ms_per_token": 0.0}, []),
        ({"model": "", "system_fingerprint": ""}, []),
        ({"model": "qwen", "ms_per_token": 1.0}, ["the model's name", "the speed"]),
    ],
)
def test_what_changed_is_named(changes: dict[str, Any], words: list[str]):
    assert drift.changed(looks(), looks(**changes)) == words


def test_what_was_never_seen_has_not_changed():
    assert drift.changed({}, looks()) == []
    assert drift.changed(looks(), {}) == []


def test_speeds_below_the_networks_are_the_same():
    assert drift.changed(looks(ms_per_token=0.2), looks(ms_per_token=4.0)) == []


def test_no_answer_is_kept_as_text():
    assert "secret words" not in str(looks(answers=["secret words", "b", "c"]))


def test_a_check_keeps_the_fingerprint_and_a_later_one_tells_what_drifted():
    fake = fakes.FakeServer(fakes.model("Hello."))
    server, offer = factories.server(fake.base_url)
    assert checking.check(server).ok
    offer.refresh_from_db()
    assert offer.fingerprint["model"] == "theirs"
    assert checking.check(server).ok
    assert not ModerationAction.objects.filter(hoster=server.hoster).exists()
    fake.script = fakes.model("Something else entirely.")
    assert checking.check(server).ok
    action = ModerationAction.objects.get(hoster=server.hoster)
    assert (action.kind, action.rule, action.server) == ("notice", "drift", server)
    assert "the answers to fixed questions" in action.reason
    assert offer.model_id in action.reason
    assert fake.token not in action.reason
    assert "status" not in action.evidence
    offer.refresh_from_db()
    assert offer.next_question_at is not None
    server.hoster.refresh_from_db()
    assert server.hoster.status == "active"
    assert server.hoster.customer.notices.get().kind == "moderated"
    checking.check(server)
    assert ModerationAction.objects.filter(hoster=server.hoster).count() == 1
    fake.stop()


def test_a_failed_check_keeps_the_old_fingerprint():
    fake = fakes.FakeServer(fakes.model("Hello."))
    server, offer = factories.server(fake.base_url)
    checking.check(server)
    before = HostedModel.objects.get(pk=offer.pk).fingerprint
    fake.script = fakes.model("I am ChatGPT.")
    assert not checking.check(server).ok
    assert HostedModel.objects.get(pk=offer.pk).fingerprint == before
    fake.stop()
