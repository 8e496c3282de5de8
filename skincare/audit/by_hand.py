"""What operators do in the Django admin, in the record: whoever changes roles or texts there is named like others."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from skincare.accounts.models import User
from skincare.audit.record import record

if TYPE_CHECKING:
    _Base = admin.ModelAdmin
else:
    _Base = object


class Recorded(_Base):  # type: ignore[type-arg]
    """Records each addition, change and deletion beside Django's own log, which operators could delete from.

    Names of fields only: what was written may be an address or a text.
    """

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record that something was added."""
        self._record("admin.added", request, [obj], message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Record that something was changed, and which of its fields."""
        self._record("admin.changed", request, [obj], message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Record what is deleted."""
        self._record("admin.deleted", request, queryset, ())
        return super().log_deletions(request, queryset)

    def _record(self, action: str, request: HttpRequest, subjects: Any, message: Any) -> None:
        assert isinstance(request.user, User)
        fields: list[str] = []
        for part in message if isinstance(message, list) else ():
            for kind, what in part.items():
                fields += [str(field) for field in what.get("fields", ())]
                if "name" in what:
                    fields.append(f"{what['name']} {kind}")
        details = {"fields": sorted(set(fields))} if fields else {}
        with transaction.atomic():
            for subject in subjects:
                assert isinstance(subject, Model)
                record(action, subject, actor=request.user, details=details)
