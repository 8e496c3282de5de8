"""Organisations, the people who work in them, and how programs sign in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "skincare.accounts"
    label = "accounts"

    def ready(self) -> None:
        """Begin to listen."""
        from skincare.accounts import events  # noqa: F401 (its receivers need the models)
