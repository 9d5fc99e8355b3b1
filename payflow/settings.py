"""
The one settings file: every difference between environments comes from `payflow.env`.

Sections follow the order in which a request meets them.
"""

from pathlib import Path
from typing import Any

from payflow import logs, production, published
from payflow.env import environment as env
from shared.crypto import KeyRing

ROOT = Path(__file__).resolve().parent.parent
HOME = Path(env.text("PAYFLOW_HOME", str(ROOT / ".payflow")))
VERSION = "0.1.0"

IS_PRODUCTION = env.is_production
if IS_PRODUCTION:
    production.refuse_to_start_wrongly(env)
DEBUG = False

# Secrets ---------------------------------------------------------------------------------------
SECRET_KEY = env.secret("PAYFLOW_SECRET_KEY", sandbox_default=published.SECRET_KEY)
KEY_RING = env.secret("PAYFLOW_KEY_RING", sandbox_default=published.KEY_RING)
"""`id:base64(32 bytes)[,id:base64…]`; the first key seals, all of them open."""
KeyRing.parse(KEY_RING)  # A malformed one stops the start, not the first registration.

# Modules ---------------------------------------------------------------------------------------
MODULES = ["payments", "fraud", "ledger", "merchants", "notifications", "audit"]
SCHEMAS = [*MODULES, "shared"]

INSTALLED_APPS = [
    "payflow.apps.PayflowConfig",
    "payflow.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "shared.apps.SharedConfig",
    "payments.apps.PaymentsConfig",
    "fraud.apps.FraudConfig",
    "ledger.apps.LedgerConfig",
    "merchants.apps.MerchantsConfig",
    "notifications.apps.NotificationsConfig",
    "audit.apps.AuditConfig",
]

# Database --------------------------------------------------------------------------------------
# Two roles: `default` serves and may not change append-only tables; `owner` migrates. Without a
# DATABASE_OWNER_URL both are the same role, which production refuses unless it was said.
HAS_OWNER_URL = bool(env.text("DATABASE_OWNER_URL"))
OWNER_MUST_BE_APART = IS_PRODUCTION and not env.has_single_role
DATABASE_ROUTERS: list[str] = []
_APP_URL = env.text("DATABASE_URL", "postgresql://payflow_app@127.0.0.1:5432/payflow")
_DATABASE: dict[str, Any] = {
    "CONN_MAX_AGE": None,
    "CONN_HEALTH_CHECKS": True,
    "SCHEMAS": SCHEMAS,
    "SQL_WALL": MODULES if env.flag("PAYFLOW_SQL_WALL") else [],
    "OPTIONS": {
        "application_name": env.text("PAYFLOW_PROCESS", "payflow"),
        # A limit on everything: a forgotten lock or transaction must end by itself.
        "options": (
            "-c lock_timeout=2s -c statement_timeout=30s"
            " -c idle_in_transaction_session_timeout=60s -c timezone=UTC"
        ),
        "connect_timeout": 5,
        # A server that vanishes without a word is noticed in seconds, not in hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    },
}
DATABASES = {
    "default": env.database("DATABASE_URL", _APP_URL, _DATABASE) | {"TEST": {"MIRROR": "owner"}},
    "owner": env.database("DATABASE_OWNER_URL", _APP_URL, _DATABASE) | {"SQL_WALL": []},
}
APP_ROLE = DATABASES["default"]["USER"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# HTTP ------------------------------------------------------------------------------------------
ROOT_URLCONF = "payflow.urls"
WSGI_APPLICATION = "payflow.runtime.wsgi.application"
ALLOWED_HOSTS = env.names("PAYFLOW_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1],testserver")
PROBES = ("/api/v1/health", "/api/v1/health/ready")
"""They answer whatever the host, since they look at nothing of it."""
APPEND_SLASH = False
BODY_LIMIT_BYTES = 64 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * BODY_LIMIT_BYTES
WEB_THREADS = env.number("PAYFLOW_WEB_THREADS", 32)
"""Threads of one web process; at most half of them wait for a decision."""
TRUSTED_PROXIES = env.networks("PAYFLOW_TRUSTED_PROXIES")
"""Proxies of ours, whose `X-Forwarded-For` says who the client is; nobody else's is read."""
REGISTRATIONS_PER_HOUR = env.number("PAYFLOW_REGISTRATIONS_PER_HOUR", 100)
"""Per address; registration is the one public door that writes."""

MIDDLEWARE = [
    "shared.http.metrics.RequestMetricsMiddleware",
    "shared.http.correlation.CorrelationMiddleware",
    "django.middleware.security.SecurityMiddleware",
    # Before WhiteNoise, which answers by itself: there are pages below /static, too.
    "shared.http.page_policy.PagePolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Also for its Content-Length: without one the server answers in chunks and closes.
    "shared.http.hosts.KnownHostsMiddleware",
    "shared.http.limits.RequestLimitsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "payflow.operators.pages.OperatorPages",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

REST_FRAMEWORK = {
    # Wired by dotted path: views see only `shared.http.principal.Principal`, never the module.
    "DEFAULT_AUTHENTICATION_CLASSES": ["merchants.api.authentication.SignatureAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["shared.http.principal.IsMerchant"],
    "DEFAULT_PARSER_CLASSES": ["shared.http.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["shared.http.rendering.Renderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "shared.http.rendering.AlwaysJSON",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is 405: it would answer with docstrings
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "shared.http.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PayFlow",
    "DESCRIPTION": "Signed payments, from request to ledger.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "PATH_CONVERTER_OVERRIDES": {"id": {"type": "string", "format": "uuid"}},
    "COMPONENT_SPLIT_REQUEST": True,
    # Choices of several resources share a field's name; each set has its own.
    "ENUM_NAME_OVERRIDES": {
        "PaymentStatus": "payments.domain.lifecycle.PaymentStatus",
        "RefundStatus": ["PENDING", "REFUNDED", "FAILED"],
        "PaymentMethodType": ["CARD", "WALLET", "NETBANKING"],
        "TokenType": ["CARD", "WALLET"],
    },
}

# People ----------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = ["payflow.operators.authentication.OperatorBackend"]
PASSWORD_HASHERS = ["payflow.operators.hashing.OneAtATime"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
LOGIN_REDIRECT_URL = "/admin/"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_NAME = "payflow_session"
SECURE_CONTENT_TYPE_NOSNIFF = True
# Not stricter: Django checks a form's origin by it where a browser sends no Origin.
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# What `check --deploy` asks for and we do not want.
SILENCED_SYSTEM_CHECKS = [
    # HSTS for sub-domains, and in browsers' lists: promises about names that are not ours to make.
    "security.W005",
    "security.W021",
    # Redirecting to https: the proxy's business. Here it would answer probes from inside with 301,
    # and forgive an API client that sends its signature in the clear.
    "security.W008",
]
if IS_PRODUCTION:
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    if env.flag("PAYFLOW_BEHIND_TLS_PROXY"):
        SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Time, language, files -------------------------------------------------------------------------
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False
STATIC_URL = "/static/"
# Served from the packages themselves: no collectstatic step to forget.
WHITENOISE_USE_FINDERS = True

# E-mail ----------------------------------------------------------------------------------------
# A file per message in the sandbox; SMTP as soon as a host is named.
EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.number("EMAIL_PORT", 25)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS")
EMAIL_TIMEOUT = 10
EMAIL_FILE_PATH = env.text("PAYFLOW_EMAIL_DIRECTORY", str(HOME / "mail"))
EMAIL_BACKEND = env.text(
    "EMAIL_BACKEND",
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "notifications.adapters.eml_files.EmailBackend",
)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "PayFlow <no-reply@payflow.localhost>")

# Processors ------------------------------------------------------------------------------------
_LOCAL_URL = f"http://127.0.0.1:{env.number('PORT', 8000)}"
PUBLIC_URL = env.text("PAYFLOW_PUBLIC_URL", _LOCAL_URL).rstrip("/")
"""Where processors and payers' browsers reach us."""
# What they are told to call is served, whatever else is.
ALLOWED_HOSTS.append(env.host(PUBLIC_URL))
EXPIRE_EVERY_SECONDS = env.number("PAYFLOW_EXPIRE_EVERY_SECONDS", 60)
PROCESSOR_TIMEOUT_SECONDS = env.number("PAYFLOW_PROCESSOR_TIMEOUT_SECONDS", 10)
"""The longest that one call to a processor may take."""
# In production nothing is authorised by an acquirer that makes up its money.
SANDBOX_URL = "" if env.is_production else env.text("PAYFLOW_SANDBOX_URL").rstrip("/")
SANDBOX_SECRET = "" if env.is_production else env.text("PAYFLOW_SANDBOX_SECRET")
STRIPE_SECRET_KEY = env.stripe_key()
STRIPE_WEBHOOK_SECRET = env.text("PAYFLOW_STRIPE_WEBHOOK_SECRET")
STRIPE_API_BASE = env.text("PAYFLOW_STRIPE_API_BASE")
"""Instead of Stripe's own address: the sandbox's Stripe face."""

# Background work -------------------------------------------------------------------------------
DISPATCH = env.choice("PAYFLOW_DISPATCH", ("process", "web"))
"""`process`: `manage.py dispatch` drains; `web`: a thread of every web process does."""
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
CELERY_QUEUE = env.text("PAYFLOW_CELERY_QUEUE", "payflow")
CELERY_PATIENCE_SECONDS = env.number("PAYFLOW_CELERY_PATIENCE_SECONDS", 60)
"""A worker that hears nothing for so long, although it is spoken to, is replaced."""
REDIS_URL = env.text("REDIS_URL")
EVENTS_URL = env.text("PAYFLOW_EVENTS_URL")
"""The broker through which events leave for other systems; without one none do."""
EVENTS_TYPES = env.names("PAYFLOW_EVENTS_TYPES", "*")
EVENTS_EXCHANGE = env.text("PAYFLOW_EVENTS_EXCHANGE", "payflow.events")
EVENTS_DLQ = env.text("PAYFLOW_EVENTS_DLQ", "payment.events.dlq")
EVENTS_OPTIONS = env.text("PAYFLOW_EVENTS_OPTIONS")
"""Options of kombu's transport, as a JSON object."""
BATCH_SIZE = env.number("PAYFLOW_BATCH_SIZE", 100)
"""The most events that one run of a listener takes; batches grow up to it by themselves."""
EVENTS_KEPT_DAYS = env.number("PAYFLOW_EVENTS_KEPT_DAYS", 30, at_least=1)
"""How long the registry keeps events that nobody waits for: what can be replayed and rebuilt."""
FAILPOINTS = env.text("PAYFLOW_FAILPOINTS")
"""Where tests make the event bus fail."""

# Metrics ---------------------------------------------------------------------------------------
METRICS_DIR = env.text("PAYFLOW_METRICS_DIR")
"""Where the processes of one machine add up what they count; without one, each keeps its own."""
METRICS_TOKEN = env.text("PAYFLOW_METRICS_TOKEN")
"""What metrics ask for as a bearer token; without one, the sandbox tells this machine alone."""
METRICS_PORT = env.number("PAYFLOW_METRICS_PORT", 0)
"""Where a dispatcher serves what it counts; 0: nowhere."""
METRICS_ADDRESS = env.text("PAYFLOW_METRICS_ADDRESS", "127.0.0.1")

# Logs ------------------------------------------------------------------------------------------
LOGGING_CONFIG = None
ACCESS_LOG = env.flag("PAYFLOW_ACCESS_LOG", default=True)
"""Whether every request leaves a line, by which the correlation id of an answer is found."""
logs.configure(
    level=env.text("PAYFLOW_LOG_LEVEL", "INFO"), as_json=env.text("PAYFLOW_LOG_FORMAT") == "json"
)
