"""Whom does a model say it is, and whose name does it bear? A vendor's model is nobody else's to sell. Pure."""

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
# What a public id may not be called: (name for the owner, how it is written). Only vendors serve these models; weights
# that anybody may serve (gpt-oss, gpt2, grok-1, grok-2) are not among them.
CLOSED = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("ChatGPT", r"(?<![a-z0-9])chat[^a-z0-9]?gpt"),
        # The number ends the word, but for 4o and 4v: gpt4all is open, and Cerebras-GPT-6.7B is 6.7 billion parameters.
        (
            "GPT",
            r"(?<![a-z0-9])gpt[^a-z0-9/]*[3-9](?:\.?\d)*+(?:o|v|turbo|omni)?(?:mini)?(?![a-z0-9])(?!-x-)",
        ),
        # Short as they are, they count only where the name begins: Marco-o1 is an open model.
        ("OpenAI o1", r"(?:^|/|openai[^a-z0-9])o1(?![a-z0-9])(?!-open)"),
        ("OpenAI o3", r"(?:^|/|openai[^a-z0-9])o3(?![a-z0-9])"),
        ("OpenAI o4", r"(?:^|/|openai[^a-z0-9])o4(?![a-z0-9])"),
        ("Claude", r"(?<![a-z0-9])claude(?![a-z])"),
        ("Gemini", r"(?<![a-z0-9])gemini(?![a-z])"),
        ("Grok", r"(?<![a-z0-9])grok(?![a-z])(?!-?[12](?![.\d])(?!-(?:\d|beta|image|latest|mini|vision)))"),
    )
)


def commercial_model(model_id: str) -> str:
    """The commercial model that a public id names, with or without a vendor before it; empty when there is none."""
    return next((name for name, pattern in CLOSED if pattern.search(model_id)), "")


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
