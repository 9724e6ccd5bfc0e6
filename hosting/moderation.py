"""What is done to a hoster, by a published rule or by a person: always with a reason, always with a way back.

It acts on the next request in every process: a trigger raises the versions of the hoster's servers, and the admission
compares them. docs/hosting.md is the policy that hosters read.
"""

from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import User
from billing import notices
from hosting import emails
from hosting.models import HostedModel, Hoster, ModerationAction, Server

Kind = ModerationAction.Kind
Status = Hoster.Status

STATUS_AFTER = {
    Kind.WARN: Status.WARNED,
    Kind.PROBATION: Status.PROBATION,
    Kind.SUSPEND: Status.SUSPENDED,
    Kind.DEACTIVATE: Status.DEACTIVATED,
    Kind.REINSTATE: Status.ACTIVE,
}
SEVERITY = (Status.ACTIVE, Status.WARNED, Status.PROBATION, Status.SUSPENDED, Status.DEACTIVATED)
IS_SO = {Status.PROBATION: "on probation"}  # as one says it; the others are their values
MAY_REPEAT = {Kind.NOTICE, Kind.WARN}  # words, which can be said again
REASON_CHARS_MAX = 2_000
ANSWER_CHARS_MAX = 4_000
UNCHANGED = "It is {is_so} already: nothing was changed, and nobody was told anything."


class ModerationRefused(Exception):
    """It cannot be done; the words say what is missing."""


def possible(status: str) -> tuple[ModerationAction.Kind, ...]:
    """What a person can do to a hoster of this standing: what changes it, and what may be said again."""
    return tuple(kind for kind in Kind if kind in MAY_REPEAT or STATUS_AFTER[kind] != status)


def _after(kind: ModerationAction.Kind, before: Status) -> Status:
    """A warning says something; it frees nobody from what is stricter."""
    after = STATUS_AFTER.get(kind, before)
    stricter = SEVERITY.index(before) > SEVERITY.index(after)
    return before if kind == Kind.WARN and stricter else after


def possible_for_offer(offer: HostedModel) -> ModerationAction.Kind:
    """The one thing that a person can do to a hoster's model: put it back when it is off, and otherwise take it off."""
    return Kind.REINSTATE if offer.deactivated_at else Kind.DEACTIVATE


def act(
    kind: ModerationAction.Kind,
    hoster: Hoster,
    *,
    reason: str,
    rule: str = "",
    actor: User | None = None,
    evidence: dict[str, Any] | None = None,
    server: Server | None = None,
) -> ModerationAction | None:
    """Change the hoster's standing, or with Kind.NOTICE only tell it something; the hoster gets a mail.

    Either a rule or a person (`actor`) does it. A rule never lifts or softens what stands, and says nothing twice:
    None is returned when the hoster is treated as strictly already. Raises ModerationRefused, also when a person asks
    for what is so already (`possible`).
    """
    reason = _checked(reason, rule, actor)
    with transaction.atomic():
        row = Hoster.objects.select_for_update(no_key=True).get(pk=hoster.pk)
        before = Status(row.status)
        after = _after(kind, before)
        if actor is None and kind != Kind.NOTICE and SEVERITY.index(after) <= SEVERITY.index(before):
            return None
        if kind not in possible(before):
            raise ModerationRefused(UNCHANGED.format(is_so=IS_SO.get(before, before.value)))
        action = ModerationAction.objects.create(
            hoster=row, server=server, kind=kind, rule=rule, reason=reason, evidence=evidence or {}, actor=actor,
            status_before=before, status_after=after,
        )  # fmt: skip
        if after == STATUS_AFTER.get(kind):
            Hoster.objects.filter(pk=row.pk).update(
                status=after, status_reason="" if after == Status.ACTIVE else reason
            )
        _tell(action)
    hoster.refresh_from_db(fields=["status", "status_reason"])
    return action


def deactivate_offer(
    offer: HostedModel,
    *,
    reason: str,
    rule: str = "",
    actor: User | None = None,
    evidence: dict[str, Any] | None = None,
) -> ModerationAction | None:
    """Take one model of one server off the market. Off already: None for a rule, ModerationRefused for a person."""
    return _switch_offer(offer, Kind.DEACTIVATE, reason, rule, actor, evidence)


def reinstate_offer(
    offer: HostedModel,
    *,
    reason: str,
    rule: str = "",
    actor: User | None = None,
    evidence: dict[str, Any] | None = None,
) -> ModerationAction | None:
    """Put a deactivated model back on the market. There already: None for a rule, ModerationRefused for a person."""
    return _switch_offer(offer, Kind.REINSTATE, reason, rule, actor, evidence)


def ask_for_retest(offer: HostedModel) -> None:
    """The owner of a deactivated model asks for a new round of questions. Raises ModerationRefused."""
    changed = HostedModel.objects.filter(
        pk=offer.pk, deactivated_at__isnull=False, retest_at__isnull=True
    ).update(retest_at=Now(), next_question_at=Now())
    if not changed:
        raise ModerationRefused(f"{offer.model_id} is not deactivated, or its new test has begun already.")


def answer(action: ModerationAction, text: str) -> None:
    """What the hoster says to it, once; the operator hears of it. Raises ModerationRefused."""
    text = text.strip()
    if not 1 <= len(text) <= ANSWER_CHARS_MAX:
        raise ModerationRefused(f"An answer has 1 to {ANSWER_CHARS_MAX:,} characters.")
    changed = ModerationAction.objects.filter(pk=action.pk, answered_at__isnull=True).update(
        answer=text, answered_at=Now()
    )
    if not changed:
        raise ModerationRefused("This was answered already. Write to the operator if more is to be said.")
    action.refresh_from_db(fields=["answer", "answered_at"])
    emails.answered(action)


def _switch_offer(
    offer: HostedModel,
    kind: ModerationAction.Kind,
    reason: str,
    rule: str,
    actor: User | None,
    evidence: dict[str, Any] | None,
) -> ModerationAction | None:
    reason = _checked(reason, rule, actor)
    off = kind == Kind.DEACTIVATE
    with transaction.atomic():
        changed = HostedModel.objects.filter(pk=offer.pk, deactivated_at__isnull=off).update(
            deactivated_at=Now() if off else None,
            deactivated_reason=reason if off else "",
            retest_at=None,
        )
        if not changed and actor:
            raise ModerationRefused(UNCHANGED.format(is_so="deactivated" if off else "not deactivated"))
        if not changed:
            return None
        hoster = offer.server.hoster
        if hoster is None:
            raise ModerationRefused("Only hosters are moderated; the operator's own models are switched off.")
        action = ModerationAction.objects.create(
            hoster=hoster, server=offer.server, offer=offer, kind=kind, rule=rule, reason=reason,
            evidence=evidence or {}, actor=actor, status_before=hoster.status, status_after=hoster.status,
        )  # fmt: skip
        _tell(action)
    offer.refresh_from_db(fields=["deactivated_at", "deactivated_reason", "retest_at"])
    return action


def _tell(action: ModerationAction) -> None:
    """The hoster, as of everything by mail and webhook; and the operator, of what a rule did."""
    notices.tell(
        action.hoster.customer,
        "moderated",
        f"moderation:{action.pk}",
        {
            "hoster": action.hoster.name, "kind": action.kind, "done": action.get_kind_display(),
            "model": action.offer.model_id if action.offer else "",
            "server": action.server.name if action.server else "",
            "reason": action.reason, "rule": action.rule, "status": action.status_after,
        },
    )  # fmt: skip
    if action.rule:
        transaction.on_commit(lambda: emails.noticed(action))


def _checked(reason: str, rule: str, actor: User | None) -> str:
    reason = reason.strip()
    if not 1 <= len(reason) <= REASON_CHARS_MAX:
        raise ModerationRefused(f"Say why, in 1 to {REASON_CHARS_MAX:,} characters: the hoster reads it.")
    if (actor is None) == (rule == ""):
        raise ModerationRefused("Either a rule or a person does this, not both and not nobody.")
    return reason
