"""insight/: how a service or a clinic is doing, as the tables of the insight page."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api.access import Access, signed_in
from diagnosis.api.pagination import refuse_unknown_parameters
from diagnosis.api.problems import Problem
from diagnosis.api.schema import problem_examples
from diagnosis.api.views import ApiView
from diagnosis.services.insight.figures import Cell, Hidden, Share, Table
from diagnosis.services.insight.report import insight
from diagnosis.services.insight.scope import Period, organisations_of
from skincare.accounts.models import Organisation, User

_PARAMETERS = ("organisation", "from", "until")


class InsightView(ApiView):
    """Aggregates of one organisation and period."""

    access: ClassVar = {"GET": Access.DERMATOLOGIST_OR_ADMINISTRATOR}

    @extend_schema(
        operation_id="insight",
        summary="Show how a service or a clinic is doing",
        description="Volumes, waiting, agreement, accuracy against histology, overrides, abstentions, drift and "
        "subgroups of the referrals sent in whole months. A proportion has its 95 % interval and what it is of; "
        "a cell that is hidden says why: `small` (of too few patients, or beside such) or `unmeasured`.",
        tags=["Referrals"],
        parameters=[
            OpenApiParameter("organisation", OpenApiTypes.UUID, description="One of yours; the first, unless told."),
            OpenApiParameter("from", OpenApiTypes.STR, description="First month, YYYY-MM; half a year, unless told."),
            OpenApiParameter("until", OpenApiTypes.STR, description="Last month, YYYY-MM; this one, unless told."),
        ],
        responses={200: OpenApiTypes.OBJECT, **problem_examples(400, 401, 403, 404, 422)},
        examples=[
            OpenApiExample(
                "Half a year",
                value={
                    "organisation": {"id": "9b8e4a0e-5b62-4f5c-b1f0-3a3f2b1f8d10", "name": "Skin Clinic at the Park"},
                    "from": "2026-06",
                    "until": "2026-11",
                    "tables": [
                        {
                            "key": "accuracy",
                            "title": "Against histology",
                            "explanation": "…",
                            "columns": [{"key": "who", "title": "Who"}, {"key": "sensitivity", "title": "Sensitivity"}],
                            "rows": [
                                {
                                    "who": "Network",
                                    "sensitivity": {"value": 0.91, "low": 0.84, "high": 0.95, "of": 120},
                                },
                                {"who": "Clinician", "sensitivity": {"hidden": "unmeasured"}},
                            ],
                            "notes": [],
                        }
                    ],
                },
                response_only=True,
                status_codes=["200"],
            )
        ],
    )
    def get(self, request: Request) -> Response:
        """Count."""
        refuse_unknown_parameters(request, set(_PARAMETERS))
        user = signed_in(request)
        organisation = _organisation(user, request.query_params.get("organisation"))
        today = datetime.now(UTC).date()
        period = Period.of(request.query_params.get("from", ""), request.query_params.get("until", ""), today)
        return Response(
            {
                "organisation": {"id": organisation.pk, "name": organisation.name},
                "from": f"{period.first:%Y-%m}",
                "until": f"{period.last:%Y-%m}",
                "tables": [_table(table) for table in insight(user=user, organisation=organisation, period=period)],
            }
        )


def _organisation(user: User, wanted: str | None) -> Organisation:
    organisations = list(organisations_of(user))
    if not wanted:
        return organisations[0]
    try:
        pk = UUID(wanted)
    except ValueError as error:
        raise Problem(400, "invalid", f"organisation={wanted!r} is not an id", field="organisation") from error
    for organisation in organisations:
        if organisation.pk == pk:
            return organisation
    raise Problem(404, "not_found", "there is no such organisation of yours", field="organisation")


def _table(table: Table) -> dict[str, Any]:
    return {
        "key": table.key,
        "title": table.title,
        "explanation": table.explanation,
        "columns": [{"key": column.key, "title": column.title} for column in table.columns],
        "rows": [{column.key: _cell(row[column.key]) for column in table.columns} for row in table.rows],
        "notes": list(table.notes),
    }


def _cell(cell: Cell) -> Any:
    match cell:
        case Share():
            return {"value": cell.value, "low": cell.low, "high": cell.high, "of": cell.of}
        case Hidden():
            return {"hidden": cell.value}
        case _:
            return cell
