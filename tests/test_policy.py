"""The policy that people read says what the code does: every number of its tables is the code's."""

import importlib
from operator import attrgetter

import pytest

from routing import choice, fitness, weights
from tests.test_docs import cells, text

NUMBERS = [
    (page, row[0].strip("`"), row[1])
    for page in ("docs/routing.md", "docs/hosting.md")
    for row in cells(page, "## Numbers")
]


@pytest.mark.parametrize(("page", "name", "said"), NUMBERS, ids=[name for _, name, _ in NUMBERS])
def test_a_number_of_the_policy_is_the_codes(page: str, name: str, said: str) -> None:
    app, module, attribute = name.split(".", 2)
    value = attrgetter(attribute)(importlib.import_module(f"{app}.{module}"))
    assert float(value) == float(said.replace(",", "").removesuffix(" %")) / (
        100 if said.endswith("%") else 1
    )


def test_the_exponents_of_the_tiers_are_the_codes() -> None:
    rows = {row[0].strip("`"): row[1:3] for row in cells("docs/routing.md", "## The weight")}
    assert set(rows) == set(weights.EXPONENTS)
    for tier, said in rows.items():
        if tier != "cheapest":
            assert tuple(map(float, said)) == weights.EXPONENTS[tier]


def test_every_reason_of_a_filter_is_explained_and_no_other() -> None:
    import inspect

    source = inspect.getsource(fitness.unfit)
    used = {line.split('"')[1] for line in source.splitlines() if line.strip().startswith('return "')}
    said = {name.strip(" `") for row in cells("docs/routing.md", "## Filters") for name in row[0].split(",")}
    assert said == used | fitness.EXCLUDED


def test_the_shares_in_the_text_are_the_codes() -> None:
    page = text("docs/routing.md")
    assert f"except for {choice.NEW_SHARE:.0%}".replace("%", " %") in page
    assert f"and {choice.UNTRUSTED_SHARE:.0%}".replace("%", " %") in page


def test_every_rule_and_every_sign_is_told_and_no_other() -> None:
    from hosting import errors
    from routing import claims, oddities, suspicion, verdicts

    told = {row[0].strip("`") for row in cells("docs/hosting.md", "## The rules") if row[0] != "sign"}
    signs = set(suspicion.NAMES.values())
    assert signs <= told
    rules = {errors.RULE, oddities.RULE, claims.RULE, verdicts.RULE, verdicts.RETEST_RULE, "drift"}
    assert rules == told - signs - {"---"}
