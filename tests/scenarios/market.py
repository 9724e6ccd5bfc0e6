"""Makes a customer and servers on whatever database the environment names, and prints them as JSON.

`python -m tests.scenarios.market BASE_URL …`: one model, offered by all the servers.
"""

import json
import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "neuralgate.settings")

import django

django.setup()

from tests import factories  # noqa: E402  # Django must be set up first

alice = factories.person()
_, hoster = factories.hoster()
model = factories.unique("model")
for base_url in sys.argv[1:]:
    factories.server(base_url, model=model, of=hoster)
print(json.dumps({"key": alice.key, "model": model, "account": alice.account.pk}))
