"""Pages by key: each page starts behind the last row of the one before, so the millionth costs what the first does."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from django.db.models import Model, Q
from django.utils.dateparse import parse_datetime
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from diagnosis.api.problems import Problem

PAGE_SIZE: Final = 25
LARGEST_PAGE: Final = 100


class NewestFirst(BasePagination):
    """Rows by a time, the newest first, and by id where times are equal. Forward only: ``next`` is null at the end."""

    time_field: ClassVar[str] = "created_at"
    #: Whether ids fall too where times are equal; follows the table's index.
    id_falls: ClassVar[bool] = False
    id_type: ClassVar[type[UUID] | type[int]] = UUID

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """Fetch one page.

        Raises:
            Problem: the cursor or the page size is not one.
        """
        self.request = request
        size = self._page_size(request)
        rows = queryset.order_by(f"-{self.time_field}", "-id" if self.id_falls else "id")
        if cursor := request.query_params.get("cursor"):
            time, pk = self._read(cursor)
            behind = Q(**{f"{self.time_field}__lt": time}) | Q(**{"id__lt" if self.id_falls else "id__gt": pk})
            # The first condition is what the index serves, the second passes over equal times.
            rows = rows.filter(**{f"{self.time_field}__lte": time}).filter(behind)
        found = list(rows[: size + 1])
        self.last = found[size - 1] if len(found) > size else None
        return found[:size]

    def _page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size", str(PAGE_SIZE))
        if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= LARGEST_PAGE:
            detail = f"page_size must be a number from 1 to {LARGEST_PAGE}"
            raise Problem(400, "invalid", detail, field="page_size")
        return int(text)

    def _read(self, cursor: str) -> tuple[datetime, UUID | int]:
        try:
            text = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii")
            time_text, _, id_text = text.partition("|")
            time, pk = parse_datetime(time_text), self.id_type(id_text)
            if time is not None and time.tzinfo is not None:
                return time.astimezone(UTC), pk  # PostgreSQL does not know every offset
        except (ValueError, OverflowError, binascii.Error):
            pass
        raise Problem(400, "invalid_cursor", "the cursor is not one of this list; start without one", field="cursor")

    def _next_link(self) -> str | None:
        if self.last is None:
            return None
        row: Model = self.last
        key = f"{getattr(row, self.time_field).isoformat()}|{row.pk}"
        cursor = base64.urlsafe_b64encode(key.encode()).decode()
        return replace_query_param(self.request.build_absolute_uri(), "cursor", cursor)

    def get_paginated_response(self, data: Any) -> Response:
        """The page and the address of the next."""
        return Response({"next": self._next_link(), "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe it in OpenAPI."""
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": {
                    "type": "string",
                    "format": "uri",
                    "nullable": True,
                    "description": "Null on the last page.",
                    "example": None,
                },
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """Describe the two query parameters in OpenAPI."""
        return [
            {
                "name": "cursor",
                "in": "query",
                "required": False,
                "description": "From the `next` link of the page before.",
                "schema": {"type": "string"},
            },
            {
                "name": "page_size",
                "in": "query",
                "required": False,
                "description": f"Rows on a page, {PAGE_SIZE} unless told.",
                "schema": {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE_SIZE},
            },
        ]


class NewestSubmissionFirst(NewestFirst):
    """Cases, as their index has them."""

    time_field = "submitted_at"
    id_falls = True


class NewestEventFirst(NewestFirst):
    """Audit events, as their index has them."""

    time_field = "at"
    id_falls = True
    id_type = int


def refuse_unknown_parameters(request: Request, known: set[str]) -> None:
    """A mistyped filter must not silently return everything.

    Raises:
        Problem: a query parameter is not known.
    """
    for name in request.query_params:
        if name not in known:
            detail = f"unknown parameter {name!r}; known are {', '.join(sorted(known))}"
            raise Problem(400, "unknown_parameter", detail, field=name)
