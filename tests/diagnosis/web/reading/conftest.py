"""Browsers of a clinic and of a dermatology service that talk to one real server with its workers."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from pypdf import PdfReader

from tests.diagnosis.web.capture.conftest import new_phone
from tests.factories import PHOTOGRAPH
from tests.faults.conftest import running_platform
from tests.faults.platform import Platform, eventually
from tests.launch.waiting import BROWSER_PATIENCE_MS

__all__ = ["new_phone", "running_platform"]
#: Two colleagues of the demonstration's dermatologist, with the same password.
COLLEAGUES = ("second@demo.example", "third@demo.example")
_MAKE_COLLEAGUES = """
from skincare.accounts.models import Membership, User
one = User.objects.get(email="dermatologist@demo.example")
place = one.memberships.get()
for email, name in (("second@demo.example", "Jonas"), ("third@demo.example", "Amara")):
    user, _ = User.objects.get_or_create(
        email=email, defaults={"password": one.password, "first_name": name, "last_name": "Weber"}
    )
    Membership.objects.get_or_create(user=user, organisation=place.organisation, role=place.role)
"""
_TICK = """
from datetime import datetime
from diagnosis.services.referral_clock import tick
print(tick(now=datetime.fromisoformat("{}")))
"""


class Desk:
    """One person's browser, with a session of its own."""

    def __init__(self, chromium: Browser, platform: Platform, email: str, **options: Any) -> None:
        self.platform, self.email = platform, email
        self.base = f"http://127.0.0.1:{platform.port}"
        self.context = chromium.new_context(accept_downloads=True, **options)
        self.context.set_default_timeout(BROWSER_PATIENCE_MS)
        self.complaints: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            self.complaints.append(message.text)

    def sign_in(self) -> "Desk":
        """Through the form, as anybody does."""
        password = (self.platform.var / "secrets" / "demo-password").read_text().strip()
        self.page.goto(f"{self.base}/sign-in/?next=/notices/")
        self.page.locator("input[type=email]").fill(self.email)
        self.page.locator("input[type=password]").fill(password)
        self.page.locator("main form [type=submit]").click()
        expect(self.page.locator("h1")).to_be_visible()
        self.page.wait_for_url("**/notices/")
        return self

    def go(self, path: str) -> Page:
        """Open a page."""
        self.page.goto(f"{self.base}{path}")
        return self.page

    # --- the API, in this browser's session -------------------------------------------------------------------------
    def get(self, path: str) -> Any:
        """What the API answers."""
        answer = self.context.request.get(f"{self.base}/api/v1/{path}")
        assert answer.status == 200, answer.text()
        return answer.json()

    def post(self, path: str, body: dict[str, Any] | None = None, **how: Any) -> Any:
        """Send something; it must be taken."""
        token = next(cookie["value"] for cookie in self.context.cookies() if "csrf" in cookie["name"])  # type: ignore[typeddict-item]
        headers = {"X-CSRFToken": token, **how.pop("headers", {})}
        how = how or {"data": body}
        answer = self.context.request.post(f"{self.base}/api/v1/{path}", headers=headers, **how)
        assert answer.status < 300, answer.text()
        return answer.json()

    def pdf(self, path: str) -> str:
        """A document's text."""
        answer = self.context.request.get(f"{self.base}{path}")
        assert answer.status == 200, answer.text()
        assert "no-store" in answer.headers["cache-control"]
        return " ".join(page.extract_text() for page in PdfReader(io.BytesIO(answer.body())).pages)

    def refer(self, urgency: str = "soon", question: str = "Melanoma?") -> tuple[dict[str, Any], str]:
        """Submit a case, wait for the network, and refer it. Returns the referral and the case's id."""
        key, now = str(uuid4()), datetime.now(UTC).isoformat()
        case = self.platform.case()
        case["patient"]["name"] = "Maria Lindqvist"
        case["consents"].append({**case["consents"][0], "scope": "teledermatology", "captured_at": now})
        self.post(
            "cases/",
            headers={"Idempotency-Key": key},
            multipart={
                "case": json.dumps(case),
                "images": {"name": "p.jpg", "mimeType": "image/jpeg", "buffer": PHOTOGRAPH.read_bytes()},
            },
        )
        eventually("the network answers", lambda: self.get(f"cases/{key}/")["state"] == "answered")
        service = self.get("referral-services/")[0]["id"]
        made = self.post("referrals/", {"case": key, "service": service, "urgency": urgency, "question": question})
        return made, key


class Rooms:
    """The platform with its people, and a clock that tests move."""

    def __init__(self, chromium: Browser, platform: Platform) -> None:
        self.chromium, self.platform = chromium, platform
        self.desks: list[Desk] = []
        platform.command("shell", "-v", "0", "-c", _MAKE_COLLEAGUES)

    def desk(self, email: str, **options: Any) -> Desk:
        """A browser in which somebody signed in."""
        self.desks.append(Desk(self.chromium, self.platform, email, **options))
        return self.desks[-1].sign_in()

    def tick(self, now: datetime) -> None:
        """Let the clock of referrals do what is due at another time than now."""
        self.platform.command("shell", "-v", "0", "-c", _TICK.format(now.isoformat()))


@pytest.fixture
def rooms(chromium: Browser, running_platform: Platform) -> Iterator[Rooms]:
    """What a page throws, and what the content policy refuses, fails the test."""
    made = Rooms(chromium, running_platform)
    yield made
    for desk in made.desks:
        desk.context.close()
    assert [complaint for desk in made.desks for complaint in desk.complaints] == []
