"""ID:IN:OUT[:CONTEXT], read from the right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hosting import terms
from hosting.terms import ModelTerms, TermsRefused


def parse(text: str) -> ModelTerms:
    return terms.parse(text, context_default=8_192)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llama:50:100", ModelTerms("llama", 50, 100, 8_192)),
        ("qwen2.5:7b:50:100", ModelTerms("qwen2.5:7b", 50, 100, 8_192)),
        ("m:50:100:8192", ModelTerms("m", 50, 100, 8_192)),
        ("qwen2.5:7b:50:100:32768", ModelTerms("qwen2.5:7b", 50, 100, 32_768)),
        ("Qwen/Qwen3-8B@fp8:0:0", ModelTerms("Qwen/Qwen3-8B@fp8", 0, 0, 8_192)),
        ("m:1000000000:1000000000:10000000", ModelTerms("m", 10**9, 10**9, 10**7)),
    ],
)
def test_a_model_is_read_from_the_right(text: str, expected: ModelTerms) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            "m",
            "m:50",
            "50:100",
            ":50:100",
            "m:50:",
            "m::100",
            "m:50:100:",
            "m:-1:100",
            "m:1.5:2",
            "m:a:b",
        ),
        *(
            "m:1000000001:0",
            "m:0:1000000001",
            "m:1:1:0",
            "m:1:1:10000001",
            "m:٣:٤",
            "m:1e3:2",
            "m:+1:2",
            "m: 1:2",
        ),
        *(
            "auto:1:2",
            "two words:1:2",
            "m\n:1:2",
            "\u00e4:1:2",
            "-m:1:2",
            "m" * 201 + ":1:2",
            "m:" + "9" * 5_000 + ":1",
        ),
    ],
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(TermsRefused) as refusal:
        parse(text)
    assert str(refusal.value).endswith(".")


@given(
    st.from_regex(terms.MODEL_ID, fullmatch=True).filter(lambda text: text not in terms.RESERVED_IDS),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
    st.integers(1, 10**7),
)
def test_the_long_form_is_never_ambiguous(model_id: str, price_in: int, price_out: int, context: int) -> None:
    text = f"{model_id}:{price_in}:{price_out}:{context}"
    assert parse(text) == ModelTerms(model_id, price_in, price_out, context)


def test_a_model_may_be_called_otherwise_on_its_server() -> None:
    named = terms.with_upstream_names([parse("a:1:2"), parse("b:1:2")], {"b": "/models/b.gguf"})
    assert [model.asked_as for model in named] == ["a", "/models/b.gguf"]
    with pytest.raises(TermsRefused, match="not among the models"):
        terms.with_upstream_names([parse("a:1:2")], {"c": "x"})


@pytest.mark.parametrize(
    "models",
    [
        [],
        [ModelTerms("a", 1, 2, 3), ModelTerms("a", 2, 3, 4)],
        [ModelTerms(f"m{n}", 1, 2, 3) for n in range(101)],
        [ModelTerms("a", 1, 2, 3, "two words")],
        [ModelTerms("a", -1, 2, 3)],
    ],
)
def test_models_that_cannot_stand_together_are_refused(models: list[ModelTerms]) -> None:
    for check in (terms.check, terms.check_hosters):
        with pytest.raises(TermsRefused):
            check(models)


@pytest.mark.parametrize("model_id", ["gpt-4o", "openai/gpt-4o", "claude-3-5-sonnet"])
def test_the_name_of_a_commercial_model_is_the_operators_to_sell_and_no_hosters(model_id: str) -> None:
    models = [ModelTerms("llama", 1, 2, 3), ModelTerms(model_id, 1, 2, 3, "mistral-7b-instruct")]
    terms.check(models)
    with pytest.raises(TermsRefused, match=f"'{model_id}' is the name of a commercial model .*its own name"):
        terms.check_hosters(models)
