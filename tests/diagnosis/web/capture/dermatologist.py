"""The other side: a dermatologist who answers, and cases that came from elsewhere, both at the API."""

import json
from typing import Any
from uuid import uuid4

import requests

from tests.faults.platform import Platform

DERMATOLOGIST = "dermatologist@demo.example"


class Dermatologist:
    """One of the demonstration's, at the API."""

    def __init__(self, platform: Platform) -> None:
        self.platform, self.headers = platform, platform.headers_of(DERMATOLOGIST)

    def do(self, referral: str, what: str, body: dict[str, Any]) -> None:
        """Post something to a referral."""
        address = self.platform.url(f"referrals/{referral}/{what}/")
        answer = requests.post(address, json=body, headers=self.headers, timeout=30)
        assert answer.status_code in (200, 201), answer.text


def visit(
    platform: Platform, photograph: bytes, patient: str = "", lesion: str = "", name: str = "", **fields: Any
) -> dict[str, str]:
    """A case of a new patient (of that name), or one more of a lesion; returns the ids of case, patient and lesion."""
    case = platform.case() | fields
    case["lesion"] = lesion or case["lesion"] | {"id": str(uuid4())}
    case["patient"] = patient or case["patient"] | {"id": str(uuid4())} | ({"name": name} if name else {})
    case["images"] = [{"kind": "dermoscopic"}]
    if patient:
        case["consents"] = []
    else:
        consent = case["consents"][0]
        case["consents"] = [consent | {"id": str(uuid4()), "scope": scope} for scope in ("analysis", "teledermatology")]
    key = str(uuid4())
    answer = requests.post(
        platform.url("cases/"),
        headers={**platform.headers, "Idempotency-Key": key},
        data={"case": json.dumps(case)},
        files={"images": ("p.jpg", photograph, "image/jpeg")},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return {"case": key, "patient": made["patient"], "lesion": made["lesion"]}
