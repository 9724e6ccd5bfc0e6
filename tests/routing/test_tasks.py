"""Sweeps of the gateway: token sizes learned from others, and the audit as a job."""

import datetime as dt

from django.utils import timezone

from routing import tasks
from routing.models import OfferHour
from tests import factories, fakes


def test_token_sizes_are_learned_from_other_owners_only():
    model = factories.unique("model")
    sizes = {"bob": 3.0, "carol": 5.0, "mallory": 1.2}
    offers = {}
    for name, size in sizes.items():
        _, hoster = factories.hoster(name)
        server, offers[name] = factories.server(
            fakes.FakeServer(fakes.model()).base_url, model=model, of=hoster
        )
        OfferHour.objects.create(
            server=server,
            model_id=model,
            hour=timezone.now() - dt.timedelta(hours=2),
            claims=20,
            claimed_output_tokens=1_000,
            claimed_output_bytes=round(1_000 * size),
        )
    tasks.learn_token_sizes()
    for offer in offers.values():
        offer.refresh_from_db()
    assert offers["mallory"].bytes_per_token == 4.0  # the median of the others, not its own
    assert abs(offers["bob"].bytes_per_token - 3.1) < 1e-9
    assert tasks.learn_token_sizes() == 0


def test_too_few_claims_teach_nothing():
    model = factories.unique("model")
    server, _ = factories.server(fakes.FakeServer(fakes.model()).base_url, model=model)
    _, other = factories.server(fakes.FakeServer(fakes.model()).base_url, model=model)
    hour = timezone.now() - dt.timedelta(hours=2)
    OfferHour.objects.create(
        server=server,
        model_id=model,
        hour=hour,
        claims=19,
        claimed_output_tokens=100,
        claimed_output_bytes=900,
    )
    tasks.learn_token_sizes()
    other.refresh_from_db()
    assert other.bytes_per_token is None


def test_the_audit_job_reports_what_the_command_does(monkeypatch):
    monkeypatch.setattr(
        tasks.books, "differences", lambda cursor, invariants: ["one", "two"][: len(invariants)]
    )
    assert tasks.audit_ledger() == 2


def test_questions_are_asked_by_one_run_at_a_time(settings, monkeypatch) -> None:
    settings.CONSISTENCY_EVERY_S = 600
    runs: list[int] = []

    def examine() -> int:
        runs.append(tasks.ask_questions())  # another one begins meanwhile
        return 3

    monkeypatch.setattr(tasks.examiner, "examine", examine)
    assert tasks.ask_questions() == 3
    assert tasks.ask_questions() == 3, "the first one is over"
    assert runs == [0, 0]
