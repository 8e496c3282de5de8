"""Somebody who asks for what is not theirs, what they may know in truth, and how two answers are compared.

A foreign thing must be answered exactly as a thing that does not exist: same status, same headers, same bytes.
"""

import re
from typing import Any, Final
from uuid import UUID

from diagnosis.models import Referral
from skincare.accounts.models import User
from tests.diagnosis.api.requests import ApiClient, token_for
from tests.isolation.world import Place, Seen, World

#: What differs between any two answers.
VARYING: Final = frozenset({"x-request-id", "date", "content-length"})


class Leak(AssertionError):
    """Somebody learnt something about what is not theirs."""


class Attacker:
    """One person, signed in to both interfaces."""

    def __init__(self, world: World, user: User, places: frozenset[Place]) -> None:
        self.world, self.user, self.places = world, user, places
        self.api = ApiClient(token_for(user))
        self.browser = ApiClient()
        self.browser.force_login(user)

    def clinician(self, clinic: str) -> bool:
        """Whether the person is a clinician there."""
        return self.world.is_clinician(self.places, clinic)

    def reads(self, seen: Seen | None, referral: Referral | None) -> bool:
        """Whether the person is a reader of the referral."""
        return seen is not None and self.world.reads(self.user, self.places, seen, referral)

    def reads_lesion(self, seen: Seen | None) -> bool:
        """Whether the person reads any referral of the case's lesion."""
        return seen is not None and any(
            (other.clinic, other.patient, other.lesion) == (seen.clinic, seen.patient, seen.lesion)
            and self.reads(other, referral)
            for other, _, referral in self.world.cases
        )

    def same(self, asked: Any, nothing: Any, what: str, pk: object = "", nowhere: object = "") -> None:
        """What is answered about a foreign thing is what is answered about nothing."""
        if asked.status_code >= 500:
            raise Leak(f"{self.user}: {what} answers {asked.status_code}")
        one, other = (_comparable(answer, key) for answer, key in ((asked, pk), (nothing, nowhere)))
        if one != other:
            raise Leak(f"{self.user}: {what} differs from what does not exist:\n{one}\n{other}")


def linked(page: Any) -> set[UUID]:
    """To which referrals a page of the worklist leads."""
    return set(map(UUID, re.findall(r"/worklist/([0-9a-f-]{36})/", page.content.decode())))


def _comparable(answer: Any, pk: object) -> tuple[int, dict[str, str], str]:
    content = (b"".join(answer.streaming_content) if answer.streaming else answer.content).decode("latin-1")
    content = re.sub(r'"request_id": "[^"]*"', "", content)
    content = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", content)
    content = re.sub(r'<code class="request">[^<]*</code>', "", content)
    # An id that was asked for may be said again.
    content = content.replace(str(pk), "<asked>") if pk else content
    headers = {name.lower(): value.replace(str(pk), "<asked>") if pk else value for name, value in answer.items()}
    return answer.status_code, {name: value for name, value in headers.items() if name not in VARYING}, content
