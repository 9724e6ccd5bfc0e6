"""The tables of the market, and of those who judge it."""

from hosting.models.judges import (
    Circuit,
    ConsistencyAnswer,
    HealthCheck,
    ModerationAction,
    Question,
    ServerMinute,
)
from hosting.models.market import PRICE_MAX, TOKENS_MAX, AutoModel, HostedModel, Hoster, Server

__all__ = [
    "PRICE_MAX", "TOKENS_MAX", "AutoModel", "Circuit", "ConsistencyAnswer", "HealthCheck", "HostedModel", "Hoster",
    "ModerationAction", "Question", "Server", "ServerMinute",
]  # fmt: skip
