"""Whom does a model say it is? A server that forwards to a vendor's model gives itself away. Pure."""

import re

# What an answer may not name: (name for the owner, how it is written, parts of a public id that allow it).
COMMERCIAL = tuple(
    (name, re.compile(pattern, re.IGNORECASE), parts)
    for name, pattern, parts in (
        ("ChatGPT", r"\bchat-?gpt\b", ("gpt",)),
        ("GPT", r"\bgpt[- ]?(?:3|3\.5|4|4o|4\.\d|5|5\.\d)\b", ("gpt",)),
        ("OpenAI", r"\bopen-?ai\b", ("gpt", "openai", "whisper")),
        ("Claude", r"\bclaude\b", ("claude",)),
        ("Anthropic", r"\banthropic\b", ("claude", "anthropic")),
        ("Gemini", r"\bgemini\b", ("gemini",)),
        ("Google", r"\bgoogle\b|\bdeepmind\b", ("gemini", "gemma", "google", "t5")),
        ("Grok", r"\bgrok\b", ("grok",)),
        ("xAI", r"\bx\.?ai\b", ("grok", "xai")),
        ("Copilot", r"\bcopilot\b", ("copilot",)),
        ("Mistral Large", r"\bmistral[- ]large\b", ("mistrallarge",)),
        ("Amazon Nova", r"\bamazon nova\b", ("nova",)),
        ("Perplexity", r"\bperplexity(?: ai|\.ai|'s)\b", ("perplexity", "sonar")),
    )
)
DENIAL = re.compile(r"\b(?:not|unlike|isn.t|similar to|rather than)\b[^.,;!?\n]*", re.IGNORECASE)


def foreign_name(answer: str, *, model_id: str) -> str:
    """The commercial model or vendor that an answer to "who are you?" names; empty when there is none.

    A name that is part of the model's own public id is its own (gpt-oss may name OpenAI, gemma Google), and "not
    ChatGPT" names nobody.
    """
    own = re.sub(r"[^a-z0-9]", "", model_id.lower())
    said = DENIAL.sub(" ", answer)
    for name, pattern, parts in COMMERCIAL:
        if pattern.search(said) and not any(part in own for part in parts):
            return name
    return ""
