"""A filter for what browsers say of themselves."""

from django import template

register = template.Library()

# The first that fits wins: every browser also says that it is an older one, and every system what it stems from.
BROWSERS = (
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "an iPhone"), ("iPad", "an iPad")),
    *(("Windows", "Windows"), ("Macintosh", "a Mac"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


@register.filter
def browser(user_agent: str) -> str:
    """ "Mozilla/5.0 (X11; Linux x86_64) … Firefox/140.0" → "Firefox on Linux"; what it does not know, as it is."""
    name = next((name for mark, name in BROWSERS if mark in user_agent), "")
    system = next((system for mark, system in SYSTEMS if mark in user_agent), "")
    if name and system:
        return f"{name} on {system}"
    return user_agent or "Something without a name"
