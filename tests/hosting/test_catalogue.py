"""The copy of what is for sale: what did not change is not built again, and one bad row harms no other."""

import logging
import threading

import pytest
from django.db import connection

from hosting import catalogue
from hosting.catalogue import Row, Stock
from hosting.models import HostedModel, Server
from hosting.offers import LiveOffer
from tests import factories


def rows_of(*offers: HostedModel) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(catalogue.LIVE_OFFERS, {"prior": catalogue.BYTES_PER_TOKEN_PRIOR})
        mine = {offer.pk for offer in offers}
        return [row for row in cursor.fetchall() if row[0] in mine]


def found(stock: Stock, offer: HostedModel) -> LiveOffer:
    (one,) = (known for known in stock.offers if known.offer_id == offer.pk)
    return one


def test_only_what_changed_is_built_anew():
    (_, one), (_, two) = factories.server(), factories.server(token="the-token")
    stock = Stock()
    assert stock.take(rows_of(one, two))
    first, second = found(stock, one), found(stock, two)
    assert not stock.take(rows_of(one, two))
    assert (found(stock, one), found(stock, two)) == (first, second)
    Server.objects.filter(pk=two.server_id).update(health=0.25)
    assert stock.take(rows_of(one, two))
    assert found(stock, one) is first
    assert found(stock, two) is not second
    assert (found(stock, two).health, found(stock, two).token) == (0.25, "the-token")


def test_what_comes_and_goes_is_noticed():
    (_, one), (_, two) = factories.server(), factories.server()
    stock = Stock()
    stock.take(rows_of(one))
    assert stock.take(rows_of(two))
    assert [offer.offer_id for offer in stock.offers] == [two.pk]
    assert stock.take([])
    assert stock.offers == []


def test_a_token_that_cannot_be_read_is_said_once_and_harms_no_other(caplog: pytest.LogCaptureFixture):
    (_, good), (bad_server, bad) = factories.server(), factories.server()
    stock = Stock()
    Server.objects.filter(pk=bad_server.pk).update(token_encrypted="v1.not.ours")
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            stock.take(rows_of(good, bad))
    assert [offer.offer_id for offer in stock.offers] == [good.pk]
    ours = [record for record in caplog.records if record.thread == threading.get_ident()]  # not a gateway's
    assert ["token_unreadable" in record.getMessage() for record in ours] == [True]
