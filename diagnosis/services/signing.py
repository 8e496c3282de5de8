"""What a signature rests on: that the person who signs proved not long ago who they are."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from diagnosis.services.errors import Refusal

#: How a person proved who they are, as it is kept with the signature.
PASSWORD: Final = "password"
SESSION: Final = "session"
TOKEN: Final = "token"


@dataclass(frozen=True)
class Proof:
    """When and how the signer last proved who they are."""

    at: datetime
    how: str


def check_proof(proof: Proof) -> None:
    """Make sure that the proof is fresh enough to sign with.

    Raises:
        Refusal: it is older than ``SIGNATURE_SECONDS``.
    """
    longest = timedelta(seconds=settings.SIGNATURE_SECONDS)
    if timezone.now() - proof.at > longest:
        raise Refusal(
            "authenticate_again",
            f"you proved who you are at {proof.at:%Y-%m-%d %H:%M} UTC; to sign, do so again (it counts for "
            f"{longest.total_seconds() / 60:.0f} minutes)",
        )
