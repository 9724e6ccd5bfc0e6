"""What each model of a server looked like when it last passed its check, and what to do when that changes."""

from collections.abc import Mapping

from django.db.models.functions import Now

from hosting import drift, moderation
from hosting.drift import Fingerprint
from hosting.models import HostedModel, ModerationAction, Server

RULE = "drift"


def keep(server: Server, seen: Mapping[str, Fingerprint]) -> None:
    """Remember the fingerprints of a check that passed, by public id.

    A model that looks different is tested soon, and its owner is told; providers of the operator are only remembered.
    """
    for offer in server.models.filter(model_id__in=seen).order_by("pk"):
        now = seen[offer.model_id]
        words = drift.changed(offer.fingerprint, now)
        HostedModel.objects.filter(pk=offer.pk).update(fingerprint=now)
        if words and server.hoster is not None:
            _tell(server, offer, words)


def _tell(server: Server, offer: HostedModel, words: list[str]) -> None:
    HostedModel.objects.filter(pk=offer.pk).update(next_question_at=Now())
    assert server.hoster is not None
    moderation.act(
        ModerationAction.Kind.NOTICE,
        server.hoster,
        rule=RULE,
        server=server,
        reason=f"{offer.model_id} on {server.name} looks different since its last check: {', '.join(words)}. It is "
        "tested soon. If it is another model now, offer it under its own name.",
        evidence={"model": offer.model_id, "changed": words},
    )
