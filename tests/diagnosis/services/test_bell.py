"""Rings for the inference workers: one lies there at a time, and one is there after whatever was submitted last."""

import redis

from diagnosis.services import bell
from diagnosis.services.bell import READ_WAITING_CASES, ring_for_inference


def test_while_a_ring_waits_for_a_worker_no_other_joins_it(broker: redis.Redis) -> None:
    assert [ring_for_inference() for _ in range(5)] == [True] * 5
    assert broker.llen("inference") == 1


def test_after_a_worker_has_taken_it_the_next_ring_is_sent(broker: redis.Redis) -> None:
    for _ in range(3):
        assert ring_for_inference()
        assert broker.lpop("inference") is not None
        assert broker.llen("inference") == 0


def test_a_ring_that_somebody_must_hear_each_time_is_sent_each_time(broker: redis.Redis) -> None:
    assert [bell.ring(READ_WAITING_CASES, queue="default") for _ in range(3)] == [True] * 3
    assert broker.llen("default") == 3


def test_a_broker_that_was_emptied_is_rung_again(broker: redis.Redis) -> None:
    assert ring_for_inference()
    broker.flushdb()
    assert ring_for_inference()
    assert broker.llen("inference") == 1
