"""Organisations, the people who work in them, and how programs sign in."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "skincare.accounts"
    label = "accounts"
