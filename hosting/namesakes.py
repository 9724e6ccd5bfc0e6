"""Names of models that people write: those that nobody has here, and what was probably meant."""

from collections.abc import Sequence

from hosting import market
from hosting.models import HostedModel
from hosting.near_names import near

TOLD_MAX = 5  # wrong names that are told at once


def unknown(names: Sequence[str]) -> list[str]:
    """Those that no server has or had. Without the database where there are none."""
    asked = [name for name in names if name != market.AUTO]
    if not asked:
        return []
    known = set(HostedModel.objects.filter(model_id__in=asked).values_list("model_id", flat=True))
    return [name for name in asked if name not in known]


def complaints(names: Sequence[str]) -> list[str]:
    """What to tell who wrote names that are unknown: a sentence for each, of TOLD_MAX at most."""
    wrong = unknown(names)
    for_sale = [model.id for model in market.listings()] if wrong else []
    return [_complaint(name, near(name, for_sale)) for name in wrong[:TOLD_MAX]]


def _complaint(name: str, meant: Sequence[str]) -> str:
    if meant:
        return f"Nobody has “{name}” here. Did you mean {' or '.join(meant)}?"
    return f"Nobody has “{name}” here. The models page lists what there is."
