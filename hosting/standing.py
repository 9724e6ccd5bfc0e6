"""How a server and a hoster stand with the router, in words for their owner."""

from dataclasses import dataclass

from hosting.models import Hoster, Server

HEALTH_EXCLUDED_BELOW = 0.3
HEALTH_LOWER_BELOW = 0.5


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
    Hoster.Status.SUSPENDED: Standing("bad", "suspended", "No traffic."),
    Hoster.Status.DEACTIVATED: Standing("bad", "deactivated", "No traffic."),
}


def of_hoster(hoster: Hoster) -> Standing:
    return OF_HOSTER[Hoster.Status(hoster.status)]


def of_server(server: Server) -> Standing:
    """What keeps traffic from it first: its check, its owner's wish, its health."""
    if server.verified_at is None and server.verification_error:
        return Standing("bad", "did not pass", "See what its check found, repair it, then check again.")
    if server.verified_at is None:
        return Standing("fair", "not checked yet", "Start it with its token, then check it.")
    if server.waiting_since is not None:
        return Standing(
            "fair", "waiting for your server", "No requests until it takes them: start it with the new token."
        )
    if server.draining:
        return Standing("fair", "draining", "No new requests until you take traffic up again.")
    if server.health < HEALTH_EXCLUDED_BELOW:
        return Standing("bad", "unhealthy", "No traffic until its health checks pass again.")
    if server.health < HEALTH_LOWER_BELOW:
        return Standing("fair", "weak", "Less traffic until its health checks pass again.")
    return Standing("good", "in traffic")
