"""What waits for a person, for the dashboard: one line for each kind. Add a function to QUEUE for another one."""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse

from hosting import inbox


@dataclass(frozen=True, slots=True)
class Waiting:
    """title: what waits, in words; count: how many; url: where a person deals with it."""

    title: str
    count: int
    url: str


def answers() -> Waiting:
    return Waiting("Answers of hosters", inbox.answers().count(), _queue("answers"))


def restricted() -> Waiting:
    return Waiting("Hosters on probation or suspended", inbox.restricted().count(), _queue("hosters"))


def retests() -> Waiting:
    return Waiting("Models whose owners ask for a new test", inbox.retests().count(), _queue("models"))


def unverified() -> Waiting:
    return Waiting("Servers not verified yet", inbox.unverified().count(), _queue("servers"))


QUEUE: tuple[Callable[[], Waiting], ...] = (answers, restricted, retests, unverified)


def _queue(section: str) -> str:
    return f"{reverse('admin:moderation_queue')}#{section}"
