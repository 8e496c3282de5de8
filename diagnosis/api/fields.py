"""Building blocks of what the API reads: objects without unknown names, true booleans, times with an offset."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django_filters.fields import IsoDateTimeField
from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses names that it does not know: a mistyped ``bleding`` must not read as "does not bleed"."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate an object.

        Raises:
            ValidationError: an unknown name, or what the fields refuse.
        """
        errors: dict[str, Any] = {}
        if isinstance(data, Mapping):
            known = [name for name, field in self.fields.items() if not field.read_only]
            for name in data:
                if name not in known:
                    message = f"unknown field; known are {', '.join(known)}"
                    errors[str(name)] = [serializers.ErrorDetail(message, code="unknown_field")]
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not errors or not isinstance(error.detail, dict):
                raise
            raise serializers.ValidationError({**errors, **error.detail}) from error
        if errors:
            raise serializers.ValidationError(errors)
        return value


class Flag(serializers.BooleanField):
    """True or false; not "yes", 1 or "on"."""

    def to_internal_value(self, data: Any) -> Any:
        """Take JSON's true and false only."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Moment(serializers.DateTimeField):
    """A time in ISO 8601 with its offset. Without one, a phone's local time would be taken for UTC."""

    def enforce_timezone(self, value: datetime) -> datetime:
        """Refuse a time without an offset."""
        if value.tzinfo is None:
            raise serializers.ValidationError(
                "the offset from UTC is missing, as in 2026-11-23T09:30:00Z", code="offset_missing"
            )
        return super().enforce_timezone(value)


class _Instant(IsoDateTimeField):  # type: ignore[misc]
    """A time in ISO 8601, in UTC: PostgreSQL knows no offset as long as some that ISO 8601 allows."""

    def clean(self, value: Any) -> datetime | None:
        """The time, or nothing where none was given."""
        found: datetime | None = super().clean(value)
        try:
            return found and found.astimezone(UTC)
        except OverflowError as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]
    """Lists by a time in ISO 8601."""

    field_class = _Instant


class NewOrKnown(serializers.Field[Any, Any, Any, Any]):
    """The id of something known, or an object that describes something new."""

    default_error_messages = {"neither": "an id (UUID) or an object is needed"}

    def __init__(self, serializer: StrictSerializer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.serializer = serializer

    def to_internal_value(self, data: Any) -> UUID | dict[str, Any]:
        """Return the id, or the object as the serializer validated it."""
        if isinstance(data, Mapping):
            found: dict[str, Any] = self.serializer.run_validation(data)
            return found
        if not isinstance(data, str):
            self.fail("neither")
        known: UUID = serializers.UUIDField().run_validation(data)
        return known

    def to_representation(self, value: Any) -> Any:
        """Never shown: the field belongs to requests."""
        raise NotImplementedError


class NewOrKnownSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI document describes it."""

    target_class = NewOrKnown

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """One of the two."""
        component = auto_schema.resolve_serializer(self.target.serializer, direction)
        return {"oneOf": [{"type": "string", "format": "uuid"}, component.ref]}


class OneOf(serializers.ChoiceField):
    """A choice whose refusal names what could have been chosen."""

    def fail(self, key: str, **kwargs: Any) -> Any:
        """Name the choices."""
        if key == "invalid_choice":
            known = ", ".join(str(choice) for choice in self.choices)
            raise serializers.ValidationError(f"not one of {known}", code="invalid_choice")
        return super().fail(key, **kwargs)
