"""Servers' tokens at rest."""

from typing import Any

import pytest

from hosting import tokens


def test_a_sealed_token_comes_back() -> None:
    token = tokens.make()
    sealed = tokens.seal(server_id=7, token=token)
    assert token not in sealed
    assert tokens.unseal(server_id=7, sealed=sealed) == token


def test_a_token_may_hold_anything_a_header_may() -> None:
    token = "a:b=c/" + "~" * 400
    assert tokens.unseal(server_id=7, sealed=tokens.seal(server_id=7, token=token)) == token


def test_no_token_stays_none() -> None:
    assert tokens.unseal(server_id=7, sealed="") == ""


def test_tokens_are_marked_and_different() -> None:
    made = {tokens.make() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(token.startswith("ngs_") and len(token) >= 40 for token in made)


def test_a_row_swapped_with_another_servers_is_noticed() -> None:
    sealed = tokens.seal(server_id=7, token="secret-token")
    with pytest.raises(tokens.TokenUnreadable, match="another owner") as refusal:
        tokens.unseal(server_id=77, sealed=sealed)
    assert "secret-token" not in str(refusal.value)


@pytest.mark.parametrize("sealed", ["rubbish", "gAAAAA", "ngs_plain"])
def test_what_was_not_sealed_here_is_refused(sealed: str) -> None:
    with pytest.raises(tokens.TokenUnreadable):
        tokens.unseal(server_id=7, sealed=sealed)


def test_keys_can_be_rotated(settings: Any) -> None:
    settings.FERNET_KEYS = ["old"]
    sealed = tokens.seal(server_id=7, token="secret-token")
    settings.FERNET_KEYS = ["new", "old"]
    assert tokens.unseal(server_id=7, sealed=sealed) == "secret-token"
    settings.FERNET_KEYS = ["new"]
    with pytest.raises(tokens.TokenUnreadable, match="FERNET_KEYS"):
        tokens.unseal(server_id=7, sealed=sealed)
