"""May this server serve this call? Each rule that says no has a name.

Pure. docs/routing.md lists the names.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hosting.offers import LiveOffer
from routing.calls import Call

TRUSTED = 0.8
HEALTH_MIN = 0.3
CONSISTENCY_MIN = 0.4
EXCLUDED = frozenset({"suspended", "deactivated"})
STATISTICAL = frozenset({"health_below_0.3", "circuit_open"})
PANIC_SERVERS_MIN = 3  # fewer servers say nothing about ourselves


@dataclass(frozen=True, slots=True)
class Reading:
    """What this process knows of a server now.

    circuit_open: nothing goes there (probe_due: but one may, should most of the model's servers be out). spent: it
    failed last, and the few requests are under way that may find out whether it works again. ok and failed: outcomes
    of about the last minute. Times are milliseconds: to the first token, for each further one. ramp: from 0 to 1
    while it returns after a pause.
    """

    in_flight: int = 0
    circuit_open: bool = False
    probe_due: bool = False
    spent: bool = False
    ok: float = 0.0
    failed: float = 0.0
    ttft_ms: float | None = None
    token_ms: float | None = None
    ramp: float = 1.0


IDLE = Reading()
Readings = Callable[[int], Reading]  # by server id; asked only for the servers that are looked at


def fit(
    offers: Iterable[LiveOffer], call: Call, reading: Readings, *, prompt_tokens: int, share: int
) -> tuple[list[LiveOffer], dict[int, str]]:
    """The offers that may serve this call, and for each other one (by server) why not.

    share: how many gateway processes there are; each may use its part of a server's slots.
    """
    usable: list[LiveOffer] = []
    out: list[LiveOffer] = []
    reasons: dict[int, str] = {}
    for offer in offers:
        reason = unfit(offer, call, reading(offer.server_id), prompt_tokens=prompt_tokens, share=share)
        if reason is None:
            usable.append(offer)
        else:
            reasons[offer.server_id] = reason
            if reason in STATISTICAL:
                out.append(offer)
    if len(out) > len(usable):
        for offer in least_bad(usable, out, reasons, reading):
            del reasons[offer.server_id]
            usable.append(offer)
    return usable, reasons


def unfit(offer: LiveOffer, call: Call, reading: Reading, *, prompt_tokens: int, share: int) -> str | None:
    """The first rule that keeps this server from this call; None when it may serve."""
    wish = call.preferences
    if offer.status in EXCLUDED:
        return offer.status
    if offer.draining:
        return "draining"
    if offer.waiting:
        return "waiting"
    if prompt_tokens >= offer.context_window:
        return "context"
    if wish.privacy_mode and offer.kind == "cloud":
        return "privacy"
    if offer.owner in wish.deny_hosters:
        return "denied"
    if wish.allow_hosters and offer.owner not in wish.allow_hosters:
        return "not_allowed"
    if wish.trusted_only and offer.trust <= TRUSTED:
        return "not_trusted"
    if wish.max_price_in is not None and offer.price_in > wish.max_price_in:
        return "max_price"
    if wish.max_price_out is not None and offer.price_out > wish.max_price_out:
        return "max_price"
    if offer.consistency < CONSISTENCY_MIN:
        return "consistency_below_0.4"
    if reading.circuit_open:
        return "circuit_open"
    if offer.health < HEALTH_MIN:
        return "health_below_0.3"
    if wish.max_latency_ms is not None and (reading.ttft_ms or 0.0) > wish.max_latency_ms:
        return "max_latency"
    if not has_room(reading, offer.slots, share):
        return "saturated"
    return None


def has_room(reading: Reading, slots: int, share: int) -> bool:
    """Whether this process' part of the server's slots is not used up."""
    return reading.in_flight < math.ceil(slots / share)


def least_bad(
    usable: list[LiveOffer], out: list[LiveOffer], reasons: dict[int, str], reading: Readings
) -> list[LiveOffer]:
    """Whom to let in although statistics say no, when they say so of more than half of the servers.

    Then the fault is rather ours (a network that was away, say): the healthiest, up to half of them all. An open
    circuit lets in a probe now and then only. Source: Envoy's panic threshold.
    """
    if any(reading(offer.server_id).probe_due for offer in out):
        return [offer for offer in out if reading(offer.server_id).probe_due]
    if len(usable) + len(out) < PANIC_SERVERS_MIN:
        return []
    ill = [offer for offer in out if reasons[offer.server_id] != "circuit_open"]
    ill.sort(key=lambda offer: (-offer.health, offer.server_id))
    return ill[: (len(out) - len(usable) + 1) // 2]
