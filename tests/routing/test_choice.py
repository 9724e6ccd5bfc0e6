"""How often a server is drawn: exact shares, and draws that can be replayed."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosting.offers import LiveOffer
from routing import choice, weights
from routing.choice import Draw, Field
from routing.fitness import Reading
from routing.weights import Need
from tests.routing.offers import Seen, call, offer

DRAWS = 10_000
RANDOM = Random(20_261_125)
SEEDS = [RANDOM.getrandbits(64) for _ in range(4 * DRAWS)]
NEED = Need(100, 300)


def drawn(field: Field, number: int, seen: Seen, *, most: int = 3, prefix: int = 0) -> list[int]:
    by = Draw(SEEDS[number], most, seen, NEED, prefix)
    return [one.server_id for one in choice.draw(field, by)]


def first_shares(
    offers: list[LiveOffer],
    seen: Seen | None = None,
    *,
    tier: str = "balanced",
    prefix: int = 0,
    draws: int = DRAWS,
) -> dict[int, float]:
    """How often each server stands first; 0 counts the draws in which nobody does."""
    seen = seen or Seen()
    field = Field(offers, NEED, seen.reading, tier=tier)
    counts = dict.fromkeys([0, *(one.server_id for one in offers)], 0)
    for number in range(draws):
        chosen = drawn(field, number, seen, prefix=prefix)
        counts[chosen[0] if chosen else 0] += 1
    return {server: count / draws for server, count in counts.items()}


@pytest.mark.parametrize(
    ("active", "probation", "fair"),
    [(1, 1, 1 / 2), (2, 1, 1 / 3), (0, 2, 1 / 2), (0, 1, 1.0), (9, 1, 1 / 10)],
)
def test_a_server_on_probation_gets_half_of_its_fair_share(active: int, probation: int, fair: float):
    offers = [offer(n) for n in range(1, active + 1)]
    offers += [offer(100 + n, status="probation") for n in range(probation)]
    shares = first_shares(offers, draws=4 * DRAWS)
    for n in range(probation):
        assert shares[100 + n] / fair == pytest.approx(0.5, abs=0.02)
    nobody = shares[0]
    assert nobody == pytest.approx(0.5 if active == 0 else 0.0, abs=0.02)


def test_a_server_on_probation_gets_half_of_what_it_would_get_with_unequal_weights_too():
    offers = [offer(1, price_in=50, price_out=150), offer(2, health=0.8), offer(3, consistency=0.7)]
    fair = first_shares(offers)
    for n, one in enumerate(offers):
        judged = [*offers[:n], offer(one.server_id, price_in=one.price_in, price_out=one.price_out,
                  health=one.health, consistency=one.consistency, status="probation"), *offers[n + 1:]]  # fmt: skip
        half = fair[one.server_id] / 2
        assert first_shares(judged)[one.server_id] == pytest.approx(half, abs=0.02)


def test_a_server_on_probation_is_no_second_choice_more_often_than_a_first():
    field = Field([offer(1), offer(2), offer(3, status="probation")], NEED, Seen().reading)
    with_it = sum(3 in drawn(field, number, Seen()) for number in range(DRAWS)) / DRAWS
    assert with_it == pytest.approx(0.5, abs=0.02)


def test_new_and_untrusted_servers_get_their_share_and_no_more():
    offers = [offer(1), offer(2), offer(3, trust=0.5, new=True), offer(4, trust=0.5, new=True)]
    offers += [offer(5, trust=0.8), offer(6, trust=0.2, price_in=0, price_out=0)]
    shares = first_shares(offers)
    assert shares[3] + shares[4] == pytest.approx(choice.NEW_SHARE, abs=0.01)
    assert shares[3] == pytest.approx(shares[4], abs=0.01)
    assert shares[5] + shares[6] == pytest.approx(choice.UNTRUSTED_SHARE, abs=0.01)
    assert shares[1] == pytest.approx(0.425, abs=0.02)


def test_without_a_trusted_server_the_others_share_everything():
    shares = first_shares([offer(1, trust=0.5, new=True), offer(2, trust=0.5), offer(3, trust=0.25)])
    assert shares[1] == pytest.approx(shares[2], abs=0.02)
    assert shares[3] == pytest.approx(shares[1] / 8, abs=0.02), "by the third power of trust"


def test_suspended_servers_are_never_in_a_field():
    from routing import fitness

    offers = [offer(1), offer(2, status="suspended"), offer(3, status="deactivated")]
    usable, _ = fitness.fit(offers, call(), Seen().reading, prompt_tokens=1, share=1)
    assert first_shares(usable) == {0: 0.0, 1: 1.0}


def test_weak_servers_are_only_asked_when_nobody_else_is_left():
    weak, well = offer(1, health=0.4), offer(2, health=0.5)
    field = Field([weak, well], NEED, Seen().reading)
    assert all(drawn(field, n, Seen()) == [2, 1] for n in range(200))
    assert first_shares([weak]) == {0: 0.0, 1: 1.0}


def test_cheaper_faster_and_healthier_servers_get_more():
    assert first_shares([offer(1, price_in=50, price_out=150), offer(2)])[1] == pytest.approx(0.70, abs=0.02)
    assert first_shares([offer(1), offer(2, health=0.5)])[1] > 0.7
    slow = Seen({1: Reading(ttft_ms=100, token_ms=10), 2: Reading(ttft_ms=500, token_ms=50)})
    assert first_shares([offer(1), offer(2)], slow)[1] == pytest.approx(25 / 26, abs=0.01)
    assert first_shares([offer(1), offer(2)], slow, tier="fastest")[1] > 0.99


def test_nobody_buys_everything_with_a_price_of_0():
    offers = [offer(1, price_in=0, price_out=0), offer(2), offer(3)]
    assert first_shares(offers)[1] == pytest.approx(0.87, abs=0.02)


def test_the_cheapest_tier_goes_to_the_cheapest_that_is_fit_and_trusted():
    offers = [offer(1), offer(2, price_in=1, price_out=1), offer(3, price_in=1, price_out=1)]
    shares = first_shares(offers, tier="cheapest")
    assert shares[1] == 0
    assert shares[2] == pytest.approx(0.5, abs=0.02), "ties by weight"
    bait = [*offers, offer(4, trust=0.5, new=True, price_in=0, price_out=0)]
    assert first_shares(bait, tier="cheapest")[4] == pytest.approx(choice.NEW_SHARE, abs=0.01)
    halved = [offer(1), offer(2, price_in=1, price_out=1, status="probation")]
    assert first_shares(halved, tier="cheapest")[2] == pytest.approx(0.5, abs=0.02)


def test_full_servers_are_passed_over_and_those_being_found_out_are_the_last_resort():
    seen = Seen({1: Reading(in_flight=64), 2: Reading(spent=True)})
    assert first_shares([offer(1), offer(2), offer(3)], seen)[3] == 1.0
    assert first_shares([offer(1), offer(2)], seen)[2] == 1.0
    assert first_shares([offer(1)], seen)[0] == 1.0


def test_a_busy_server_yields_to_the_faster_of_two():
    seen = Seen({1: Reading(in_flight=40), 2: Reading(in_flight=1), 3: Reading(in_flight=1)})
    shares = first_shares([offer(1), offer(2), offer(3)], seen)
    weight = weights.weigh([offer(1), offer(2), offer(3)], NEED, seen.reading, tier="balanced")
    alone = weight[0].weight / sum(one.weight for one in weight)
    assert shares[1] == pytest.approx(alone * alone, abs=0.02), "only when it is drawn twice"


def test_a_conversation_stays_with_its_server_while_that_is_not_busy():
    offers = [offer(n) for n in range(1, 6)]
    shares = first_shares(offers, prefix=77)
    favourite = max(shares, key=shares.__getitem__)
    assert shares[favourite] == pytest.approx(4 / 8, abs=0.02), "four times its weight"
    without = [one for one in offers if one.server_id != favourite]
    assert max(first_shares(without, prefix=77).values()) == pytest.approx(4 / 7, abs=0.02)
    busy = Seen({favourite: Reading(in_flight=30)})
    assert first_shares(offers, busy, prefix=77)[favourite] < 0.1


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=12, unique=True), st.integers(0, choice.MASK))
def test_a_draw_can_be_replayed_and_does_not_depend_on_the_order_of_the_offers(ids: list[int], seed: int):
    statuses = ["active", "probation", "warned"]
    offers = [offer(n, status=statuses[n % 3], trust=(n % 11) / 10, health=0.3 + n % 7 / 10) for n in ids]
    by = Draw(seed, 3, Seen(), NEED)
    chosen = choice.draw(Field(offers, NEED, Seen().reading), by)
    again = choice.draw(Field(offers[::-1], NEED, Seen().reading), by)
    assert chosen == again
    assert len({one.server_id for one in chosen}) == len(chosen) <= 3
    assert set(chosen) <= set(offers)


def test_what_is_known_well_varies_little_and_what_is_not_gets_its_chance():
    """The health factor is drawn from what is known (Thompson sampling)."""
    seen = Seen({1: Reading(ok=500), 2: Reading(failed=2)})
    draws = [
        weights.weigh([offer(1), offer(2)], NEED, seen.reading, tier="balanced", beta=RANDOM.betavariate)
        for _ in range(500)
    ]
    known, unknown = ([pair[n].health for pair in draws] for n in (0, 1))
    assert min(known) > 0.97
    assert min(unknown) < 0.6
    assert max(unknown) > 0.95
