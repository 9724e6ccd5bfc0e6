"""Which entry of a navigation is the current one."""

from django import template

register = template.Library()


@register.filter
def within(path: str, root: str) -> bool:
    """Whether a path is this page or below it: "/account/keys/new" is within "/account", "/accounts/" is not."""
    return path == root or path.startswith(f"{root.rstrip('/')}/")
