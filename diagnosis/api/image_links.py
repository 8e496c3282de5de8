"""Links to photographs that work for one user and a few minutes only."""

import time
from typing import Final
from uuid import UUID

from django.urls import reverse
from django.utils.crypto import constant_time_compare, salted_hmac
from rest_framework.request import Request

from diagnosis.api.problems import Problem
from diagnosis.models import CaseImage
from skincare.accounts.models import User

#: A link is valid for at most this long, and for at least half of it.
VALID_SECONDS: Final = 300
#: Links change only this often, so that a case's ETag is stable between.
BUCKET_SECONDS: Final = VALID_SECONDS // 2


def bucket() -> int:
    """The number of the current stretch of time in which links stay the same."""
    return int(time.time()) // BUCKET_SECONDS


def link_to(request: Request, image: CaseImage, user: User) -> str:
    """The address of a photograph for this user, from now on for 150 to 300 seconds."""
    expires = (bucket() + 2) * BUCKET_SECONDS
    address = reverse("image-content", kwargs={"pk": image.pk})
    return request.build_absolute_uri(f"{address}?signature={_signature(image.pk, user.pk, expires)}")


def check(signature: str, image: CaseImage, user: User) -> None:
    """Make sure that the signature is this user's, for this photograph, and still valid.

    Raises:
        Problem: it is not.
    """
    expires_text = signature.partition("-")[0]
    expires = int(expires_text) if expires_text.isascii() and expires_text.isdigit() and len(expires_text) < 12 else 0
    if not constant_time_compare(signature, _signature(image.pk, user.pk, expires)):
        detail = "the link was not made for you; fetch the case for a link of your own"
        raise Problem(403, "link_invalid", detail, field="signature")
    if time.time() > expires:
        raise Problem(
            403, "link_expired", "the link has expired; fetch the case again for a new one", field="signature"
        )


def _signature(image_id: UUID, user_id: UUID, expires: int) -> str:
    mac = salted_hmac("diagnosis.api.image_links", f"{image_id}:{user_id}:{expires}", algorithm="sha256")
    return f"{expires}-{mac.hexdigest()}"
