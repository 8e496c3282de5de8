"""All tables of the insight page for one organisation and period, and the record that somebody saw them."""

from dataclasses import replace

from django.core.cache import caches
from django.db import transaction
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from diagnosis.services.insight import drift, sections, subgroups
from diagnosis.services.insight.figures import Table
from diagnosis.services.insight.reads import Reads
from diagnosis.services.insight.scope import Period
from diagnosis.services.insight.upkeep import MOST_WHILE_READING, catch_up
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record

#: For how long the figures of a period are not counted anew: they are of months, and there may be many rows.
KEPT_SECONDS = 60


def insight(*, user: User, organisation: Organisation, period: Period) -> list[Table]:
    """The tables, in the order of the page. That the user saw them is recorded.

    Args:
        organisation: one of ``scope.organisations_of(user)``; the caller has made sure.
    """
    with transaction.atomic():
        record(
            "insight.seen",
            organisation,
            actor=user,
            organisation_id=organisation.pk,
            details={"from": f"{period.first:%Y-%m}", "until": f"{period.last:%Y-%m}"},
        )
    key = f"insight:{organisation.pk}:{period.first}:{period.until}:{get_language()}"
    figures = caches["figures"]
    kept: list[Table] | None = figures.get(key)
    if kept is None:
        whole = catch_up(MOST_WHILE_READING)
        kept = _tables(organisation, period)
        if not whole:
            behind = _("Some changes of the last minutes are still being counted; look again in a minute.")
            return [replace(table, notes=(*table.notes, behind)) for table in kept]
        figures.set(key, kept, KEPT_SECONDS)
    return kept


def _tables(organisation: Organisation, period: Period) -> list[Table]:
    reads = Reads(organisation, period)
    facts, network = reads.facts(), reads.network()
    return [
        sections.volumes(reads),
        sections.waiting(reads),
        sections.agreements(facts["calls"], facts["classes"]),
        sections.accuracy(facts["calls"]),
        sections.overrides(facts["calls"]),
        drift.abstentions(network),
        drift.drift(organisation, period, network),
        subgroups.subgroups(facts),
    ]
