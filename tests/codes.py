"""A person's authenticator app, as tests hold it: RFC 6238 from the secret alone, apart from what is tested."""

import base64
import hashlib
import hmac
import struct
import time

from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP
from django.test import Client

from skincare.accounts.models import User
from tests import factories


def code_of(secret: str, *, ahead: int = 0) -> str:
    """The six digits for now, or so many periods of thirty seconds ahead."""
    counter = struct.pack(">Q", int(time.time()) // 30 + ahead)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at : at + 4])[0] & 0x7FFFFFFF) % 10**6:06}"


def give_app(user: User) -> str:
    """Set up an authenticator app for the user. Returns its secret."""
    secret = base64.b32encode(hashlib.sha1(user.pk.bytes).digest()).decode()
    TOTP.activate(user, secret)
    return secret


def give_recovery_codes(user: User) -> list[str]:
    """Make recovery codes for the user."""
    codes: list[str] = RecoveryCodes.activate(user).generate_codes()
    return codes


def sign_in(user: User, secret: str = "", *, ahead: int = 0) -> Client:
    """A browser in which the user signed in, with a code where there is a secret."""
    browser = Client(headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"})
    browser.post("/sign-in/", {"username": user.email, "password": factories.PASSWORD})
    if secret:
        answer = browser.post("/sign-in/code/", {"code": code_of(secret, ahead=ahead)})
        assert answer.status_code == 302, answer.content
    return browser


def factors_of(user: User) -> list[str]:
    """Types of the user's second factors."""
    return list(Authenticator.objects.filter(user=user).order_by("type").values_list("type", flat=True))
