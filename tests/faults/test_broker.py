"""Promise: the broker only rings. Without it a clinician notices nothing, and nothing is lost or answered twice."""

import signal

import pytest

from tests.faults.platform import Platform, eventually

pytestmark = pytest.mark.faults


def test_with_the_broker_down_cases_are_accepted_and_answered_when_it_is_back(platform: Platform) -> None:
    platform.valkey.kill()
    ids = platform.submit(5)
    assert platform.in_state("waiting") == 5
    platform.valkey.start()
    platform.assert_answered_once(ids)
    eventually("ready again", platform.ready)


def test_a_broker_emptied_while_messages_wait_in_it_loses_nothing(platform: Platform) -> None:
    platform.freeze_workers()
    ids = platform.submit(10)
    platform.broker().flushall()
    platform.thaw_workers()
    platform.assert_answered_once(ids)


def test_messages_delivered_ten_times_answer_nothing_twice(platform: Platform) -> None:
    platform.freeze_workers()
    ids = platform.submit(5)
    with platform.broker() as broker:
        for message in broker.lrange("inference", 0, -1):
            broker.rpush("inference", *[message] * 10)
    platform.thaw_workers()
    platform.assert_answered_once(ids)


def test_a_broker_that_hangs_holds_no_clinician_up_and_nothing_is_lost(platform: Platform) -> None:
    """Frozen, it takes connections and answers nothing: worse than one that is gone."""
    valkey = platform.valkey.process
    assert valkey is not None
    valkey.send_signal(signal.SIGSTOP)
    try:
        ids = platform.submit(5)
    finally:
        valkey.send_signal(signal.SIGCONT)
    platform.assert_answered_once(ids)
    eventually("ready again", platform.ready)


def test_messages_out_of_order_answer_everything_once(platform: Platform) -> None:
    platform.freeze_workers()
    ids = platform.submit(8)
    with platform.broker() as broker:
        messages = broker.lrange("inference", 0, -1)
        broker.delete("inference")
        for message in messages:
            broker.rpush("inference", message)
            broker.lpush("inference", message)
    platform.thaw_workers()
    platform.assert_answered_once(ids)


def test_a_broker_that_dies_while_rings_are_in_hand_takes_no_worker_with_it(platform: Platform) -> None:
    """Three times, and each time the workers have rung for cases that they have not acknowledged."""
    ids = []
    for _ in range(3):
        platform.freeze_workers()
        ids += platform.submit(4)
        with platform.broker() as broker:
            eventually("rings are in hand", lambda broker=broker: broker.hlen("unacked") > 0)
        platform.valkey.kill()
        platform.valkey.start()
        platform.thaw_workers()
        platform.assert_answered_once(ids)
    assert {name: process.poll() for name, process in platform.processes.items()} == dict.fromkeys(platform.processes)
    eventually("ready again", platform.ready)
