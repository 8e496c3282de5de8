"""Ready texts for assessments and messages: a dermatologist's own, and those that a whole service shares."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from diagnosis.models import Plan, Snippet
from diagnosis.models.service_policies import services_of_dermatologist
from diagnosis.services.assessments import LONGEST_MONTHS
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.first_reads import check_diagnosis
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record

LONGEST_TITLE: Final = 80
LONGEST_TEXT: Final = 4000
#: Of one person and of one service; more would not be found any more.
MOST: Final = 200


@dataclass(frozen=True)
class NewSnippet:
    """A ready text as it is written down. It must hold nothing of a patient."""

    title: str
    text: str
    diagnosis: str = ""
    """A code of ``classifier.diagnoses`` that it fills in, or nothing."""
    plan: Plan | str = ""
    months: int | None = None
    shared: bool = False
    """Whether the whole service has it."""


def snippets_for(user: User, service: Organisation | UUID) -> QuerySet[Snippet]:
    """What the user may insert at a service: their own, and the service's."""
    return Snippet.objects.filter(Q(owner=user) | Q(owner__isnull=True), service=service)


@transaction.atomic
def save_snippet(*, user: User, service: Organisation, new: NewSnippet, snippet_id: UUID | None = None) -> Snippet:
    """Keep a ready text, or change one.

    Args:
        service: one where ``user`` is a dermatologist (the caller has made sure).

    Raises:
        Refusal: no title or text, an unknown diagnosis or plan, months without the plan observe; no such snippet.
        Conflict: one of that title is there already, or there are too many.
    """
    _check(new)
    owner = None if new.shared else user
    title = new.title.strip()
    mine = Snippet.objects.filter(service=service, owner=owner)
    others = mine if snippet_id is None else mine.exclude(pk=snippet_id)
    if others.filter(title=title).exists():
        raise Conflict("title_taken", f"there is a text named {title!r} already; choose another name", field="title")
    if snippet_id is None:
        if mine.count() >= MOST:
            raise Conflict("too_many", f"there are {MOST} texts already; delete one first")
        snippet = Snippet(service=service)
    else:
        snippet = find_snippet(user, snippet_id)
    snippet.owner, snippet.title, snippet.text = owner, title, new.text.strip()
    snippet.diagnosis, snippet.plan, snippet.months = new.diagnosis, str(new.plan), new.months
    snippet.save()
    record("snippet.saved", snippet, actor=user, organisation_id=service.pk, details={"shared": new.shared})
    return snippet


@transaction.atomic
def delete_snippet(*, user: User, snippet_id: UUID) -> None:
    """Delete a ready text: one's own, or one of a service where one is a dermatologist.

    Raises:
        Refusal: there is no such snippet of the user's.
    """
    snippet = find_snippet(user, snippet_id)
    record(
        "snippet.deleted",
        snippet,
        actor=user,
        organisation_id=snippet.service_id,
        details={"shared": snippet.owner_id is None},
    )
    snippet.delete()


def find_snippet(user: User, snippet_id: UUID) -> Snippet:
    """A ready text that the user may change.

    Raises:
        Refusal: there is none (``not_found``).
    """
    found = Snippet.objects.filter(
        Q(owner=user) | Q(owner__isnull=True), service__in=services_of_dermatologist(user), pk=snippet_id
    ).first()
    if found is None:
        raise Refusal("not_found", "there is no such text of yours")
    return found


def _check(new: NewSnippet) -> None:
    if not 1 <= len(new.title.strip()) <= LONGEST_TITLE:
        raise Refusal("title_missing", f"a title of 1 to {LONGEST_TITLE} characters is needed", field="title")
    if not 1 <= len(new.text.strip()) <= LONGEST_TEXT:
        raise Refusal("text_missing", f"a text of 1 to {LONGEST_TEXT} characters is needed", field="text")
    if new.diagnosis:
        check_diagnosis(new.diagnosis)
    if new.plan not in ("", *Plan.values):
        raise Refusal("unknown_plan", f"{new.plan!r} is not one of {', '.join(Plan.values)}", field="plan")
    if new.months is not None and (new.plan != Plan.OBSERVE or not 1 <= new.months <= LONGEST_MONTHS):
        raise Refusal("months_needless", f"months (1 to {LONGEST_MONTHS}) belong to the plan observe", field="months")
