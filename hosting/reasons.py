"""Actions of moderation in the admin: each asks for a reason, which the hoster reads."""

from collections.abc import Callable
from typing import Any

from accounts.models import User
from billing import stating
from hosting.models import ModerationAction
from hosting.moderation import ModerationRefused

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


def said(done: ModerationAction | None) -> str:
    return done.get_kind_display() if done else "it is so already"
