"""`make bench`: what a request costs, with the load generator and a mock server on this machine.

For people, never a timed test: the same machine drifts by a quarter within an hour, so every figure stands beside a
bare Django view's and the mock server's own from the same run. `--quick` takes a tenth of the requests.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
BODY = {
    "messages": [
        {"role": "system", "content": "You are a helpful assistant. Answer briefly and to the point."},
        {
            "role": "user",
            "content": "Tell me about the history of the city of Paris in a few sentences. " * 4,
        },
    ],
    "temperature": 0.7,
    "max_tokens": 200,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--servers", type=int, default=1, help="servers that offer the model")
    options = parser.parse_args()
    scale = 0.1 if options.quick else 1.0
    os.environ.update(
        DATA_DIR=str(ROOT / "data" / "bench"), DATABASE_URL="", ALLOW_PRIVATE_ADDRESSES="1", ALLOW_HTTP_HOSTERS="1",
        LOG_LEVEL="WARNING", DJANGO_SETTINGS_MODULE="neuralgate.settings",
    )  # fmt: skip
    from neuralgate import embedded

    shutil.rmtree(ROOT / "data" / "bench", ignore_errors=True)  # what earlier runs left changes the figures
    with embedded.running(ROOT / "data" / "bench"):
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        with contextlib.ExitStack() as stack:
            mock_port = stack.enter_context(process(["-m", "tests.bench.mock", "{port}"]))[0]
            key, models = make_market(stack, mock_port, options.servers)
            web = [
                "-m", "uvicorn", "neuralgate.asgi:application", "--port", "{port}", "--loop", "uvloop", "--http",
                "httptools", "--no-access-log", "--log-level", "warning",
                "--no-server-header", "--no-proxy-headers", "--backlog", "2048",
            ]  # fmt: skip
            port, gateway = stack.enter_context(process(web))
            bare = ["-m", "uvicorn", "tests.bench.bare:make", "--factory", *web[3:]]
            bare_port, bare_process = stack.enter_context(process(bare))
            report(port, gateway, bare_port, bare_process, mock_port, key, models, scale)


def report(
    port: int, gateway: psutil.Process, bare_port: int, bare_process: psutil.Process, mock_port: int, key: str,
    models: dict[str, str], scale: float,
) -> None:  # fmt: skip
    many = int(20_000 * scale)
    load(port, key, models["plain"], 64, max(many // 10, 500))  # warm up
    rss_before = gateway.memory_info().rss
    booked_before = charges_booked()
    at_64 = measured(gateway, lambda: load(port, key, models["plain"], 64, many))
    booked = charges_booked() - booked_before
    rss_after = gateway.memory_info().rss
    at_1 = measured(gateway, lambda: load(port, key, models["plain"], 1, many // 10))
    bare = measured(bare_process, lambda: load(bare_port, key, models["plain"], 64, many // 2))
    direct_64 = load(mock_port, key, models["plain"], 64, many)
    direct_1 = load(mock_port, key, models["plain"], 1, many // 10)
    delayed = load(port, key, models["delayed"], 64, many // 5)
    delayed_1 = load(port, key, models["delayed"], 1, max(many // 200, 30))
    direct_delayed = load(mock_port, key, models["delayed"], 64, many // 5)
    direct_delayed_1 = load(mock_port, key, models["delayed"], 1, max(many // 200, 30))
    burst = measured(gateway, lambda: load(port, key, models["plain"], 64, many // 10, stream=True))
    paced = measured(gateway, lambda: load(port, key, models["paced"], 64, many // 20, stream=True))

    print(
        f"\n{'at 64 connections':32}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'CPU-ms web':>12}{'PostgreSQL':>12}"
    )
    rows = (
        ("NeuralGate, admitted and booked", at_64),
        ("bare Django view, nothing else", bare),
        ("the mock", direct_64),
    )
    for name, figures in rows:
        rate = figures["requests"] / figures["seconds"]
        costs = f"{figures['web_ms']:12.3f}{figures['postgres_ms']:12.3f}" if "web_ms" in figures else ""
        print(f"{name:32}{rate:12,.0f}{figures['p50_ms']:9.1f}{figures['p99_ms']:9.1f}{costs}")
    print(
        f"booked in that run: {booked:,} charges, {booked / at_64['seconds']:,.0f}/s, each durable before its answer"
    )
    print(f"\nadded at 1 connection: {added(at_1, direct_1)}")
    print(f"added over a server that takes 50 ms: at 64 {added(delayed, direct_delayed)};")
    print(f"                                      at 1 {added(delayed_1, direct_delayed_1)}")
    print(
        f"stream of 32 chunks: back to back {burst['web_ms']:.2f} CPU-ms, paced {paced['web_ms']:.2f} CPU-ms"
    )
    growth = (rss_after - rss_before) / 2**20
    print(f"memory of the web process: {rss_after / 2**20:.0f} MiB, {growth:+.1f} MiB over {many:,} requests")
    errors = sum(int(f["errors"]) for f in (at_64, at_1, delayed, burst, paced))
    print(f"errors: {errors}")


def added(ours: dict[str, float], direct: dict[str, float]) -> str:
    """What the gateway adds to the same requests sent to the mock directly."""
    return f"p50 {ours['p50_ms'] - direct['p50_ms']:.2f} ms, p99 {ours['p99_ms'] - direct['p99_ms']:.2f} ms"


def measured(web: psutil.Process, run) -> dict[str, float]:
    """The figures of `run`, with CPU milliseconds per request of the web process and of PostgreSQL."""
    web_before, postgres_before = cpu_s([web]), cpu_s(postgres_processes())
    figures = run()
    figures["web_ms"] = (cpu_s([web]) - web_before) * 1e3 / figures["requests"]
    figures["postgres_ms"] = (cpu_s(postgres_processes()) - postgres_before) * 1e3 / figures["requests"]
    return figures


def charges_booked() -> int:
    from billing.models import Charge

    return Charge.objects.filter(state="posted").count()


def cpu_s(processes: list[psutil.Process]) -> float:
    total = 0.0
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system
    return total


def postgres_processes() -> list[psutil.Process]:
    postmaster = psutil.Process(
        int((ROOT / "data" / "bench" / "postgres" / "postmaster.pid").read_text().split()[0])
    )
    return [postmaster, *postmaster.children()]


def load(
    port: int, key: str, model: str, connections: int, requests: int, *, stream: bool = False
) -> dict[str, float]:
    body = json.dumps({"model": model, **BODY, **({"stream": True} if stream else {})}, separators=(",", ":"))
    answer = subprocess.run(
        [sys.executable, "-m", "tests.bench.load", str(port), str(connections), str(requests)],
        input=json.dumps({"path": "/v1/chat/completions", "key": key, "body": body}).encode(),
        stdout=subprocess.PIPE, check=True, cwd=ROOT, timeout=600,
    )  # fmt: skip
    return json.loads(answer.stdout)


def make_market(stack: contextlib.ExitStack, mock_port: int, servers: int) -> tuple[str, dict[str, str]]:
    """An unlimited customer with 10,000 USD and servers that offer one model each in three variants."""
    from hosting.models import HostedModel
    from tests import factories

    alice = factories.person("bench", tier="internal", sold_nanos=10_000 * 10**9)
    name = factories.unique("bench")
    models = {"plain": name, "delayed": f"{name}-d50", "paced": f"{name}-p5"}
    _, hoster = factories.hoster()
    for number in range(servers):
        port = mock_port
        if number:
            port = stack.enter_context(process(["-m", "tests.bench.mock", "{port}"]))[0]
        row, _ = factories.server(f"http://127.0.0.1:{port}", of=hoster, model=models["plain"], slots=1000)
        for variant in ("delayed", "paced"):
            HostedModel.objects.create(
                server=row, model_id=models[variant], price_per_input_token=100, price_per_output_token=300
            )
    return alice.key, models


@contextlib.contextmanager
def process(arguments: list[str]) -> Iterator[tuple[int, psutil.Process]]:
    """Run `python …` on a free port while the block runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *(word.format(port=port) for word in arguments)]
    child = subprocess.Popen(command, cwd=ROOT)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(20)


if __name__ == "__main__":
    main()
