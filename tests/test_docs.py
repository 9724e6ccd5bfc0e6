"""What the documentation says is true: links lead somewhere, names exist, figures and examples are run."""

import datetime as dt
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from django.test import Client

from accounts import envelope
from accounts.models import Tier
from billing import audit as books
from billing import disputes, invariants, ledger, payouts
from billing.models import Charge, Debt, Dispute, LedgerAccount, Maturity, SpendWindow, Transfer
from hosting.models import HostedModel
from neuralgate import metrics, schedule
from routing import audit as requests
from routing import export, statement_csv
from routing.models import InferenceRequest
from routing.preferences import ROUTING_FIELDS
from tests import bookings, factories, fakes
from tests.gateway import RunningGateway
from tests.routing.test_usage_api import address

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
APPS = ("accounts", "billing", "hosting", "routing", "neuralgate")
NOT_SETTINGS = {
    "OPENAI_API_KEY", "OPENAI_BASE_URL",  # of its libraries
    "POSTGRES_PASSWORD", "TEST_DATABASE_URL",  # of compose.yaml; of the tests
}  # fmt: skip


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text(name: str) -> str:
    return (ROOT / name).read_text()


def fences(page: Path, kind: str) -> list[tuple[str, str]]:
    """(rest of the info string, body) of every fenced block of this kind."""
    return [
        (found["info"].removeprefix(kind).strip(), found["body"])
        for found in FENCE.finditer(page.read_text())
        if found["info"].split(" ")[0] == kind
    ]


def code(page: Path) -> str:
    """Everything on a page that is set as code."""
    content = page.read_text()
    blocks = [found["body"] for found in FENCE.finditer(content)]
    return "\n".join([*blocks, *CODE.findall(FENCE.sub("", content))])


def cells(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    _, found, rest = text(page).partition(f"\n{heading}\n")
    assert found, f"{page} has no {heading!r}"
    rows = [line for line in rest.split("\n#")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


# ---------------------------------------------------------------------------------------------------- names


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path):
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{named(page)} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", FENCE.sub("", goal.read_text()), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, f"{named(page)} links to {target}"


def test_every_page_can_be_reached_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for target in LINK.findall(page.read_text()):
            goal = (page.parent / target.partition("#")[0]).resolve()
            if goal.suffix == ".md" and goal.exists() and goal not in seen:
                waiting.append(goal)
    assert {named(page) for page in PAGES} - {named(page) for page in seen} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_target_exists(page: Path):
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))
    named_targets = re.findall(r"(?:^|[\s;&$])make ((?!PYTHON)[a-z]+)", code(page), re.MULTILINE)
    assert set(named_targets) <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_management_command_exists(page: Path):
    assert set(re.findall(r"manage\.py ([a-z_]+)", code(page))) <= set(get_commands())


def test_every_command_of_our_own_is_described():
    own = {name for name, app in get_commands().items() if app == "neuralgate"}
    described = set(re.findall(r"manage\.py ([a-z_]+)", text("docs/operations.md")))
    assert own - described == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_setting_exists(page: Path):
    listed = set(re.findall(r"^#([A-Z][A-Z0-9_]*)=", text(".env.example"), re.MULTILINE))
    spoken_of = set(re.findall(r"(?<![\w.$\"'/-])[A-Z][A-Z0-9]*_[A-Z0-9_]+(?![\w\"'(])", code(page)))
    assert spoken_of <= listed | NOT_SETTINGS | constants()


def constants() -> set[str]:
    """Names in capitals that the code defines for itself: a page may speak of those too."""
    found: set[str] = set()
    for app in APPS:
        for file in (ROOT / app).rglob("*.py"):
            if file.name != "settings.py":
                found |= set(
                    re.findall(r"^\s*([A-Z][A-Z0-9_]+)(?:: [^=]+)? =", file.read_text(), re.MULTILINE)
                )
    return found


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_file_that_is_named_exists(page: Path):
    folders = "|".join([*APPS, "tests", "docs"])
    for name in re.findall(rf"`((?:{folders})/[\w./-]+\.\w+)`", page.read_text()):
        assert (ROOT / name).exists(), f"{named(page)} names {name}"


@pytest.mark.parametrize("job", schedule.jobs(), ids=lambda job: job.task)
def test_every_periodic_job_is_described(job: schedule.Job):
    rows = {row[0].strip("`"): row[1] for row in cells("docs/operations.md", "## Periodic jobs")}
    assert job.task in rows
    units = ((86_400, "day"), (3_600, "hour"), (60, "min"), (1, "s"))
    unit_s, unit = next(one for one in units if job.every_s % one[0] == 0)
    assert rows[job.task].startswith(f"{job.every_s // unit_s} {unit}")


def test_no_job_is_described_that_does_not_run():
    described = {row[0].strip("`") for row in cells("docs/operations.md", "## Periodic jobs")}
    assert described == {job.task for job in schedule.jobs()}


# -------------------------------------------------------------------------------------------------- figures


def test_the_figures_of_the_readme_are_those_of_the_settings():
    free = Tier.objects.get(pk="free")
    figures = [
        f"{settings.WELCOME_CREDIT_NANOS // 10**9} USD",
        f"{100 - settings.PLATFORM_FEE_BPS // 100} %",
        f"{settings.EARNINGS_HOLD_S // 3_600} hours",
        f"{free.requests_per_minute} requests per minute",
        f"{free.requests_per_day:,} per day",
    ]
    assert [figure for figure in figures if figure not in text("README.md")] == []


def test_the_table_of_tiers_is_that_of_the_database():
    described = {row[0].strip("`"): row[1:] for row in cells("docs/api.md", "## Limits")}
    for tier in Tier.objects.filter(pk__in=["free", "pro", "enterprise", "internal"]):
        limits = tier.requests_per_minute, tier.tokens_per_minute, tier.requests_per_day
        assert described[tier.name] == ["none" if limit is None else f"{limit:,}" for limit in limits]


def test_the_table_of_routing_fields_is_that_of_the_code():
    described = {row[0].strip("`") for row in cells("docs/api.md", "### Fields of our own")}
    assert described == ROUTING_FIELDS


def test_the_table_of_errors_is_that_of_the_code():
    known = {
        (str(problem.status), problem.type, problem.code)
        for problem in vars(envelope).values()
        if isinstance(problem, envelope.Problem)
    }
    described = {tuple(cell.strip("`") for cell in row[:3]) for row in cells("docs/api.md", "## Errors")}
    assert described == known


def test_every_outcome_has_a_line_in_the_table_of_endings():
    column = " ".join(row[1] for row in cells("docs/ledger.md", "## Every ending, and who pays"))
    assert set(InferenceRequest.Outcome.values) <= set(CODE.findall(column))


def test_the_invariants_are_listed_as_the_audit_names_them():
    listed = {row[0] for row in cells("docs/ledger.md", "## What always holds")}
    assert listed == {one.name for one in (*books.INVARIANTS, *requests.INVARIANTS)}


def test_the_columns_of_the_export_are_those_of_the_code():
    assert ",".join(export.COLUMNS) in text("docs/api.md")
    assert ",".join(statement_csv.CUSTOMER_COLUMNS) in text("docs/api.md")


# ------------------------------------------------------------------------------- answers of the API, by field

ANSWERS = [(info, body) for info, body in fences(DOCS / "api.md", "json") if info.startswith("GET /v1")]
DOCS_MODEL = "gemma-3-27b-it"


@pytest.fixture(scope="module")
def market(django_db_setup: None, django_db_blocker: Any) -> Iterator[dict[str, factories.Person]]:
    """Alice bought an answer from Bob."""
    with django_db_blocker.unblock():
        alice = factories.person("alice", tier="free")
        bob, hoster = factories.hoster("bob")
        _, offer = factories.server(address(), of=hoster, model=DOCS_MODEL)
        call = bookings.book(alice, offer)
        disputes.open_(customer=alice.customer, charge=call.id, reason="incomplete", detail="It stops.")
        bookings.earn(hoster, 100_000_000_000)
        payouts.ask(
            customer=bob.customer, amount_nanos=12_000_000_000, method="paypal", destination="bob@example.org"
        )
        of_bob = dict.fromkeys(("earnings", "payouts"), bob)
        yield dict.fromkeys(("usage", "models", "requests", "disputes", "statements"), alice) | of_bob
        HostedModel.objects.filter(pk=offer.pk).update(enabled=False)


def shape(value: Any) -> Any:
    """Field names and kinds of values; of a list, its first entry."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return value if value is None else "flag"
    return "number" if isinstance(value, int | float) else type(value).__name__


def differs(described: Any, real: Any, where: str = "") -> list[str]:
    """Where two shapes differ; null on either side stands for any single value."""
    if isinstance(described, dict) and isinstance(real, dict):
        if list(described) != list(real):
            return [f"{where}: {list(described)} is described, {list(real)} is answered"]
        return [
            line for name in described for line in differs(described[name], real[name], f"{where}.{name}")
        ]
    if isinstance(described, list) and isinstance(real, list):
        return differs(described[0], real[0], f"{where}[]") if described and real else []
    same = described == real or None in (described, real)
    return [] if same else [f"{where}: {described} is described, {real} is answered"]


@pytest.mark.parametrize(("path", "body"), ANSWERS, ids=[info for info, _ in ANSWERS])
def test_an_example_answer_has_the_fields_of_the_real_one(
    path: str, body: str, market: dict[str, factories.Person]
):
    route = path.removeprefix("GET ")
    who = market[route.removeprefix("/v1/").split("/")[0].split("?")[0]]
    if route.startswith("/v1/requests/"):
        route = f"/v1/requests/{InferenceRequest.objects.get(customer=who.customer).pk}"
    if route.startswith("/v1/statements/"):
        route = f"/v1/statements/{dt.datetime.now(dt.UTC):%Y-%m}"
    real = Client().get(route, headers=who.headers)
    assert real.status_code == 200
    if route == "/v1/models":
        listed = real.json()
        sold = next(model for model in listed["data"] if model["id"] == DOCS_MODEL)
        listed["data"] = [listed["data"][0], sold]
        assert differs(shape(json.loads(body)["data"][1]), shape(sold)) == []
        assert differs(shape(json.loads(body)), shape(listed)) == []
    else:
        assert differs(shape(json.loads(body)), shape(real.json())) == []


def test_there_is_an_example_answer_for_every_accounting_route():
    routes = {info.removeprefix("GET ").partition("?")[0] for info, _ in ANSWERS}
    wanted = [
        "usage",
        "usage/tokens",
        "usage/breakdown",
        "requests",
        "earnings",
        "earnings/by-model",
        "models",
        "disputes",
        "payouts",
        "statements",
    ]
    assert {f"/v1/{route}" for route in wanted} <= routes


def test_the_example_of_an_inference_answer_has_the_fields_of_the_real_one(gateway: RunningGateway):
    ((_, described),) = [one for one in fences(DOCS / "api.md", "json") if one[0].startswith("POST /v1/chat")]
    alice = factories.person()
    _, offer = factories.server(fakes.FakeServer(fakes.model(usage=(8, 8))).base_url)
    real = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": offer.model_id, "messages": [{"role": "user", "content": "What is the capital?"}]},
        headers=alice.headers,
    ).json()
    del real["choices"], (example := json.loads(described))["choices"]  # the server's, as they are
    assert differs(shape(example), shape(real)) == []


def test_the_code_of_the_first_request_runs_as_it_stands(
    gateway: RunningGateway, capsys: pytest.CaptureFixture
):
    alice = factories.person()
    server, offer = factories.server(fakes.FakeServer(fakes.model("Paris.", usage=(8, 2))).base_url)
    gateway.wait_for(server)
    page = (DOCS / "first-request.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    code = "\n".join(blocks)
    for said, here in {
        "http://127.0.0.1:8000": gateway.url, "ngk_your_key": alice.key, 'model="auto"': f'model="{offer.model_id}"',
    }.items():  # fmt: skip
        assert said in code
        code = code.replace(said, here)
    exec(compile(code, "first-request.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count("Paris.") == 2
    assert f"{offer.model_id} 10" in printed
    assert "2 tokens" in printed
    assert printed.endswith(f"{(8 * 100 + 2 * 300) / 10**9} {server.name}\n")


# ------------------------------------------------------------------------------ worked examples of the ledger

EXAMPLES = fences(DOCS / "ledger.md", "ledger")
LATER = re.compile(r"(\d+) h (\d+) min later")
NUMBER = r"([\d,]+)"


class Example:
    """Runs one worked example: lines at the margin are done, indented lines are compared with the books."""

    def __init__(self, travel: Callable[[dt.timedelta], None]) -> None:
        self.travel = travel
        self.people: dict[str, factories.Person] = {}
        self.sold: dict[str, HostedModel] = {}
        self.hosters: dict[str, Any] = {}
        self.call: bookings.Call | None = None
        self.admission = ""
        self.reversal: ledger.Reversed | None = None
        self.dispute: Dispute | None = None
        self.compared = 0

    def run(self, body: str) -> None:
        for line in body.splitlines():
            if line.startswith("  "):
                self.compare(line.strip())
            elif line.strip():
                self.do(line.strip())

    def do(self, line: str) -> None:
        for pattern, action in self.ACTIONS.items():
            if found := re.fullmatch(pattern.replace("#", NUMBER), line):
                action(self, *(group and amount(group) for group in found.groups()))
                return
        raise AssertionError(f"not understood: {line}")

    def has(self, name: str, promotional: int, bought: int, earned: int) -> None:
        """A balance of these parts, made by requests, a sale and a release that really happened."""
        owner, self.hosters[name] = factories.hoster(name)
        self.people[name] = owner
        if earned:
            self.earn(owner, self.hosters[name], earned)
        bookings.spend(owner, 5_000_000_000 - promotional)
        if bought:
            ledger.sell(customer=owner.customer, amount_nanos=bought, reference="example", reason="test")
        account = owner.account
        assert (account.bought_nanos, account.earned_nanos) == (bought, earned)
        assert account.posted_nanos == promotional + bought + earned

    def earn(self, owner: factories.Person, hoster: Any, earned: int) -> None:
        """A day ago somebody paid this hoster with bought money; it has been released."""
        assert earned % 4 == 0, "choose an amount that is 80 % of whole nanodollars"
        gross = earned * 5 // 4
        payer = factories.person("carol")
        _, offer = factories.server(address(), of=hoster, price_in=1, price_out=0)
        self.travel(-dt.timedelta(hours=25))
        bookings.spend(payer, 5_000_000_000)
        ledger.sell(customer=payer.customer, amount_nanos=gross, reference="example", reason="test")
        bookings.book(payer, offer, input_tokens=gross, output_tokens=0)
        self.travel(dt.timedelta())
        release_all()

    def sells(self, name: str, price_in: int, price_out: int) -> None:
        where: dict[str, Any] = {"kind": "cloud"} if name == "platform" else {"of": self.hosters[name]}
        self.sold[name] = factories.server(address(), price_in=price_in, price_out=price_out, **where)[1]

    def limit(self, name: str, limit: int) -> None:
        key = self.people[name].api_key
        key.spend_limit_nanos = limit
        key.save(update_fields=["spend_limit_nanos"])

    def asks(self, name: str, seller: str, input_tokens: int, output_tokens: int) -> None:
        try:
            self.call = bookings.admit(
                self.people[name], self.sold[seller], input_tokens=input_tokens, output_tokens=output_tokens
            )
            self.admission = "ok"
        except AssertionError as refusal:
            self.admission = str(refusal).splitlines()[0]

    def serves(self, seller: str, input_tokens: int, output_tokens: int) -> None:
        assert self.call is not None
        assert self.call.offer == self.sold[seller]
        bookings.settle(self.call, input_tokens=input_tokens, output_tokens=output_tokens)

    def fails(self) -> None:
        assert self.call is not None
        bookings.void(self.call)

    def reverses(self, at_our_loss: str | None, input_tokens: int, output_tokens: int) -> None:
        assert self.call is not None
        kept = ledger.Reversal(self.call.id, input_tokens, output_tokens)
        (self.reversal,) = ledger.reverse(
            reversals=[kept], reason="example", at_our_loss=at_our_loss is not None
        )

    def disputes(self, name: str) -> None:
        assert self.call is not None
        self.dispute = disputes.open_(
            customer=self.people[name].customer, charge=self.call.id, reason="incomplete"
        )

    def decides(self, verdict: str) -> None:
        assert self.dispute is not None
        disputes.decide(dispute=self.dispute, upheld=verdict == "upheld", verdict="example", actor=None)

    def later(self, hours: int, minutes: int) -> None:
        self.travel(dt.timedelta(hours=hours, minutes=minutes))
        release_all()

    ACTIONS: dict[str, Callable[..., None]] = {
        r"(\w+) has # promotional, # bought, # earned": has,
        r"(\w+) sells at # / #": sells,
        r"(\w+)'s key may spend # a month": limit,
        r"(\w+) asks (\w+) for at most # \+ # tokens": asks,
        r"(\w+) serves # \+ # tokens": serves,
        r"the request fails": fails,
        r"the charge is reversed( at our loss)?, # \+ # tokens are kept": reverses,
        r"(\w+) disputes the charge": disputes,
        r"the dispute is (upheld|rejected)": decides,
        r"# h # min later": later,
    }

    def compare(self, line: str) -> None:
        subject, _, rest = line.partition(": ")
        if subject == "admission":
            assert self.admission == rest
            self.compared += 1
            return
        real = self.read(subject)
        for part in re.split(r", (?=[a-z])", rest):
            field, _, value = part.rpartition(" ")
            expected = None if value == "none" else amount(value)
            assert real[field] == expected, f"{line}: {field} is {real[field]}"
            self.compared += 1

    def read(self, subject: str) -> dict[str, Any]:
        """The fields of an account, of the last charge or of one of its transfers, as the database has them."""
        if subject in self.people:
            return self.read_account(self.people[subject])
        assert self.call is not None
        charge = Charge.objects.get(pk=self.call.id)
        if subject == "reversal":
            assert self.reversal is not None
            done = self.reversal
            return {"status": done.status, "gross": done.gross_back_nanos, "net": done.net_back_nanos}
        if subject == "charge":
            fields = ("hold", "gross", "fee", "net", "payable")
            return {field: getattr(charge, f"{field}_nanos") for field in fields} | {"state": charge.state}
        found = re.fullmatch(r"(charge|fee|refund) transfer (.+) → (.+)", subject)
        assert found, f"not understood: {subject}"
        accounts = {
            f"platform {kind}": LedgerAccount.objects.get(kind=f"platform_{kind}")
            for kind in ("fees", "loss")
        }
        accounts |= {f"{n} pending": ledger.pending_account(p.customer) for n, p in self.people.items()}
        frozen = LedgerAccount.objects.filter(kind="hoster_disputed")
        accounts |= {
            f"{n} frozen": frozen.filter(customer=p.customer).first() for n, p in self.people.items()
        }
        accounts |= {n: p.account for n, p in self.people.items()}
        transfers = Transfer.objects.filter(charge=charge.pk, kind=found[1], credit=accounts[found[3]])
        transfer = transfers.filter(debit=accounts[found[2]]).first()
        if transfer is None:
            return {"amount": None}
        return {part: getattr(transfer, f"{part}_nanos") for part in ("amount", "earned", "bought")}

    def read_account(self, who: factories.Person) -> dict[str, int]:
        account = who.account
        pending = Maturity.objects.filter(account=ledger.pending_account(who.customer))
        debt = Debt.objects.filter(account=ledger.pending_account(who.customer)).first()
        frozen = Dispute.objects.filter(payee=who.customer, state="open").values_list("net_nanos", flat=True)
        window = SpendWindow.objects.filter(key=who.api_key).first()
        assert account.posted_nanos is not None
        assert account.held_nanos is not None
        assert account.earned_nanos is not None
        assert account.bought_nanos is not None
        return {
            "posted": account.posted_nanos,
            "held": account.held_nanos,
            "free": account.posted_nanos - account.held_nanos,
            "earned": account.earned_nanos,
            "bought": account.bought_nanos,
            "promotional": account.posted_nanos - account.earned_nanos - account.bought_nanos,
            "pending": sum(pending.values_list("amount_nanos", flat=True)),
            "pending payable": sum(pending.values_list("payable_nanos", flat=True)),
            "frozen": sum(frozen),
            "owes": debt.owed_nanos if debt else 0,
            "spent by the key": window.spent_nanos if window else 0,
            "held by the key": window.held_nanos if window else 0,
        }


def release_all() -> None:
    while ledger.release()[0]:
        pass


def amount(words: str) -> Any:
    digits = words.replace(",", "")
    return int(digits) if digits.isdigit() else words


@pytest.mark.parametrize(("name", "body"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_a_worked_example_is_what_the_database_does(
    name: str, body: str, travel: Callable[[dt.timedelta], None]
):
    example = Example(travel)
    example.run(body)
    assert example.compared >= 3
    accounts = itertools.chain.from_iterable(
        person.customer.ledger_accounts.values_list("pk", flat=True) for person in example.people.values()
    )
    subjects = {f"account {pk}" for pk in accounts}
    with books.snapshot() as cursor:
        found = books.differences(cursor, (*books.INVARIANTS, *requests.INVARIANTS))
    assert [one for one in found if one.subject in subjects and one.invariant not in SWEPT] == []


SWEPT = {invariants.NO_STALE_HOLD.name, invariants.NOT_OVERDUE.name}  # nothing sweeps while tests travel


def test_the_promised_examples_are_there():
    wanted = {"served", "free", "mixed", "limit", "rounding", "failed", "reversed", "partly", "owed"}
    wanted |= {"upheld", "rejected"}
    assert {name for name, _ in EXAMPLES} >= wanted


def test_a_wrong_digit_is_noticed(travel: Callable[[dt.timedelta], None]):
    body = dict(EXAMPLES)["served"].replace("fee 20,000", "fee 20,001")
    with pytest.raises(AssertionError, match="fee is 20000"):
        Example(travel).run(body)


# -------------------------------------------------------------------------------------------------- metrics


def test_the_table_of_metrics_is_that_of_the_code():
    rows = [(row[0].strip("`"), row[1].strip("`")) for row in cells("docs/operations.md", "## Metrics")]
    assert rows == [(metrics.PREFIX + one.name, one.label or "") for one in metrics.FIGURES]


def test_what_is_to_be_pasted_into_prometheus_speaks_of_figures_that_are_there():
    scraped, alerts = (yaml.safe_load(body) for _, body in fences(DOCS / "operations.md", "yaml"))
    assert [job["job_name"] for job in scraped["scrape_configs"]] == ["neuralgate"]
    labels = {metrics.PREFIX + one.name: one.label for one in metrics.FIGURES}
    rules = [rule for group in alerts["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        for name, label in re.findall(r"(neuralgate_\w+)(?:\{(\w+)=)?", rule["expr"]):
            assert name in labels, rule["alert"]
            assert label in {"", labels[name]}, rule["alert"]
