"""The ledger of what a restored backup must not undo: erasures, withdrawals of consent, rights that were taken away.

A file of ids, codes and times. One lies in every backup, and it is written by itself more often; a restore replays it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from diagnosis.models import ConsentChange, ConsentEvent, Erasure
from diagnosis.services import consents, erasure
from skincare.accounts.models import POWERS, Membership, User
from skincare.audit.record import record

#: Of the backup, too, that a ledger lies in.
FORMAT: Final = "skincare-backup/1"
_OF_ERASURES: Final = ("patient_id", "organisation_id", "erased_at", "erased_by", "reason")
_OF_WITHDRAWALS: Final = (
    "id", "patient_id", "policy_id", "scope", "captured_at", "recorded_at", "recorded_by_id", "method", "language",
)  # fmt: skip
_OF_MEMBERSHIPS: Final = ("user_id", "organisation_id", "role")

Row = TypeVar("Row", bound=Model)


class LedgerRefused(Exception):
    """A file is no ledger; the text says which, and why."""


@dataclass(frozen=True)
class Rights:
    """Who might what at one moment. Whoever is not named had no rights then."""

    at: datetime
    powers: Mapping[UUID, frozenset[str]]
    #: User, organisation and role.
    memberships: frozenset[tuple[UUID, UUID, str]]


@dataclass(frozen=True)
class Ledger:
    """What one file tells."""

    erasures: list[Erasure]
    #: Without their evidence, which is sealed.
    withdrawals: list[ConsentEvent]
    #: Nothing in a backup that was made before ledgers told it.
    rights: Rights | None


@dataclass(frozen=True)
class Replayed:
    """How much of what was over a backup had brought back."""

    erased: int
    withdrawn: int
    #: Powers and memberships.
    rights: int


def write_ledger(path: Path) -> tuple[int, int]:
    """Write the ledger of this moment; returns how many erasures and withdrawals it tells."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "written_at": timezone.now(),
        "erasures": list(Erasure.objects.values(*_OF_ERASURES)),
        "withdrawals": list(ConsentEvent.objects.filter(change=ConsentChange.WITHDRAWN).values(*_OF_WITHDRAWALS)),
        "people": list(User.objects.values("id", *POWERS)),
        "memberships": list(Membership.objects.values(*_OF_MEMBERSHIPS)),
    }
    path.write_text(json.dumps(content, indent=1, default=str) + "\n")
    return len(content["erasures"]), len(content["withdrawals"])


def read_ledger(path: Path) -> Ledger:
    """Read what ``write_ledger`` wrote.

    Raises:
        LedgerRefused: it is not such a file.
    """
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ValueError(content["format"])
        erasures = [_read(Erasure, _OF_ERASURES, row) for row in content["erasures"]]
        withdrawals = [_read(ConsentEvent, _OF_WITHDRAWALS, row) for row in content.get("withdrawals", ())]
        return Ledger(erasures, withdrawals, _rights(content) if "people" in content else None)
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise LedgerRefused(f"{path} is no ledger of erasures ({type(error).__name__}: {error})") from error


def _read(model: type[Row], names: Iterable[str], row: Mapping[str, Any]) -> Row:
    columns = {field.attname: field for field in model._meta.concrete_fields}
    return model(**{name: columns[name].to_python(row[name]) for name in names})


def _rights(content: Mapping[str, Any]) -> Rights:
    return Rights(
        datetime.fromisoformat(content["written_at"]),
        {UUID(row["id"]): frozenset(power for power in POWERS if row[power]) for row in content["people"]},
        frozenset((UUID(row["user_id"]), UUID(row["organisation_id"]), row["role"]) for row in content["memberships"]),
    )


@transaction.atomic
def replay(ledgers: Iterable[Ledger]) -> Replayed:
    """Let be over again what a restored backup brought back.

    Erasures and withdrawals are those of all ledgers. Who may what is told by the newest: one that is older than the
    backup would take away what was given in between, and the backup's own never is.
    """
    ledgers = list(ledgers)
    erased = erasure.replay(tombstone for each in ledgers for tombstone in each.erasures)
    withdrawn = consents.replay(event for each in ledgers for event in each.withdrawals)
    rights = max((each.rights for each in ledgers if each.rights), key=lambda told: told.at, default=None)
    return Replayed(erased, withdrawn, _take_away(rights) if rights else 0)


def _take_away(rights: Rights) -> int:
    """Take powers and memberships from whoever had them no more; returns how many of them."""
    taken = 0
    for user in User.objects.all():
        lost = [power for power in POWERS if getattr(user, power) and power not in rights.powers.get(user.pk, ())]
        if lost:
            for power in lost:
                setattr(user, power, False)
            user.save(update_fields=lost)
            record("user.powers_changed", user, actor=None, details={**dict.fromkeys(lost, False), "replayed": True})
            taken += len(lost)
    for membership in Membership.objects.all():
        if (membership.user_id, membership.organisation_id, membership.role) not in rights.memberships:
            record(
                "membership.ended",
                membership,
                actor=None,
                organisation_id=membership.organisation_id,
                details={"user": str(membership.user_id), "role": membership.role, "replayed": True},
            )
            membership.delete()
            taken += 1
    return taken
