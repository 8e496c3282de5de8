"""What a case costs does not creep up: ratios of things done in turns, and numbers of statements. Never a time.

The limits leave room for a machine that does much else: see docs/benchmarks.md for what is measured when it does not.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from bench import crowd, stages
from diagnosis.classifier import photograph
from diagnosis.classifier.container import inspect
from diagnosis.classifier.view import decode_view
from diagnosis.models import Analysis
from diagnosis.services import reading
from diagnosis.services.analysis_queue import claim
from diagnosis.services.files import open_sealed
from diagnosis.services.model_versions import register_shipped
from tests import factories
from tests.diagnosis.api.requests import CASES, PHOTOGRAPH, ApiClient, token_for
from tests.diagnosis.services.answers import version

pytestmark = pytest.mark.django_db

#: Pairs in which two things are timed; the median of their ratios is judged.
PAIRS = 7


@pytest.fixture(autouse=True)
def _network_in_service() -> Iterator[None]:
    register_shipped()
    reading._in_service = None
    yield
    reading._in_service = None


def seconds(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    act()
    return time.perf_counter() - begin


def processor_seconds(act: Callable[[], object]) -> float:
    """For what only reckons: nobody else's turn on the processor counts."""
    begin = time.process_time()
    act()
    return time.process_time() - begin


def ratio(one: Callable[[], float], other: Callable[[], float]) -> float:
    """How many times as long `one` takes as `other`: the median over pairs, whose order changes."""
    ratios = []
    for number in range(PAIRS):
        if number % 2:
            mine, theirs = one(), other()
        else:
            theirs, mine = other(), one()
        ratios.append(mine / theirs)
    return statistics.median(ratios)


class TestStatements:
    """Measured 2026-11-26: 23 to submit (35 before), 11 to read and answer, 6 to fetch; a test adds savepoints."""

    @pytest.fixture
    def api(self) -> ApiClient:
        client = ApiClient(token_for(factories.clinician()))
        client.submit()
        reading.read_waiting_cases()  # what is kept from the first time is there
        return client

    def test_a_case_is_submitted_in_no_more_statements(self, api: ApiClient) -> None:
        with CaptureQueriesContext(connection) as said:
            assert api.submit(images=[PHOTOGRAPH]).status_code == 201
        assert len(said) <= 26, "\n".join(query["sql"][:150] for query in said.captured_queries)

    def test_two_photographs_cost_no_more_statements_than_one(self, api: ApiClient) -> None:
        with CaptureQueriesContext(connection) as one:
            factories.submit(factories.clinician())
        images = factories.new_case().images
        with CaptureQueriesContext(connection) as two:
            factories.submit(factories.clinician(), factories.new_case(images=[*images, *images]))
        assert len(two) == len(one)

    def test_sixteen_cases_are_read_and_answered_in_as_many_statements_as_one(self, api: ApiClient) -> None:
        by = factories.clinician()
        factories.submit(by)
        with CaptureQueriesContext(connection) as one:
            assert reading.read_waiting_cases() == 1
        for _ in range(16):
            factories.submit(by)
        with CaptureQueriesContext(connection) as many:
            assert reading.read_waiting_cases() == 16
        assert len(many) == len(one) <= 18, "\n".join(query["sql"][:150] for query in many.captured_queries)

    def test_an_answer_is_fetched_in_no_more_statements(self, api: ApiClient) -> None:
        case = api.submit().json()["id"]
        reading.read_waiting_cases()
        with CaptureQueriesContext(connection) as said:
            assert api.get(f"{CASES}{case}/").json()["state"] == "answered"
        assert len(said) <= 7, "\n".join(query["sql"][:150] for query in said.captured_queries)


def test_the_worker_spends_most_of_its_time_in_the_network() -> None:
    by = factories.clinician()
    backend = reading.network_in_service().network._backend

    def worker() -> float:
        for _ in range(16):
            factories.submit(by)
        return processor_seconds(reading.read_waiting_cases)

    def bare() -> float:
        waiting = Analysis.objects.select_related("case__patient__data_key_row").order_by("-waiting_since")[:16]
        views = [
            decode_view(open_sealed(image.case.patient, image.view_file))
            for analysis in waiting
            for image in analysis.case.images.all()
        ]
        views = (views * 16)[:16]
        return processor_seconds(lambda: [backend.forward(view[np.newaxis]) for view in views])

    worker()
    # 1.4; what the database does meanwhile is held by the numbers of statements above.
    assert ratio(worker, bare) < 2.5


@cache
def large() -> bytes:
    return stages.camera_photograph(factories.PHOTOGRAPH)


def test_a_large_photograph_is_decoded_once_and_little_else_is_done_with_it() -> None:
    upload = large()
    contents = inspect(upload)
    assert contents is not None

    def decode() -> float:
        return processor_seconds(lambda: photograph._decode(upload, contents))

    # Decoding, the view, encoding again: 2.1; each further pass over twelve million pixels adds 0.3 to 1.
    assert ratio(lambda: processor_seconds(lambda: photograph.receive(upload)), decode) < 2.8


def test_claiming_costs_the_same_however_many_wait() -> None:
    service, by = factories.service(), factories.clinician()
    clinics = [factories.organisation()]
    made = crowd.Crowd(service, clinics, by, [factories.dermatologist(service)], version(), factories.policy().pk)
    crowd.fill(made, first=4, cases=10_000, open_referrals=0, answered=0)

    def claim_at(depth: int) -> float:
        """Claim at this depth, and let go again."""
        with transaction.atomic():
            crowd.let_wait(depth)
            crowd.analyse_tables()
            claim(limit=16)  # plans and pages are at hand
            taken = seconds(lambda: claim(limit=16))
            transaction.set_rollback(True)
        return taken

    # 1.0 to 1.3; reading all that waits instead of the first would be a hundred.
    assert ratio(lambda: claim_at(10_000), lambda: claim_at(100)) < 4


def test_quality_is_judged_in_a_fraction_of_what_decoding_takes() -> None:
    upload = PHOTOGRAPH
    small = photograph.receive(upload)
    view = decode_view(small.stored_view)
    contents = inspect(upload)
    assert contents is not None
    judged = ratio(
        lambda: processor_seconds(lambda: [photograph.quality.assess(view, 600, 450) for _ in range(5)]),
        lambda: processor_seconds(lambda: [photograph._decode(upload, contents) for _ in range(5)]),
    )
    # 1.0 (3.3 before the channels were compared one by one).
    assert judged < 2.5
