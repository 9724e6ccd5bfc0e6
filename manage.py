#!/usr/bin/env python
"""Django's command line. Without DATABASE_URL it finds the embedded PostgreSQL, or starts it for this command."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralgate.settings")
    from django.conf import settings
    from django.core.management import execute_from_command_line

    from neuralgate import embedded

    if settings.DATABASE_EMBEDDED and sys.argv[1:2] not in ([], ["help"], ["check"], ["collectstatic"]):
        with embedded.running(settings.DATA_DIR):
            execute_from_command_line(sys.argv)
    else:
        execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
