"""What a form says about what was written is in the site's words, in all of its forms but the admin's."""

import datetime as dt
import inspect
import re

import pytest
from django import forms
from django.core.exceptions import ValidationError

from accounts import wording
from hosting import forms as hosting_forms
from hosting import selection
from neuralgate import forms as neuralgate_forms
from neuralgate import join_pages, money_forms, sign_in_forms

DJANGOS = re.compile(
    r"This field is required|Ensure this|[Vv]alid (choice|date|URL|email)|Enter a |available choices|[Ll]oad a valid"
)
MODULES = (neuralgate_forms, money_forms, join_pages, hosting_forms, selection, sign_in_forms)


class Everything(wording.Form):
    text = forms.CharField(max_length=3)
    number = forms.IntegerField(min_value=1, max_value=9)
    amount = forms.DecimalField(min_value=0, max_value=9, decimal_places=2)
    day = forms.DateField()
    email = forms.EmailField()
    url = forms.URLField(assume_scheme="https")
    choice = forms.ChoiceField(choices=[("a", "A")])
    typed = forms.TypedChoiceField(choices=[("1", "one")], coerce=int)
    agreed = forms.BooleanField()
    once = forms.UUIDField()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("text", "", "Fill this in."),
        ("text", "four", "These are 4 characters; 3 fit."),
        ("number", "x", "Write a whole number."),
        ("number", "0", "This is too little: at least 1."),
        ("number", "10", "This is too much: at most 9."),
        ("amount", "NaN", "Write a number, as in 12.50."),
        ("amount", "1.001", "2 digits after the point at most."),
        ("day", "31.10.", f"This is not a day. Write it as {dt.date(2026, 10, 31)}."),
        ("email", "x", "This is not an e-mail address."),
        ("url", "http://", "This is not a web address."),
        ("choice", "zzz", "Choose one from the list."),
        ("choice", "", "Choose one from the list."),
        ("typed", "2", "Choose one from the list."),
        ("agreed", "", "Tick this to go on."),
        ("once", "zzz", "Load the page anew."),
    ],
)
def test_what_is_wrong_is_said_in_our_words(field: str, value: str, words: str):
    assert Everything({field: value}).errors[field] == [words]


def kinds() -> list[type[forms.Form]]:
    return [
        kind
        for module in MODULES
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, forms.Form) and kind.__module__ == module.__name__
    ]


def test_every_form_of_the_site_speaks_them():
    assert len(kinds()) > 15
    for kind in kinds():
        assert issubclass(kind, wording.InOurWords), kind


def test_no_kind_of_field_has_djangos_words_left():
    for field in Everything().fields.values():
        for value in ("", "zzzz", "-1", "99999", "1.23456", "\x00"):
            assert not DJANGOS.search(refusal(field, value)), (field, value)


def refusal(field: forms.Field, value: str) -> str:
    """What the field says; nothing when it takes the value."""
    try:
        field.clean(value)
    except ValidationError as error:
        return " ".join(error.messages)
    return ""
