"""A form that shows a secret makes it once, although the page may be loaded again.

The secret is the answer to the POST, so that it is never stored; a reload sends the same POST again. The form carries a
name of its own, `{% once %}`, and what it asks for is done for the first POST with that name.
"""

from django.core.cache import cache
from django.http import HttpRequest

FIELD = "once"
NAME_CHARS_MAX = 64
REMEMBERED_S = 86_400


def is_first(request: HttpRequest) -> bool:
    """Whether this form is sent for the first time; of several at once one is. A form without a name always is."""
    name = request.POST.get(FIELD, "")[:NAME_CHARS_MAX]
    if not name.isalnum():
        return True
    return cache.add(f"form-{name}", True, REMEMBERED_S)
