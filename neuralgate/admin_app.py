"""Django's admin with the site of `neuralgate.console`. Apart from it, because models are not loaded yet here."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    default_site = "neuralgate.console.Console"
