"""Cases whose patients' consents are in force now, found in one query; see ``consents.consent_in_force``."""

from django.db.models import Case as Choice
from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Now

from diagnosis.models import Case, ConsentChange, ConsentEvent, ConsentScope


def with_consent(cases: QuerySet[Case], *scopes: ConsentScope) -> QuerySet[Case]:
    """Those of the cases whose patients, not erased, have granted every scope, withdrawn none since, and to no end yet.

    Whoever acts on one of them locks the patient and asks ``consent_in_force`` again: this may be a moment old.
    """
    cases = cases.filter(patient__data_key_row__isnull=False)
    for scope in scopes:
        last = (
            ConsentEvent.objects.filter(patient=OuterRef("patient"), scope=scope)
            .exclude(change=ConsentChange.EXPIRED)
            .annotate(
                precedence=Choice(
                    When(change=ConsentChange.WITHDRAWN, then=Value(1)), default=Value(0), output_field=IntegerField()
                )
            )
            .order_by("-effective_at", "-precedence", "-recorded_at")
        )
        allows = ConsentEvent.objects.filter(change=ConsentChange.GRANTED).filter(
            Q(expires_at=None) | Q(expires_at__gt=Now())
        )
        cases = cases.alias(**{f"last_{scope}": Subquery(last.values("pk")[:1])}).filter(
            Exists(allows.filter(pk=OuterRef(f"last_{scope}")))
        )
    return cases
