"""Promise: whom a referral concerns is told once, whatever dies meanwhile, and the mail about it is never lost."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
import requests

from skincare.launch.up import ROOT
from tests.faults.platform import Platform, eventually

pytestmark = pytest.mark.faults


@pytest.fixture
def nobody_mails(platform: Platform) -> Iterator[Platform]:
    """The platform without its clock, so that mail goes out only when a test says so."""
    platform.stop_program("clock")
    send_mail(platform)  # what earlier tests left
    yield platform
    platform.start_program("clock")


def send_mail(platform: Platform) -> None:
    """Mail what is due, as the scheduled task does."""
    platform.command("shell", "-v0", "-c", "from diagnosis.services.notifications import send_due; send_due()")


def mails(platform: Platform) -> int:
    """How many e-mails were handed over so far."""
    return sum(path.read_text().count("\nTo: ") for path in (platform.var / "mail").glob("*"))


def refer(platform: Platform, referral: str, case: str, service: str) -> int | None:
    """Refer a case under that id; the status, or nothing where the line broke."""
    try:
        return requests.post(
            platform.url("referrals/"),
            headers=platform.headers,
            json={"id": referral, "case": case, "service": service, "urgency": "soon", "question": "Melanoma?"},
            timeout=30,
        ).status_code
    except requests.ConnectionError:
        return None


def referred(platform: Platform) -> str:
    """A new case with consent to teledermatology, referred by five hands at once while web is killed; the referral."""
    (case,) = platform.submit(1, scopes=("analysis", "teledermatology"))
    services = requests.get(platform.url("referral-services/"), headers=platform.headers, timeout=30).json()
    service = (services["results"] if isinstance(services, dict) else services)[0]["id"]
    referral = str(uuid4())
    hands = [threading.Thread(target=refer, args=(platform, referral, case, service)) for _ in range(5)]
    for hand in hands:
        hand.start()
    eventually(
        "one of them got through",
        lambda: platform.ask("SELECT count(*) FROM diagnosis_referral WHERE id = %s::uuid", referral) == 1,
    )
    for worker in platform.children("web"):
        worker.send_signal(signal.SIGKILL)
    for hand in hands:
        hand.join(60)
    eventually("it is accepted again", lambda: refer(platform, referral, case, service) in {200, 201})
    return referral


def test_a_referral_that_was_sent_many_times_while_web_died_is_told_once(nobody_mails: Platform) -> None:
    platform = nobody_mails
    referral = referred(platform)
    assert platform.ask("SELECT count(*) FROM diagnosis_referral WHERE id = %s::uuid", referral) == 1
    told, people = platform.ask(
        "SELECT ARRAY[count(*), count(DISTINCT user_id)] FROM diagnosis_notification WHERE referral_id = %s::uuid",
        referral,
    )
    assert told == people > 0
    events = platform.ask(
        "SELECT count(*) FROM audit_auditevent WHERE object_id = %s AND action = 'referral.sent'", referral
    )
    assert events == 1


@pytest.mark.parametrize(("moment", "twice"), [("before", 0), ("after", 1)])
def test_a_mailer_that_dies_loses_no_mail(nobody_mails: Platform, moment: str, twice: int) -> None:
    """What was handed over but not noted when it died is handed over once more: twice is better than never."""
    platform = nobody_mails
    referred(platform)
    waiting = "SELECT count(DISTINCT user_id) FROM diagnosis_notification WHERE mailed_at IS NULL"
    people, before = platform.ask(waiting), mails(platform)
    died = subprocess.run(
        [sys.executable, "-m", "tests.faults.dying_mail", moment], cwd=ROOT, env=platform.environment, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert platform.ask(waiting) == people > 0
    for _ in range(2):
        send_mail(platform)
    assert platform.ask(waiting) == 0
    assert mails(platform) - before == people + twice
