"""Attacks a world as each of its people: lists, counts, filters, searches, opens, writes and compares what is answered.

What is asked follows the permission matrix, so that a new address is attacked as soon as it has its row there.
"""

from typing import Final

from django.apps import apps

from diagnosis.models import Case, Referral
from tests.isolation.attacker import Leak
from tests.isolation.lists import AsksLists
from tests.isolation.objects import OpensObjects
from tests.isolation.world import World


class Prober(AsksLists, OpensObjects):
    """One person's attack."""

    def everything(self) -> None:
        """Attack in every way."""
        before = state_of_the_world()
        self.lists()
        self.everywhere()
        self.look_ups()
        self.objects()
        self.bodies()
        if changed := set(state_of_the_world()) - set(before):
            raise Leak(f"{self.user} changed something that is not theirs: {changed}")


#: What asking alone writes: who asked for what and was shown what, that tokens and sessions were used, and counts.
_WRITTEN_BY_ASKING: Final = {
    "audit.AuditEvent",
    "diagnosis.AnswerShown",
    "diagnosis.FiguresWaiting",
    "diagnosis.MessagesSeen",
    "diagnosis.ReferralFigures",
    "accounts.ApiToken",
    "accounts.BrowserSession",
    "sessions.Session",
}


def state_of_the_world() -> list[str]:
    """How many rows every table has, and the state of whatever has one."""
    counts = [
        f"{model._meta.label}: {model._default_manager.count()}"
        for model in apps.get_models()
        if model._meta.label not in _WRITTEN_BY_ASKING
    ]
    states = [
        *Referral.objects.order_by("pk").values_list("pk", "state", "revision", "claimed_by"),
        *Case.objects.order_by("pk").values_list("pk", "analysis__state", "analysis__attempts"),
    ]
    return [*counts, *map(str, states)]


def probe(world: World) -> int:
    """Attack as everybody.

    Returns:
        How many people attacked.

    Raises:
        Leak: somebody learnt or changed something.
    """
    for user, places in world.people:
        Prober(world, user, places).everything()
    return len(world.people)
