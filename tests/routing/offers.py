"""Offers and calls for the tests of the choice, and a sight of servers that is what a test says."""

import dataclasses
import json
from dataclasses import dataclass, field

from hosting.offers import LiveOffer
from routing import calls
from routing.fitness import IDLE, Reading, has_room

OFFER = LiveOffer(
    offer_id=1, server_id=1, server_version=1, kind="hoster", owner="bob", hoster_id=1, payee=1, model="m",
    upstream_name="m", base_url="http://127.0.0.1:9999", token="", token_version=1, price_in=100, price_out=300,
    context_window=8_192, slots=64, status="active", draining=False, trust=0.9, health=1.0, bytes_per_token=4.0,
)  # fmt: skip


def offer(server_id: int, **fields: object) -> LiveOffer:
    return dataclasses.replace(OFFER, offer_id=server_id, server_id=server_id, **fields)


def call(**fields: object) -> calls.Call:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
    return calls.parse(calls.CHAT, json.dumps(body).encode(), calls.Limits(64, 2_048, 8))


@dataclass
class Seen:
    """A sight of servers that never changes."""

    readings: dict[int, Reading] = field(default_factory=dict)

    def reading(self, server_id: int) -> Reading:
        return self.readings.get(server_id, IDLE)

    def in_flight(self, server_id: int) -> int:
        return self.reading(server_id).in_flight

    def takes(self, server_id: int, slots: int) -> bool:
        known = self.reading(server_id)
        return not (known.circuit_open or known.spent) and has_room(known, slots, 1)

    def can_try(self, server_id: int, slots: int) -> bool:
        known = self.reading(server_id)
        return not known.circuit_open and has_room(known, slots, 1)
