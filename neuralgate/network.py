"""The state of the network in figures and in words, as everybody may see it; read every few seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from django.core.cache import caches

from hosting import availability, showcase
from hosting.availability import Availability
from hosting.showcase import Showcase
from routing import preview, pulse
from routing.preview import Preview
from routing.pulse import Day, Pulse

KEPT_S = 5
JOBS_LATE_S = 300  # the counting of outcomes runs every minute
SUCCESS_GOOD = 0.99

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """What the landing page shows."""

    market: Showcase
    availability: Availability
    day: Day
    preview: Preview | None


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the network: level is good, fair or bad; words say the same."""

    name: str
    level: str
    word: str
    words: str


@dataclass(frozen=True, slots=True)
class Status:
    """checks: the worst of them decides about `level`."""

    checks: tuple[Check, ...]
    availability: Availability
    pulse: Pulse

    @property
    def level(self) -> str:
        return max((check.level for check in self.checks), key=("good", "fair", "bad").index)


def figures() -> Figures:
    return _kept(
        "figures",
        lambda: Figures(showcase.now(), availability.now(), pulse.last_day(), preview.busiest()),
    )


def status() -> Status:
    return _kept("status", _status)


def _status() -> Status:
    seen, beat = availability.now(), pulse.now()
    return Status((_database(), _gateway(beat), _jobs(beat), _requests(beat), _servers(seen)), seen, beat)


def _database() -> Check:
    return Check("Database", "good", "up", "The books and the catalogue can be read.")


def _gateway(beat: Pulse) -> Check:
    if beat.gateways:
        many = "process takes" if beat.gateways == 1 else "processes take"
        return Check("Gateway", "good", "up", f"{beat.gateways} {many} requests.")
    return Check(
        "Gateway", "bad", "down", "No gateway process reports to the database: requests cannot be taken."
    )


def _jobs(beat: Pulse) -> Check:
    if beat.counted_s is not None and beat.counted_s < JOBS_LATE_S:
        return Check("Background jobs", "good", "running", "Health checks, releases and audits run on time.")
    return Check(
        "Background jobs",
        "fair",
        "late",
        "Health checks, releases of earnings and audits are late. Requests are served; nothing that is owed is lost.",
    )


def _requests(beat: Pulse) -> Check:
    success = beat.now.success
    if success is None:
        return Check("Requests", "good", "quiet", "Nobody asked for anything in this hour and the last.")
    total = beat.now.served + beat.now.failed
    words = f"{beat.now.served:,} of {total:,} requests of this hour and the last were served."
    if success >= SUCCESS_GOOD:
        return Check("Requests", "good", "served", words)
    return Check("Requests", "fair" if success >= 0.5 else "bad", "some fail", words)


def _servers(seen: Availability) -> Check:
    total = seen.up + seen.down
    if not total:
        return Check("Servers", "fair", "none", "No server is on the market now.")
    words = f"{seen.up} of {total} servers answer" + (f"; {seen.resting} on leave." if seen.resting else ".")
    if not seen.up:
        return Check("Servers", "bad", "down", words)
    return (
        Check("Servers", "fair", "some down", words)
        if seen.models_away
        else Check("Servers", "good", "up", words)
    )


def _kept(name: str, read: Callable[[], T]) -> T:
    """What was read at most KEPT_S ago by this process: a crowd of visitors costs the database no more than one."""
    kept: T | None = caches["process"].get(name)
    if kept is None:
        kept = read()
        caches["process"].set(name, kept, KEPT_S)
    return kept
