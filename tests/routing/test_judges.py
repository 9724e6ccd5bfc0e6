"""Through the running gateway: who swaps a model is found out and loses what it earned, who counts too much too."""

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from random import Random

import httpx
import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import Customer
from billing import audit as books
from billing import disputes, ledger
from billing.models import LedgerAccount, Transfer
from hosting import moderation, targets, trust
from hosting.models import HostedModel, Hoster, ModerationAction, Question
from routing import audit as requests
from routing import claims, conviction, examiner, reputation, tester, verdicts
from routing.models import InferenceRequest, PayerDay
from tests import bookings, factories, fakes
from tests.factories import Person
from tests.gateway import RunningGateway
from tests.routing import scholars

pytestmark = pytest.mark.usefixtures("asked_here", "sound_books")
ROUND = 5


@pytest.fixture
def asked_here(gateway: RunningGateway, settings) -> None:
    settings.GATEWAY_URL = gateway.url


@pytest.fixture
def sound_books() -> Iterator[None]:
    """Nothing that a test does here leaves a difference in the books; earlier tests may have, on purpose."""

    def differences() -> set[str]:
        with books.snapshot() as cursor:
            found = books.differences(cursor, (*books.INVARIANTS, *requests.INVARIANTS))
        return {str(difference) for difference in found}

    known = differences()
    yield
    assert differences() <= known


def offered(
    gateway: RunningGateway, say: scholars.Say, **fields: object
) -> tuple[fakes.FakeServer, HostedModel]:
    """A server of a hoster of its own."""
    claim = fields.pop("claim", lambda tokens: tokens)
    fake = fakes.FakeServer(scholars.server(say, claim=claim))
    row, offer = factories.server(fake.base_url, **fields)
    gateway.wait_for(row)
    return fake, offer


def examine(offer: HostedModel, questions: int = ROUND) -> HostedModel:
    for _ in range(questions):
        assert examiner.ask_offers([(offer.pk, 0.0)]) == 1
    return HostedModel.objects.select_related("server__hoster").get(pk=offer.pk)


def chat(gateway: RunningGateway, who: Person, models: list[str]) -> None:
    """One request for each of the models, at once."""

    async def send() -> None:
        async with httpx.AsyncClient(timeout=30, limits=httpx.Limits(max_connections=32)) as client:
            answers = await asyncio.gather(
                *(
                    client.post(
                        f"{gateway.url}/v1/chat/completions", headers=who.headers,
                        json={"model": model, "messages": [{"role": "user", "content": f"Tell me of {n} {model}."}],
                              "stream": n % 3 == 0},
                    )
                    for n, model in enumerate(models)
                )
            )  # fmt: skip
            assert {answer.status_code for answer in answers} == {200}

    asyncio.run(send())


def pending(hoster: Hoster) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(m.amount_nanos), 0) FROM billing_maturity m"
            "  JOIN billing_ledgeraccount a ON a.id = m.account_id WHERE a.customer_id = %s",
            [hoster.customer_id],
        )
        return int(cursor.fetchone()[0])


# ------------------------------------------------------------------------------------------------- consistency


def test_an_honest_server_keeps_its_score_and_is_asked_like_a_customer_asks(gateway: RunningGateway) -> None:
    fake, offer = offered(gateway, scholars.knowing())
    offer = examine(offer, 3 * ROUND)
    assert offer.consistency > 0.7, "the simulated reader errs now and then"
    assert offer.deactivated_at is None
    assert {request.path for request in fake.asked} == {"/v1/chat/completions"}
    names = {name for request in fake.asked for name in request.headers}
    alice = factories.person()
    chat(gateway, alice, [offer.model_id])
    assert names == set(fake.asked[-1].headers), "not a header more or less than a customer's request has"
    assert len({json.dumps(request.body["messages"][-1]) for request in fake.asked}) == 16
    assert {request.body.get("stream", False) for request in fake.asked} == {True, False}


@pytest.mark.parametrize(
    "say", [scholars.canned, scholars.knowing(0.02)], ids=["canned text", "a weaker model"]
)
def test_a_swapped_model_is_deactivated_within_three_rounds_and_loses_what_it_earned_since(
    gateway: RunningGateway, say: scholars.Say
) -> None:
    alice = factories.person(sold_nanos=10**9)
    fake, offer = offered(gateway, scholars.knowing())
    hoster = offer.server.hoster
    chat(gateway, alice, [offer.model_id] * 5)
    examine(offer, ROUND)
    honest = pending(hoster)
    paid_before = alice.account.posted_nanos
    fake.script = scholars.server(say)
    chat(gateway, alice, [offer.model_id] * 5)
    assert alice.account.posted_nanos < paid_before
    for _ in range(3 * ROUND):
        offer = examine(offer, 1)
        if offer.deactivated_at is not None:
            break
    assert offer.deactivated_at is not None
    assert offer.consistency < 0.4
    action = ModerationAction.objects.get(offer=offer)
    assert (action.kind, action.rule, action.actor) == ("deactivate", "consistency", None)
    assert action.evidence["nanos_back"] > 0
    assert alice.account.posted_nanos == paid_before, "the customer has all of it back"
    assert pending(hoster) <= honest, "and what was earned before the last passed round stays"
    assert pending(hoster) > 0
    assert conviction.carry_out(action) == 0, "once"


def test_what_was_under_way_at_a_conviction_goes_back_with_the_next_sweep_and_what_came_later_stays(
    gateway: RunningGateway,
) -> None:
    alice = factories.person(sold_nanos=10**9)
    before = alice.account.posted_nanos
    _, offer = offered(gateway, scholars.canned)
    chat(gateway, alice, [offer.model_id] * 3)
    assert alice.account.posted_nanos < before
    evidence = conviction.reversal(
        server_id=offer.server_id, model=offer.model_id, since=timezone.now() - dt.timedelta(hours=1)
    )
    action = moderation.deactivate_offer(offer, rule="consistency", reason="Wrong.", evidence=evidence)
    moderation.reinstate_offer(offer, reason="For this test.", rule="retest")
    chat(gateway, alice, [offer.model_id] * 3)
    later = InferenceRequest.objects.filter(customer=alice.customer, created_at__gt=action.created_at)
    assert conviction.carry_out_all() > 0
    assert alice.account.posted_nanos == before - sum(request.cost_nanos for request in later)
    action.refresh_from_db()
    assert action.evidence["nanos_back"] > 0
    assert conviction.carry_out(action) == 0


def test_an_excess_of_a_disputed_request_goes_back_when_the_dispute_is_rejected() -> None:
    """While it is open nobody but its verdict moves the charge."""
    alice, staff = factories.person(sold_nanos=10**9), factories.person("staff").customer.user
    _, offer = factories.server()
    before = alice.account.posted_nanos
    call = bookings.book(alice, offer, input_tokens=200, output_tokens=100)
    dispute = disputes.open_(customer=alice.customer, charge=call.id, reason="wrong_tokens")
    evidence = conviction.reversal(
        server_id=offer.server_id, model=offer.model_id, since=timezone.now() - dt.timedelta(hours=1),
        keep_input=1.0, keep_output=0.5,
    )  # fmt: skip
    action = moderation.act(
        ModerationAction.Kind.PROBATION, offer.server.hoster, server=offer.server, rule="claims", reason="Twice.",
        evidence=evidence,
    )  # fmt: skip
    assert conviction.carry_out(action) == 0
    assert before - alice.account.posted_nanos == 200 * 100 + 100 * 300
    conviction.reject(dispute=dispute, verdict="It was served.", actor=staff)
    assert before - alice.account.posted_nanos == 200 * 100 + 50 * 300
    action.refresh_from_db()
    assert action.evidence["nanos_back"] == 50 * 300
    later = bookings.book(alice, offer, input_tokens=200, output_tokens=100)
    paid = alice.account.posted_nanos
    dispute = disputes.open_(customer=alice.customer, charge=later.id, reason="wrong_tokens")
    conviction.reject(dispute=dispute, verdict="It was served.", actor=staff)
    assert alice.account.posted_nanos == paid, "an action says nothing of what began after it"


def test_another_servers_answer_is_never_taken_for_the_tested_ones(gateway: RunningGateway) -> None:
    model = factories.unique("model")
    fake, offer = offered(gateway, scholars.canned, model=model)
    rival, _ = offered(gateway, scholars.knowing(), model=model)
    fake.script = fakes.plain(429, {})
    assert examiner.ask_offers([(offer.pk, 0.0)]) == 0
    assert len(fake.asked) == 1
    assert not rival.asked
    answer = offer.consistency_answers.get()
    assert (answer.counted, answer.right) == (False, False)


def test_an_answer_too_long_to_read_costs_the_others_nothing(gateway: RunningGateway) -> None:
    _, padded = offered(gateway, lambda asked, number: "x" * 600_000)
    _, honest = offered(gateway, scholars.knowing())
    for _ in range(4):  # streamed and not
        assert examiner.ask_offers([(padded.pk, 0.0), (honest.pk, 0.0)]) >= 1
    assert honest.consistency_answers.filter(right=True).count() == 4


def test_the_owner_asks_for_a_new_test_and_passes_it_or_not(gateway: RunningGateway) -> None:
    fake, offer = offered(gateway, scholars.canned)
    offer = examine(offer, 2 * ROUND)
    assert offer.deactivated_at is not None
    moderation.ask_for_retest(offer)
    offer = examine(offer, ROUND)
    assert offer.deactivated_at is not None
    assert offer.retest_at is None, "failed: it may be asked for again"
    assert ModerationAction.objects.filter(hoster=offer.server.hoster, rule="retest", kind="notice").exists()
    fake.script = scholars.server(scholars.knowing())
    moderation.ask_for_retest(offer)
    offer = examine(offer, ROUND)
    assert offer.deactivated_at is None
    assert offer.consistency > 0.4, "what led to the deactivation is dealt with"


def test_the_stored_consistency_is_that_of_the_recorded_answers(gateway: RunningGateway) -> None:
    model = factories.unique("model")
    for _ in range(2):  # peers
        _, peer = offered(gateway, scholars.knowing(0.8), model=model)
        examine(peer, 28)  # some may not count: of questions that other tests made doubtful
    _, offer = offered(gateway, scholars.knowing(0.7), model=model)
    for _ in range(4):
        offer = examine(offer, 2)
        judged = verdicts.judge(offer, as_of=offer.consistency_at)
        assert judged.score == offer.consistency
        assert judged.expected is not None
    examine(peer, 2)
    assert verdicts.judge(offer, as_of=offer.consistency_at).score == offer.consistency, (
        "later answers change nothing"
    )


def test_no_answer_is_no_wrong_answer_and_neither_is_one_cut_off(gateway: RunningGateway) -> None:
    _, offer = offered(gateway, scholars.canned)
    question = Question.objects.first()
    for text, cut_off in ((None, False), ("Let me think about this step by", True)):
        verdicts.record(offer.pk, question, text=text, cut_off=cut_off)
    offer.refresh_from_db()
    assert offer.consistency == 1.0
    assert offer.consistency_answers.filter(counted=False).count() == 2


def test_a_question_that_all_owners_fail_is_our_fault(gateway: RunningGateway) -> None:
    question = Question.objects.create(
        slug=factories.unique("wrong"), topic="science", wordings=["?"], answers=["x"]
    )
    counted = []
    for _ in range(5):
        _, offer = factories.server()
        counted.append(verdicts.record(offer.pk, question, text="y", request_id="r").counted)
    assert counted == [True, True, True, False, False]
    Question.objects.filter(pk=question.pk).update(enabled=False)


# ------------------------------------------------------------------------------------------------------- money


def test_tests_are_paid_by_the_platform_at_a_fair_price_and_never_as_payable_money(
    gateway: RunningGateway, settings
) -> None:
    model = factories.unique("model")
    offered(gateway, scholars.knowing(), model=model, price_in=100, price_out=200)
    offered(gateway, scholars.knowing(), model=model, price_in=120, price_out=400)
    _, dear = offered(gateway, scholars.knowing(), model=model, price_in=10**6, price_out=10**6)
    examine(dear, 3)
    own = Customer.objects.get(user__email=tester.email())
    account = LedgerAccount.objects.get(customer=own, kind="customer")
    paid = InferenceRequest.objects.filter(customer=own, model_id=model)
    assert paid.count() == 3
    for request in paid:
        assert request.cost_nanos == request.input_tokens * 100 + request.output_tokens * 200
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(payable_nanos) FROM billing_charge WHERE account_id = %s", [account.pk])
        assert cursor.fetchone() == (0,)
    grants = Transfer.objects.filter(credit=account, kind="grant")
    assert {grant.amount_nanos for grant in grants} == {settings.TEST_BUDGET_NANOS}
    tester.fund()
    assert grants.count() == 1, "once a day"
    assert not Transfer.objects.filter(credit=account, reason="welcome credit").exists()


def test_a_forged_or_old_target_is_an_ordinary_request(gateway: RunningGateway) -> None:
    alice, fake = factories.person(), fakes.FakeServer(scholars.server(scholars.chatting))
    other = fakes.FakeServer(scholars.server(scholars.chatting))
    model = factories.unique("model")
    far, _ = factories.server(fake.base_url, model=model, price_in=10**5, price_out=10**5)
    near, _ = factories.server(other.base_url, model=model)
    gateway.wait_for(far)
    gateway.wait_for(near)
    now_s = timezone.now().timestamp()
    for secret, moment in (("wrong " * 9, now_s), ("wrong " * 9, now_s - 10_000)):
        sealed = targets.sign(far.pk, secret=secret, now_s=moment)
        assert targets.server_of(sealed.encode(), secret="right " * 9, now_s=now_s) is None
        answer = httpx.post(
            f"{gateway.url}/v1/chat/completions", headers={**alice.headers, targets.HEADER: sealed},
            json={"model": model, "tier": "cheapest", "messages": [{"role": "user", "content": "Hello"}]},
        )  # fmt: skip
        assert answer.status_code == 200
    assert not fake.asked
    assert targets.server_of(b"\xff.\xff", secret="s", now_s=now_s) is None
    own = targets.sign(far.pk, secret="right " * 9, now_s=now_s)
    assert targets.server_of(own.encode(), secret="right " * 9, now_s=now_s) == far.pk
    assert targets.server_of(own.encode(), secret="right " * 9, now_s=now_s + 301) is None


def test_questions_are_due_at_random_times_and_claimed_once(settings) -> None:
    settings.CONSISTENCY_EVERY_S = 600
    _, offer = factories.server()
    examiner.claim(tick_s=0)
    offer.refresh_from_db()
    assert offer.next_question_at is not None, "a new one begins at a random time"
    HostedModel.objects.filter(pk=offer.pk).update(next_question_at=timezone.now() + dt.timedelta(seconds=5))
    mine = [delay for pk, delay in examiner.claim(tick_s=15) if pk == offer.pk]
    assert len(mine) == 1
    assert 4 < mine[0] <= 5
    assert offer.pk not in dict(examiner.claim(tick_s=0)), "claimed once"


@pytest.mark.parametrize("change", ["draining", "suspended", "deactivated", "unverified", "waiting"])
def test_servers_out_of_traffic_are_not_asked(change: str) -> None:
    _, offer = factories.server()
    server = offer.server
    if change == "suspended":
        Hoster.objects.filter(pk=server.hoster_id).update(status="suspended")
    elif change == "deactivated":
        moderation.deactivate_offer(offer, reason="x", rule="x")
    else:
        fields = {"draining": {"draining": True}, "unverified": {"verified_at": None},
                  "waiting": {"waiting_since": timezone.now()}}[change]  # fmt: skip
        type(server).objects.filter(pk=server.pk).update(**fields)
    HostedModel.objects.filter(pk=offer.pk).update(next_question_at=timezone.now())
    assert offer.pk not in dict(examiner.claim(tick_s=15))


# ------------------------------------------------------------------------------------------------------ claims


def test_who_claims_a_fifth_more_is_on_probation_within_200_requests_and_keeps_none_of_it(
    gateway: RunningGateway,
) -> None:
    alice = factories.person(sold_nanos=10**11)
    name = factories.unique("model")
    offers = []
    for number in range(3):
        claim = (lambda tokens: round(tokens * 1.2)) if number == 2 else (lambda tokens: tokens)
        fake = fakes.FakeServer(scholars.server(scholars.chatting, claim=claim))
        row, offer = factories.server(fake.base_url, model=name)
        gateway.wait_for(row)
        offers.append(offer)
    liar = offers[2]
    for _ in range(20):
        chat(gateway, alice, [name] * 30)
        claims.watch()
        if status(liar) == "probation":
            break
    served = InferenceRequest.objects.filter(server=liar.server, success=True).count()
    assert status(liar) == "probation"
    assert served <= 200
    assert [status(honest) for honest in offers[:2]] == ["active", "active"]
    action = ModerationAction.objects.get(hoster=liar.server.hoster)
    assert action.rule == "token-claims"
    assert action.evidence["ratio"]["output"] == pytest.approx(1.2, abs=0.05)
    kept, true = kept_and_true(liar)
    assert kept <= 1.03 * true, "nothing of the excess"
    assert kept >= 0.9 * true, "and no more than that is taken"
    claims.watch()
    assert ModerationAction.objects.filter(hoster=liar.server.hoster).count() == 1


def kept_and_true(offer: HostedModel) -> tuple[int, int]:
    """(nanodollars that the customers paid in the end, what an honest server would have been paid)."""
    requests = InferenceRequest.objects.filter(server=offer.server, success=True)
    refunds = Transfer.objects.filter(kind="refund", charge__in=[request.pk for request in requests])
    back = dict(refunds.values_list("charge").annotate(total=Sum("amount_nanos")))
    kept = sum(request.cost_nanos - back.get(request.pk, 0) for request in requests)
    true = sum(
        round(r.claimed_input_tokens / 1.2) * 100 + round(r.claimed_output_tokens / 1.2) * 300
        for r in requests
    )
    return kept, true


def status(offer: HostedModel) -> str:
    return Hoster.objects.get(pk=offer.server.hoster_id).status


@given(st.integers(0, 2**32))
@hypothesis_settings(max_examples=60, deadline=None)
def test_ten_honest_servers_are_never_suspected_however_often_one_looks(seed: int) -> None:
    """Answers of 10 to 400 tokens whose bytes per token differ from text to text, and from tokenizer to template."""
    random = Random(seed)
    servers = []
    for _ in range(10):
        frame = random.choice([0, 1])
        sizes = [round(random.lognormvariate(4, 1)) + 5 for _ in range(200)]
        servers.append([(size + frame, round(size * random.gauss(4.2, 0.5))) for size in sizes])
    for looked in (20, 30, 50, 100, 200):
        for number, own in enumerate(servers):
            others = {other: claims_[:200] for other, claims_ in enumerate(servers) if other != number}
            assert not claims.is_inflated(own[:looked], others, allowance=1)


def test_without_two_other_owners_nobody_is_judged_by_claims() -> None:
    honest, liar = [(100, 400)] * 200, [(150, 400)] * 200
    assert not claims.is_inflated(liar, {1: honest}, allowance=1)
    assert claims.is_inflated(liar, {1: honest, 2: honest}, allowance=1)
    assert not claims.is_inflated(liar[:19], {1: honest, 2: honest}, allowance=1)
    assert not claims.is_inflated(liar, {1: honest, 2: honest[:19]}, allowance=1)
    assert claims.ratio(liar, {1: honest, 2: honest}) == pytest.approx(1.5)


# ------------------------------------------------------------------------------------------------------- trust


def test_the_stored_trust_is_that_of_the_recorded_events_and_shows_its_parts(gateway: RunningGateway) -> None:
    alice = factories.person(sold_nanos=10**10)
    _, offer = offered(gateway, scholars.knowing())
    chat(gateway, alice, [offer.model_id] * 12)
    examine(offer, 3)
    reputation.judge_all()
    hoster = Hoster.objects.get(pk=offer.server.hoster_id)
    events = reputation.events_of(hoster, as_of=hoster.trust_at)
    found = reputation.trust.trust(events)
    assert (found.score, found.is_new, found.parts(events)) == (
        hoster.trust,
        hoster.is_new,
        hoster.trust_parts,
    )
    assert set(hoster.trust_parts) == {"success", "consistency", "honesty", "disputes", "volume", "age"}
    assert hoster.trust_days == {f"{hoster.trust_at.astimezone(dt.UTC):%Y-%m-%d}": round(found.score, 4)}
    chat(gateway, alice, [offer.model_id] * 3)
    assert reputation.events_of(hoster, as_of=hoster.trust_at) == events, "what comes later changes nothing"


def test_the_history_of_trust_has_a_score_for_each_day_and_forgets_the_oldest() -> None:
    days: dict[str, float] = {}
    first = dt.date(2026, 1, 1)
    for number in range(trust.DAYS_REMEMBERED + 5):
        for score in (0.4, number / 1_000):
            days = trust.remembered(days, day=first + dt.timedelta(days=number), score=score)
    assert len(days) == trust.DAYS_REMEMBERED
    assert min(days) == "2026-01-06"
    assert days[max(days)] == 0.094


def test_own_traffic_and_one_customers_bulk_do_not_lift_trust() -> None:
    owner, hoster = factories.hoster()
    ledger.sell(customer=owner.customer, amount_nanos=10**9, reference="test", reason="test")
    Hoster.objects.filter(pk=hoster.pk).update(created_at=timezone.now() - dt.timedelta(days=60))
    hoster.refresh_from_db()
    server, _ = factories.server(of=hoster)
    rich, poor = factories.person(sold_nanos=10**9), factories.person()
    yesterday = timezone.now().date() - dt.timedelta(days=1)

    def sent(who: Person, requests: int) -> None:
        PayerDay.objects.create(server=server, customer=who.customer, day=yesterday, requests=requests)

    def trusted() -> float:
        events = reputation.events_of(hoster, as_of=timezone.now())
        return reputation.trust.trust(events).score

    sent(owner, 10**6)
    sent(poor, 10**6)
    assert trusted() == 0.5, "neither its own nor free credit counts"
    sent(rich, 10**6)
    assert trusted() == pytest.approx(0.6), "one customer counts for a fifth"
    for _ in range(4):
        sent(factories.person(sold_nanos=10**9), 40)
    assert trusted() == pytest.approx(1.0)
