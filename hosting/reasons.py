"""Actions of moderation in the admin: each asks for a reason, which the hoster reads."""

from collections.abc import Callable
from typing import Any

from accounts.models import User
from billing import stating
from billing.acts import Act
from hosting import moderation
from hosting.models import HostedModel, Hoster, ModerationAction
from hosting.moderation import Kind, ModerationRefused

STANDINGS: dict[Kind, str] = {
    Kind.NOTICE: "Tell",
    Kind.WARN: "Warn",
    Kind.PROBATION: "Put on probation",
    Kind.SUSPEND: "Suspend",
    Kind.DEACTIVATE: "Deactivate",
    Kind.REINSTATE: "Reinstate",
}
Do = Callable[[Any, str, User], ModerationAction | None]


def asked(name: str, words: str, do: Do) -> Any:
    """An admin action. do: (row, reason, who) → what was done, None when nothing was to be done."""
    return stating.asked(
        name,
        words,
        do,
        label="Reason",
        help_text="The hoster reads it, and can answer.",
        refused=ModerationRefused,
        permission="change",
        said=said,
    )


def for_hoster(hoster: Hoster) -> list[Act]:
    """The buttons for a hoster: only what would change something, or says something."""
    possible = moderation.possible(hoster.status)
    return [(kind.value, words) for kind, words in STANDINGS.items() if kind in possible]


def for_offer(offer: HostedModel) -> list[Act]:
    """The button for a hoster's model; none for the operator's own."""
    kind = moderation.possible_for_offer(offer)
    return [(kind.value, STANDINGS[kind])] if offer.server.kind == "hoster" else []


def said(done: ModerationAction | None) -> str:
    return done.get_kind_display() if done else "it is so already"
