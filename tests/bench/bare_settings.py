"""Settings of the bare Django view: no middleware, no database."""

SECRET_KEY = "bench" * 12
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.bench.bare"
MIDDLEWARE: list[str] = []
INSTALLED_APPS: list[str] = []
