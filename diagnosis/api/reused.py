"""Serializers that are made once for each thread: building their fields takes longer than reading or writing a case."""

import threading
from typing import Any, Generic, TypeVar

from rest_framework import serializers

S = TypeVar("S", bound=serializers.BaseSerializer[Any])


class Reused(threading.local, Generic[S]):
    """A serializer class, with one instance in each thread. What it says must not depend on an earlier use."""

    def __init__(self, kind: type[S]) -> None:
        self._context: dict[str, Any] = {}
        self._serializer = kind(context=self._context)

    def validated(self, data: Any) -> Any:
        """What the serializer makes of data that somebody sent.

        Raises:
            ValidationError: as `is_valid(raise_exception=True)`.
        """
        return self._serializer.run_validation(data)

    def document(self, instance: Any, **context: Any) -> Any:
        """How the serializer shows `instance`, as its `data`."""
        self._context.update(context)
        try:
            return self._serializer.to_representation(instance)
        finally:
            self._context.clear()
