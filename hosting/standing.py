"""How a server and a hoster stand with the router, in words for their owner."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Now

from hosting import market
from hosting.models import Circuit, Hoster, ModerationAction, Server

HEALTH_EXCLUDED_BELOW = 0.3
HEALTH_LOWER_BELOW = 0.5
ACTIONS_SHOWN_MAX = 20
# What multiplies, before what says how far it counts.
QUALITY = ("success", "consistency", "honesty", "disputes")


@dataclass(frozen=True, slots=True)
class Standing:
    """tone: good, fair or bad, for a badge's colour; advice: what to do next, empty when nothing is."""

    tone: str
    label: str
    advice: str = ""


OF_HOSTER = {
    Hoster.Status.ACTIVE: Standing("good", "active"),
    Hoster.Status.WARNED: Standing("fair", "warned", "Full traffic for now. Deal with the reason below."),
    Hoster.Status.PROBATION: Standing("fair", "probation", "Half of your traffic until the reason is gone."),
    Hoster.Status.SUSPENDED: Standing("bad", "suspended", "No traffic. Answer below: the operator reads it."),
    Hoster.Status.DEACTIVATED: Standing(
        "bad", "deactivated", "No traffic. Answer below: the operator reads it."
    ),
}


def of_hoster(hoster: Hoster) -> Standing:
    return OF_HOSTER[Hoster.Status(hoster.status)]


def of_servers(servers: Iterable[Server], now: dt.datetime) -> list[tuple[Server, Standing]]:
    """How each stands; with its models and circuit read."""
    return [(server, of_server(server, paused_until=_pause(server, now))) for server in servers]


def _pause(server: Server, now: dt.datetime) -> dt.datetime | None:
    circuit: Circuit | None = getattr(server, "circuit", None)
    return circuit.open_until if circuit and circuit.open_until > now else None


def trust_parts(hoster: Hoster) -> list[tuple[str, dict[str, Any]]]:
    """The parts of trust by name; those of the quality first, the lowest before the others."""
    return sorted(
        hoster.trust_parts.items(), key=lambda part: (part[0] not in QUALITY, part[1]["value"], part[0])
    )


def paused_until(server: Server) -> dt.datetime | None:
    """The end of the pause after three failures in a row; None when there is none now."""
    circuits = Circuit.objects.filter(server=server, open_until__gt=Now())
    return circuits.values_list("open_until", flat=True).first()


def actions(hoster: Hoster, server: Server | None = None) -> list[ModerationAction]:
    """What was done and said lately, of all or of one server; the newest first."""
    own = hoster.actions.select_related("server", "offer").order_by("-created_at")
    return list((own if server is None else own.filter(server=server))[:ACTIONS_SHOWN_MAX])


def of_server(server: Server, *, paused_until: dt.datetime | None = None) -> Standing:
    """What keeps traffic from it first: its check, its owner's standing and wish, its failures, its health."""
    if server.setup is not None and server.verified_at is None:
        return Standing("fair", "being registered", "Go on where you stopped.")
    if server.verified_at is None and server.verification_error:
        return Standing("bad", "did not pass", "See what its check found, repair it, then check again.")
    if server.verified_at is None:
        return Standing("fair", "not checked yet", "Start it with its token, then check it.")
    if server.hoster and server.hoster.status in market.OFF_THE_MARKET:
        return Standing("bad", "no traffic", f"You are {server.hoster.status}: the portal says why.")
    if server.waiting_since is not None:
        return Standing(
            "fair", "waiting for your server", "No requests until it takes them: start it with the new token."
        )
    if server.draining:
        return Standing("fair", "draining", "No new requests until you take traffic up again.")
    if not any(model.enabled and model.deactivated_at is None for model in server.models.all()):
        return Standing("fair", "nothing to offer", "No requests: every model is withdrawn or deactivated.")
    if paused_until is not None:
        return Standing(
            "bad",
            "paused",
            f"It failed three times in a row: no requests until {paused_until:%H:%M:%S} UTC. See its log.",
        )
    if server.health < HEALTH_EXCLUDED_BELOW:
        return Standing("bad", "unhealthy", "No traffic until its health checks pass again.")
    if server.health < HEALTH_LOWER_BELOW:
        return Standing("fair", "weak", "Less traffic until its health checks pass again.")
    return Standing("good", "in traffic")
