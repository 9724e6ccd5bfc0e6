"""Whom a model may call itself."""

import pytest

from hosting.identity import commercial_model, foreign_name


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


@pytest.mark.parametrize(
    ("model_id", "named"),
    [
        ("gpt-4o", "GPT"),
        ("GPT_4O-mini:latest", "GPT"),
        ("gpt4", "GPT"),
        ("gpt-3.5-turbo", "GPT"),
        ("gpt-35-turbo", "GPT"),
        ("gpt-4.1-nano", "GPT"),
        ("gpt-4v", "GPT"),
        ("gpt-4turbo", "GPT"),
        ("gpt-4omni", "GPT"),
        ("gpt-4omini", "GPT"),
        ("gpt-3.5turbo", "GPT"),
        ("gpt-5", "GPT"),
        ("openai/gpt-4o", "GPT"),
        ("azure/openai:gpt-4o@2024-08-06", "GPT"),
        ("my-own-gpt-4o", "GPT"),
        ("chatgpt-4o-latest", "ChatGPT"),
        ("Chat-GPT", "ChatGPT"),
        ("o1", "OpenAI o1"),
        ("o1-preview", "OpenAI o1"),
        ("openai/o3-mini", "OpenAI o3"),
        ("openai.o4-mini:latest", "OpenAI o4"),
        ("claude-3-5-sonnet", "Claude"),
        ("anthropic/claude-3", "Claude"),
        ("us.anthropic.claude-sonnet-4", "Claude"),
        ("claude2", "Claude"),
        ("google/gemini-2.5-pro", "Gemini"),
        ("gemini", "Gemini"),
        ("xai/grok-4", "Grok"),
        ("grok", "Grok"),
        ("grok-1.5", "Grok"),
        ("grok-2-vision", "Grok"),
        ("grok-10", "Grok"),
    ],
)
def test_an_id_that_names_a_commercial_model_is_noticed(model_id: str, named: str):
    assert commercial_model(model_id) == named


@pytest.mark.parametrize(
    "model_id",
    [
        "llama-3.1-8b-instruct",
        "mistral-7b-instruct",
        "qwen2.5:7b",
        "phi-4",
        "glm-4",
        "gpt",
        "gpt2",
        "gpt2-xl",
        "gpt-j-6b",
        "EleutherAI/gpt-neox-20b",
        "gpt4all-j",
        "gpt4-x-alpaca-13b",
        "TheBloke/gpt4-x-vicuna-13B-GGML",
        "openai/gpt-oss-120b",
        "gpt-oss:20b",
        "cerebras/Cerebras-GPT-6.7B",
        "nvidia/nemo-megatron-gpt-5B",
        "ai-forever/rugpt3large",
        "google/gemma-3-27b-it",
        "gemma4",
        "xai-org/grok-1",
        "grok-1:q4_0",
        "grok-2",
        "AIDC-AI/Marco-o1",
        "O1-OPEN/OpenO1-LLama-8B",
        "openai/whisper-large-v3",
        "llama-o3x",
        "claudette-7b",
        "egrok",
    ],
)
def test_the_ids_of_open_models_name_nobodys(model_id: str):
    assert commercial_model(model_id) == ""
