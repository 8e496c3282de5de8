"""What becomes of rings that a worker took and did not acknowledge."""

from uuid import uuid4

from celery.signals import worker_shutdown

import diagnosis.worker  # noqa: F401 - it connects the signals
from skincare.celery import app


def test_a_ring_that_was_in_hand_when_the_line_ended_is_not_put_back() -> None:
    """kombu would put it back, also over a line that is broken, and the worker would die of that."""
    queue = f"rings-{uuid4()}"
    with app.connection_for_write() as line:
        taker = line.channel()
        taker.queue_declare(queue)
        app.send_task("diagnosis.read_waiting_cases", queue=queue, connection=line)
        assert taker.basic_get(queue) is not None
        taker.close()
        with line.channel() as other:
            assert other.basic_get(queue) is None


def test_a_worker_that_stops_rings_for_the_others() -> None:
    with app.connection_for_write() as line, line.channel() as channel:
        channel.queue_declare("inference")
        channel.queue_purge("inference")
        worker_shutdown.send(sender=None)
        assert channel.basic_get("inference", no_ack=True) is not None
