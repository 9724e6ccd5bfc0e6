"""`{% once %}` in a form whose answer shows a secret."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts import once as forms_sent_once

register = template.Library()


@register.simple_tag
def once() -> SafeString:
    """A hidden field with a new name for this form."""
    return format_html(
        '<input type="hidden" name="{}" value="{}">', forms_sent_once.FIELD, forms_sent_once.name()
    )
