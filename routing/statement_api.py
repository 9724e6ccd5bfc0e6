"""/v1/statements…: parse, read, shape."""

from asgiref.sync import sync_to_async
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import auth, envelope
from accounts.api import Endpoint, refuse
from routing import statement_csv, statement_shapes, statements
from routing.export import without_connection

BOOKINGS_MAX = 1_000


class Statements(Endpoint):
    @extend_schema(operation_id="statements", responses=statement_shapes.Statements)
    def get(self, request: Request) -> Response:
        """Your months, the newest first, at most 36: opening + received − sent = closing balance."""
        customer = request.auth.customer  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
        return Response(statement_shapes.Statements({"statements": statements.months(customer)}).data)


class OneStatement(Endpoint):
    @extend_schema(operation_id="statement", responses=statement_shapes.Statement)
    def get(self, request: Request, month: str) -> Response:
        """One calendar month (UTC) of your balance; `{month}.csv` is every single booking of it."""
        customer = request.auth.customer  # type: ignore[union-attr]  # BearerKey sets it; the stubs allow None
        wanted = statements.month_named(customer, month)
        if wanted is None:
            raise Http404
        found = statements.statement(customer, wanted, lines_max=BOOKINGS_MAX)
        return Response(statement_shapes.Statement(found).data)


async def csv(request: HttpRequest, month: str) -> HttpResponse | StreamingHttpResponse:
    """Every booking of the month, streamed; no database connection is held between its pages."""
    if request.method != "GET":
        return refuse(envelope.METHOD_NOT_ALLOWED)
    try:
        asked = await sync_to_async(_begin)(request, month)
    except Exception as error:
        return refuse(auth.problem_of(error, path=request.path))
    return StreamingHttpResponse(
        statement_csv.lines(asked), headers=statement_csv.headers(f"statement-{month}")
    )


@without_connection
def _begin(request: HttpRequest, month: str) -> statement_csv.Asked:
    customer = auth.caller(request.META.get("HTTP_AUTHORIZATION", "")).customer
    wanted = statements.month_named(customer, month)
    if wanted is None:
        raise Http404
    return statement_csv.of_customer(customer, wanted)
