"""Every deliberate defect turns the tests red that are there to catch it; see tests/sabotage.py."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.sabotage import DEFECTS, ROOT

AT_ONCE = 2
RUN_TIMEOUT_S = 120
TESTS_FAILED = 1  # pytest's exit code; a broken run has another

Run = subprocess.CompletedProcess[str]


def run(tests: tuple[str, ...], defect: str = "") -> Run:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.sabotage",
        "-x",
        "-q",
        "-rf",
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "NG_SABOTAGE": defect}
    return subprocess.run(
        [*command, *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Iterator[dict[str, "Future[Run]"]]:
    """A run for each defect that is asked for, two at a time."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    asked = [call.params["defect"] for call in calls if call is not None and "defect" in call.params]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {name: pool.submit(run, DEFECTS[name].caught_by, name) for name in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_still_finds_the_text_that_it_changes(defect: str):
    """Quick, so that whoever changes a rule notices at once."""
    for module in {module for module, _, _ in DEFECTS[defect].changes}:
        DEFECTS[defect].source(module)


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_caught(defect: str, runs: dict[str, "Future[Run]"]):
    done = runs[defect].result()
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    assert (done.returncode, len(failed)) == (TESTS_FAILED, 1), done.stdout[-2_000:] + done.stderr[-2_000:]


@pytest.mark.slow
def test_without_a_defect_the_same_tests_pass():
    tests = sorted({test for defect in DEFECTS.values() for test in defect.caught_by})
    done = run(tuple(tests))
    assert done.returncode == 0, done.stdout[-2_000:]


def test_every_defect_fits_the_source():
    """After a change of the code, change the defect's text with it: it is there, and once."""
    for defect in DEFECTS.values():
        for module, _, _ in defect.changes:
            assert defect.source(module)
