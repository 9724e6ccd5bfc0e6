"""Wrong names of models are told with what is near."""

from hosting import namesakes
from tests import factories


def test_a_model_that_is_off_the_market_now_is_known():
    server, offer = factories.server(model=factories.unique("m"))
    type(server).objects.filter(pk=server.pk).update(draining=True)
    assert namesakes.unknown(["auto", offer.model_id, "nobodys"]) == ["nobodys"]
