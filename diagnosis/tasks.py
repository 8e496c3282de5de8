"""Celery entry points: each calls a service and does nothing else. Their names are what ``services.bell`` rings."""

from celery import shared_task

from diagnosis import readiness, worker
from diagnosis.services import (
    analysis_queue,
    bell,
    consents,
    decisions,
    demo_history,
    erasure,
    notifications,
    reading,
    reference_sets,
    referral_clock,
    retention,
    shadow,
    webhooks,
)
from diagnosis.services.insight import upkeep
from skincare.health.checks import NotReady


@shared_task(name=bell.READ_WAITING_CASES, ignore_result=True)
def read_waiting_cases() -> None:
    """Read what waits; the message carries nothing, so it may come late, twice or never."""
    reading.read_waiting_cases()
    worker.tell_what_is_loaded()


@shared_task(name="diagnosis.finish_erasures", ignore_result=True)
def finish_erasures() -> None:
    """Delete files of erased patients that the store did not delete when they were erased."""
    erasure.remove_files_of_the_erased()


@shared_task(name="diagnosis.enforce_retention", ignore_result=True)
def enforce_retention() -> None:
    """Erase patients whose retention period has passed, as many as fit into a turn."""
    retention.enforce()


@shared_task(name="diagnosis.read_in_shadow", ignore_result=True)
def read_in_shadow() -> None:
    """Let the challenger in shadow read what the champion has answered, as far as it fits into a turn."""
    shadow.read_in_shadow()


@shared_task(name="diagnosis.record_expiries", ignore_result=True)
def record_expiries() -> None:
    """Write down which consents have ended by the clock; none of them allowed anything since."""
    consents.record_expiries()


@shared_task(name="diagnosis.sweep_analyses", ignore_result=True)
def sweep_analyses() -> None:
    """Return what dead workers held and ring for what nobody heard of, or for a version that nobody has loaded."""
    analysis_queue.sweep()
    try:
        readiness.model()
    except NotReady:
        bell.ring_for_inference()


@shared_task(name="diagnosis.referral_clock", ignore_result=True)
def tick_referrals() -> None:
    """Remind, escalate and expire referrals whose time has come."""
    referral_clock.tick()


@shared_task(name="diagnosis.remind_of_observations", ignore_result=True)
def remind_of_observations() -> None:
    """Tell clinicians which lesions are to be looked at again."""
    decisions.remind_due()


@shared_task(name="diagnosis.send_notifications", ignore_result=True)
def send_notifications() -> None:
    """Mail what people were not told yet."""
    notifications.send_due()


@shared_task(name="diagnosis.deliver_webhooks", ignore_result=True)
def deliver_webhooks() -> None:
    """Deliver to integrators what waits."""
    webhooks.deliver_due()


@shared_task(name="diagnosis.see_reference_sets", ignore_result=True)
def see_reference_sets() -> None:
    """Let a version that has just been released see the public reference sets."""
    reference_sets.see_reference_sets()


@shared_task(name="diagnosis.count_figures", ignore_result=True)
def count_figures() -> None:
    """Count anew for the insight page what has changed, so that whoever opens it need not wait for that."""
    upkeep.catch_up()


@shared_task(name=demo_history.TASK, ignore_result=True)
def fill_demo() -> None:
    """Give the demonstration a past; rung by its command, and by itself as long as something is missing."""
    demo_history.fill_demo()
