"""Promise: the broker only rings. Without it a clinician notices nothing, and nothing is lost or answered twice."""

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
