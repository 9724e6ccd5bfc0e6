"""What forms say about what cannot be understood, in the site's words, in one place. The admin keeps Django's."""

from typing import Any

from django import forms

CHOOSE = "Choose one from the list."
WORDS: dict[type[forms.Field], dict[str, str]] = {
    forms.Field: {
        "required": "Fill this in.",
        "null_characters_not_allowed": "Use printable characters only.",
    },
    forms.CharField: {"max_length": "These are %(show_value)d characters; %(limit_value)d fit."},
    forms.IntegerField: {
        "invalid": "Write a whole number.",
        "min_value": "This is too little: at least %(limit_value)s.",
        "max_value": "This is too much: at most %(limit_value)s.",
    },
    forms.DecimalField: {
        "invalid": "Write a number, as in 12.50.",
        "max_decimal_places": "%(max)s digits after the point at most.",
    },
    forms.DateField: {"invalid": "This is not a day. Write it as 2026-10-31."},
    forms.EmailField: {"invalid": "This is not an e-mail address."},
    forms.URLField: {"invalid": "This is not a web address."},
    forms.ChoiceField: {"required": CHOOSE, "invalid_choice": CHOOSE},
    forms.ModelChoiceField: {"required": CHOOSE, "invalid_choice": CHOOSE},
    forms.BooleanField: {"required": "Tick this to go on."},
    forms.UUIDField: {"required": "Load the page anew.", "invalid": "Load the page anew."},  # hidden ones
}


class InOurWords:
    """Mixed in before a form, of ours or of allauth's."""

    fields: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.error_messages.update(_words_for(field))


def _words_for(field: forms.Field) -> dict[str, str]:
    """For what the field itself has no words of its own."""
    usual: dict[str, Any] = {}
    ours: dict[str, str] = {}
    for kind in reversed(type(field).__mro__):
        usual.update(getattr(kind, "default_error_messages", {}))
        ours.update(WORDS.get(kind, {}))
    said = field.error_messages
    return {code: words for code, words in ours.items() if said.get(code) is usual.get(code)}


class Form(InOurWords, forms.Form):
    """Django's form, in our words."""
