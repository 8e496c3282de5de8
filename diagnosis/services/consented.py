"""Cases whose patients' consents are in force now, found in one query; see ``consents.consent_in_force``."""

from django.db.models import Case as Choice
from django.db.models import IntegerField, OuterRef, QuerySet, Subquery, Value, When

from diagnosis.models import Case, ConsentChange, ConsentEvent, ConsentScope


def with_consent(cases: QuerySet[Case], *scopes: ConsentScope) -> QuerySet[Case]:
    """Those of the cases whose patients, not erased, have granted every scope and withdrawn none since.

    Whoever acts on one of them locks the patient and asks ``consent_in_force`` again: this may be a moment old.
    """
    cases = cases.filter(patient__data_key_row__isnull=False)
    for scope in scopes:
        last = (
            ConsentEvent.objects.filter(patient=OuterRef("patient"), scope=scope)
            .annotate(
                precedence=Choice(
                    When(change=ConsentChange.WITHDRAWN, then=Value(1)), default=Value(0), output_field=IntegerField()
                )
            )
            .order_by("-effective_at", "-precedence", "-recorded_at")
        )
        cases = cases.alias(**{f"last_{scope}": Subquery(last.values("change")[:1])}).filter(
            **{f"last_{scope}": ConsentChange.GRANTED}
        )
    return cases
