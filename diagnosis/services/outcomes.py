"""Recording what a lesion turned out to be, by hand or from a file that is first tried without changing anything."""

import csv
from dataclasses import dataclass
from datetime import date
from typing import Final, TextIO
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from diagnosis.models import Assessment, Lesion, Outcome, OutcomeKind, OutcomeSource, Patient, Plan, Referral
from diagnosis.models.diagnosis_names import name_of
from diagnosis.models.sealed import PatientErased
from diagnosis.services.consents import lock_patient
from diagnosis.services.errors import Conflict, Refusal
from diagnosis.services.first_reads import check_diagnosis
from diagnosis.services.referrals import check_text
from skincare.accounts.models import Organisation, User
from skincare.audit.record import record, record_reads

COLUMNS: Final = ("lesion", "kind", "diagnosis", "determined_on", "note")
#: More lines than any laboratory sends at once.
MOST_LINES: Final = 20_000
MOST_BYTES: Final = 8 * 2**20
#: Rows of the list of what is awaited.
MOST_AWAITED: Final = 200
#: Plans that end in histology: a clinical follow-up does not tell what tissue would. Where there will be none, as when
#: the patient declined, the dermatologist amends the plan.
UNTIL_HISTOLOGY: Final = frozenset({Plan.BIOPSY, Plan.EXCISE, Plan.URGENT})


@dataclass(frozen=True)
class NewOutcome:
    """One finding about one lesion."""

    lesion: UUID
    kind: OutcomeKind | str
    diagnosis: str
    """A code of ``classifier.diagnoses``."""
    determined_on: date
    note: str = ""
    corrects: UUID | None = None
    """The outcome that it replaces, if one was wrong."""


def current_outcome(lesion: Lesion | UUID) -> Outcome | None:
    """What counts: of those that nobody corrected, histology before follow-up, and the latest."""
    standing = Outcome.objects.filter(lesion=lesion, corrected_by__isnull=True)
    return max(
        standing,
        key=lambda each: (each.kind == OutcomeKind.HISTOLOGY, each.determined_on, each.recorded_at),
        default=None,
    )


def is_known(referral: Referral, plan: Plan | str) -> bool:
    """Whether what a referral's plan leads to is there: an outcome of its lesion from the day of the referral on, which
    nobody corrected, and histology where the plan asks for it. What was known before is not what is awaited.
    """
    found = Outcome.objects.filter(
        lesion=referral.case.lesion_id, corrected_by__isnull=True, determined_on__gte=referral.sent_at.date()
    )
    if plan in UNTIL_HISTOLOGY:
        found = found.filter(kind=OutcomeKind.HISTOLOGY)
    return found.exists()


def awaited(user: User) -> list[Referral]:
    """Answered referrals of the user's clinics whose outcome is awaited, the earliest due first."""
    rows = Referral.objects.for_clinician(user).filter(outcome_due_at__isnull=False).with_everything()
    return list(rows.order_by("outcome_due_at", "pk")[:MOST_AWAITED])


def is_overdue(referral: Referral) -> bool:
    """Whether the outcome should be there by now."""
    return referral.outcome_due_at is not None and referral.outcome_due_at <= timezone.now()


@transaction.atomic
def record_outcome(*, user: User, new: NewOutcome, source: OutcomeSource = OutcomeSource.PERSON) -> Outcome:
    """Record what a lesion turned out to be; what awaited it (see ``is_known``) is reminded no more. Sent twice it is
    recorded once.

    Args:
        user: a clinician of the lesion's clinic.

    Raises:
        Refusal: no such lesion of the user's, an unknown diagnosis or kind, a day in the future.
        Conflict: the outcome to be corrected is not of this lesion, or was corrected already.
        PatientErased: there is nothing to add to.
    """
    lesion = Lesion.objects.for_user(user).filter(pk=new.lesion).first()
    if lesion is None:
        raise Refusal("not_found", "there is no such lesion, or you may not see it", field="lesion")
    return _record(user, lesion, new, source)


def _record(user: User | None, lesion: Lesion, new: NewOutcome, source: OutcomeSource) -> Outcome:
    patient = lock_patient(lesion.patient_id)
    if patient.erased:
        raise PatientErased(f"patient {patient.pk} was erased")
    lesion.patient = patient
    check_outcome(new)
    same = twin(new)
    if same is not None:
        return same
    if new.corrects is not None:
        wrong = Outcome.objects.filter(pk=new.corrects, lesion=lesion, corrected_by__isnull=True).first()
        if wrong is None:
            raise Conflict(
                "not_to_be_corrected",
                f"{new.corrects} is no outcome of this lesion, or was corrected already",
                field="corrects",
            )
    outcome = Outcome(
        lesion=lesion,
        kind=new.kind,
        diagnosis=new.diagnosis,
        determined_on=new.determined_on,
        recorded_at=timezone.now(),
        recorded_by=user,
        source=source,
        corrects_id=new.corrects,
    )
    outcome.note = new.note.strip()
    outcome.save(force_insert=True)
    _end_waiting(lesion)
    record(
        "outcome.recorded",
        outcome,
        actor=user,
        patient_id=patient.pk,
        organisation_id=patient.organisation_id,
        details={"kind": str(new.kind), "source": str(source), "corrects": str(new.corrects or "")},
    )
    return outcome


def _end_waiting(lesion: Lesion) -> None:
    waiting = Assessment.objects.filter(
        referral__case__lesion=lesion, referral__outcome_due_at__isnull=False, amended_by__isnull=True
    )
    for signed in waiting.select_related("referral__case"):
        if is_known(signed.referral, signed.plan):
            Referral.objects.filter(pk=signed.referral_id).update(outcome_due_at=None)


def check_outcome(new: NewOutcome) -> None:
    """Make sure that an outcome is possible.

    Raises:
        Refusal: it is not.
    """
    check_diagnosis(new.diagnosis)
    check_text(new.note, "note")
    if new.kind not in OutcomeKind.values:
        raise Refusal("unknown_kind", f"{new.kind!r} is not one of {', '.join(OutcomeKind.values)}", field="kind")
    if new.determined_on > timezone.now().date():
        raise Refusal("in_the_future", f"determined_on {new.determined_on} lies in the future", field="determined_on")


def twin(new: NewOutcome) -> Outcome | None:
    """The same finding, recorded before."""
    return Outcome.objects.filter(
        lesion=new.lesion,
        kind=new.kind,
        diagnosis=new.diagnosis,
        determined_on=new.determined_on,
        corrects=new.corrects,
    ).first()


@dataclass(frozen=True)
class Line:
    """What one line of a file does."""

    number: int
    """In the file, from 2: the first has the columns' names."""
    does: str
    """``recorded``, ``known`` (there already), ``refused``, or ``would be recorded``."""
    detail: str = ""
    refusal: Refusal | None = None
    """Why it is refused; `detail` says the same."""


@dataclass(frozen=True)
class Imported:
    """What a file does, line by line."""

    lines: list[Line]
    dry_run: bool

    def number(self, does: str) -> int:
        """How many lines do this."""
        return sum(line.does == does for line in self.lines)


def import_outcomes(*, file: TextIO, organisation: Organisation, user: User | None, dry_run: bool) -> Imported:
    """Record outcomes of an organisation's lesions from a CSV file, all lines or none.

    Columns: ``lesion`` (its id), ``kind`` (histology, follow_up), ``diagnosis`` (a code), ``determined_on``
    (YYYY-MM-DD), and ``note``, which may be left out.

    Args:
        user: a clinician of the organisation (the caller has made sure); empty for the command line.
        dry_run: say what it would do, and change nothing.

    Raises:
        Refusal: it is not such a file. A line that is refused refuses the whole, but is told with all others.
    """
    try:
        rows = _rows(file)
    except (csv.Error, UnicodeDecodeError) as error:
        raise Refusal("not_csv", f"the file cannot be read as CSV in UTF-8: {error}", field="file") from error
    lines: list[Line] = []
    told: set[UUID] = set()
    with transaction.atomic():
        for number, row in rows:
            try:
                with transaction.atomic():
                    lines.append(_line(number, row, organisation, user, dry_run, told))
            except PatientErased as erased:
                lines.append(_refused(number, Refusal("patient_erased", str(erased))))
            except Refusal as refusal:
                lines.append(_refused(number, refusal))
        if dry_run or any(line.does == "refused" for line in lines):
            transaction.set_rollback(True)
    if user is not None:  # also where nothing was recorded: the lines tell what was known of each lesion
        record_reads(user, [(organisation.pk, patient) for patient in sorted(told)])
    if not dry_run and any(line.does == "refused" for line in lines):
        lines = [
            Line(line.number, "would be recorded", line.detail) if line.does == "recorded" else line for line in lines
        ]
    return Imported(lines, dry_run)


def _refused(number: int, refusal: Refusal) -> Line:
    return Line(number, "refused", refusal.detail, refusal)


def _rows(file: TextIO) -> list[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(file)
    names = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in COLUMNS[:4] if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown:
        detail = f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        raise Refusal("columns", f"the columns are {', '.join(COLUMNS)} ({detail})", field="file")
    rows = []
    for number, row in enumerate(reader, start=2):
        if number > MOST_LINES:
            raise Refusal("too_long", f"more than {MOST_LINES} lines; send the file in parts", field="file")
        if None in row:
            raise Refusal("columns", f"line {number} has more fields than the first line names", field="file")
        rows.append((number, {str(name).strip(): (value or "").strip() for name, value in row.items()}))
    return rows


def _line(
    number: int, row: dict[str, str], organisation: Organisation, user: User | None, dry_run: bool, told: set[UUID]
) -> Line:
    """What a line does; the patient of whose lesion it tells something is added to `told`."""
    try:
        new = NewOutcome(
            lesion=UUID(row["lesion"]),
            kind=row["kind"],
            diagnosis=row["diagnosis"],
            determined_on=date.fromisoformat(row["determined_on"]),
            note=row.get("note", ""),
        )
    except ValueError as error:
        raise Refusal("malformed", f"lesion must be an id and determined_on a day (YYYY-MM-DD): {error}") from error
    patients = Patient.objects.filter(organisation=organisation)
    lesion = Lesion.objects.filter(pk=new.lesion, patient__in=patients).first()
    if lesion is None:
        raise Refusal("no_such_lesion", f"there is no lesion {new.lesion} at {organisation.name}", field="lesion")
    check_outcome(new)
    told.add(lesion.patient_id)
    words = gettext("%(lesion)s: %(kind)s, %(diagnosis)s, %(day)s") % {
        "lesion": new.lesion,
        "kind": OutcomeKind(new.kind).label,
        "diagnosis": name_of(new.diagnosis),
        "day": new.determined_on,
    }
    if twin(new) is not None:
        return Line(number, "known", words)
    before = current_outcome(lesion)
    _record(user, lesion, new, OutcomeSource.IMPORT)
    was = gettext(" (until now: %(diagnosis)s)") % {"diagnosis": name_of(before.diagnosis)} if before else ""
    detail = f"{words}{was}"
    return Line(number, "would be recorded" if dry_run else "recorded", detail)
