"""Whose business learning is."""

from diagnosis.services.errors import Refusal
from skincare.accounts.models import User


def require_steward(user: User) -> None:
    """A second lock behind the one of each view and page.

    Raises:
        Refusal: the user is no model steward.
    """
    if not user.is_model_steward:
        raise Refusal("role_missing", "this is for model stewards; you are not one")
