"""Whom a model may call itself."""

import pytest

from hosting.identity import foreign_name


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ("I am ChatGPT, a large language model trained by OpenAI.", "ChatGPT"),
        ("I'm GPT-4o.", "GPT"),
        ("gpt 3.5 here", "GPT"),
        ("As GPT-5, I can help.", "GPT"),
        ("I was made by OpenAI.", "OpenAI"),
        ("I'm Claude, made by Anthropic.", "Claude"),
        ("Made by Anthropic.", "Anthropic"),
        ("I am Gemini, a model by Google.", "Gemini"),
        ("I am a large language model, trained by Google.", "Google"),
        ("My name is Grok.", "Grok"),
        ("I am built by xAI.", "xAI"),
        ("I'm Microsoft Copilot", "Copilot"),
        ("I am Mistral Large.", "Mistral Large"),
        ("I am Claude, not ChatGPT.", "Claude"),
    ],
)
def test_a_commercial_name_is_noticed(answer: str, named: str):
    assert foreign_name(answer, model_id="llama-3.1-8b-instruct") == named


@pytest.mark.parametrize(
    ("answer", "model_id"),
    [
        ("I am Llama, made by Meta.", "llama-3.1-8b"),
        ("I am Qwen, created by Alibaba Cloud.", "qwen2.5:7b"),
        ("I am Mistral 7B by Mistral AI.", "mistral:7b"),
        ("I am Phi, by Microsoft.", "phi-4"),
        ("I am Qwen, not ChatGPT or Claude.", "qwen2.5:7b"),
        ("Unlike GPT-4, I am open.", "llama-3.1-8b"),
        ("I am ChatGPT by OpenAI.", "openai/gpt-oss-120b"),
        ("I am Gemma, made by Google DeepMind.", "gemma-3-27b-it"),
        ("I am Grok, built by xAI.", "grok-1"),
        ("I am Mistral Large.", "mistral-large-2407"),
        ("I am a language model.", "llama"),
        ("Exploring maxai and egrok.", "llama"),
        ("", "llama"),
    ],
)
def test_an_own_name_is_nobodys(answer: str, model_id: str):
    assert foreign_name(answer, model_id=model_id) == ""
