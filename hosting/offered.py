"""A hoster's models as their owner sees them: the price, what others ask, the last test rounds."""

from collections.abc import Sequence
from dataclasses import dataclass

from hosting import going_rates, rounds
from hosting.going_rates import Rates
from hosting.models import HostedModel, Hoster, Server
from hosting.rounds import Round


@dataclass(frozen=True, slots=True)
class Offered:
    """rounds: the newest first. rates: None while nobody else sells the model."""

    model: HostedModel
    rounds: list[Round]
    rates: Rates | None


def of_servers(hoster: Hoster, servers: Sequence[Server]) -> dict[int, list[Offered]]:
    """The models of each of the hoster's servers by name, by the server's id. Two reads, and the models'."""
    tested = rounds.of_servers([server.pk for server in servers])
    models = {server.pk: sorted(server.models.all(), key=lambda model: model.model_id) for server in servers}
    names = {model.model_id for listed in models.values() for model in listed}
    rates = going_rates.beside(hoster.name, names)
    return {
        server: [Offered(model, tested.get(model.pk, []), rates.get(model.model_id)) for model in listed]
        for server, listed in models.items()
    }
