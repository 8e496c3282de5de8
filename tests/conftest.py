"""Starts one PostgreSQL and one Valkey for the whole session, and lets no needed test be skipped quietly."""

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Response, expect, sync_playwright

from skincare.launch import places
from skincare.launch.servers import Servers
from tests.launch.waiting import BROWSER_PATIENCE_MS

NO_SKIPS = any(os.environ.get(name, "").lower() in {"1", "true"} for name in ("CI", "SKINCARE_NO_SKIPS"))
#: The fixtures that start web server, workers and databases, as `make up` does.
WHOLE_PLATFORM = {"running_platform", "launcher"}
_servers = ExitStack()


def _is_first_process() -> bool:
    return os.environ["SKINCARE_TEST_MAIN"] == str(os.getpid())


def pytest_sessionstart(session: pytest.Session) -> None:
    if _is_first_process() and not session.config.option.collectonly:
        _servers.enter_context(replace(Servers.wanted(Path(settings.VAR)), durable=False).borrowed())


def pytest_sessionfinish() -> None:
    if _is_first_process():
        _servers.close()
        shutil.rmtree(settings.VAR, ignore_errors=True)


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"Skipped, and nothing may be skipped here: {report.longrepr}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a whole platform, so that no file can forget it; before `-m` chooses."""
    for item in items:
        if WHOLE_PLATFORM & set(getattr(item, "fixturenames", ())):
            item.add_marker("platform")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where nothing may be skipped (CI=true or SKINCARE_NO_SKIPS=1), a skip is a failure that gives its reason."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself as a whole."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.fixture
def broker() -> Iterator[redis.Redis]:
    """The session's real Valkey, empty before and after the test."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment in which another process (a worker, a command) sees this test's database, broker and files.

    What the test has committed is what that process reads: the database is emptied after the test instead of rolled
    back.
    """
    address = urlsplit(os.environ.get("DATABASE_URL", "").strip() or places.database_url(settings.VAR))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SKINCARE_TEST_"))},
        "DJANGO_SETTINGS_MODULE": "skincare.settings.local",
        "DATABASE_URL": address._replace(path=f"/{connection.settings_dict['NAME']}").geturl(),
        "REDIS_URL": settings.REDIS_URL,
        "SKINCARE_VAR": str(settings.VAR),
        "MEDIA_ROOT": settings.MEDIA_ROOT,
        "PYTHONPATH": str(settings.BASE_DIR),
    }


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A real Chromium: the machine's own where there is one, else the one that `playwright install` fetched."""
    own = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    # Playwright runs an event loop in this thread, in which Django would refuse to touch the database.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(
                executable_path=own,
                args=[
                    "--no-sandbox",  # containers run as root, where Chromium has no sandbox
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--no-first-run",
                ],
            )
        except Error as error:
            pytest.skip(f"no Chromium: apt-get install chromium ({error.message.splitlines()[0]})")
        expect.set_options(timeout=BROWSER_PATIENCE_MS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def browser_context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser without memory. What its console complains of, violations of the content policy too, fails the test."""
    context = chromium.new_context()
    context.set_default_timeout(BROWSER_PATIENCE_MS)
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A form that is shown again with what is missing (422), and a page whose time is over (410), are for people.
        meant = any(f"responded with a status of {status}" in message.text for status in (410, 422))
        if message.type in {"error", "warning"} and not meant:
            complaints.append(f"{message.location.get('url', '')}: {message.text}")

    def see(response: Response) -> None:
        if response.status >= 500:
            complaints.append(f"{response.url}: {response.status}")

    context.on("console", hear)
    context.on("response", see)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert complaints == []
