"""The learning app: from labelled images to a version in service."""

from django.apps import AppConfig


class TrainingConfig(AppConfig):
    name = "training"
