"""Promise: a file store that is full, gone, slow or half-answering costs time, never a photograph and never a case."""

import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import boto3
import psutil
import pytest
import requests
from moto.server import ThreadedMotoServer

from tests.faults.faulty_line import FaultyLine
from tests.faults.platform import Platform, eventually
from tests.faults.test_web import everything, prepared, send

pytestmark = pytest.mark.faults
BUCKET = "skincare-photographs"


def stored_files(platform: Platform) -> int:
    return sum(path.is_file() for path in (platform.var / "media").rglob("*"))


def test_a_disk_that_is_full_while_a_photograph_is_stored_leaves_nothing_behind(platform: Platform) -> None:
    """The processes may write no file longer than 20 KB, which a full disk looks like from inside (EFBIG)."""
    key, before, files = str(uuid4()), everything(platform), stored_files(platform)
    request = prepared(platform, key)
    workers = platform.children("web")
    usual = [worker.rlimit(psutil.RLIMIT_FSIZE) for worker in workers]
    os.truncate(platform.var / "web.log", 0)  # written to meanwhile, and long by now: it must stay under the limit
    for worker in workers:
        worker.rlimit(psutil.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        with requests.Session() as session:
            answer = session.send(request, timeout=30)
    finally:
        for worker, limit in zip(workers, usual, strict=True):
            worker.rlimit(psutil.RLIMIT_FSIZE, limit)

    assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    assert everything(platform) == before
    assert stored_files(platform) == files
    assert send(request) == 201
    platform.assert_answered_once([key])


@pytest.fixture(scope="module")
def with_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, FaultyLine]]:
    """A platform whose photographs lie in an S3 (moto's) at the other end of a line that can be disturbed."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    line = FaultyLine(host, port)
    os.environ.pop("AWS_PROFILE", None)
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-central-1"}
    boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys).create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    platform = Platform(
        tmp_path_factory.mktemp("s3"),
        AWS_STORAGE_BUCKET_NAME=BUCKET,
        AWS_S3_ENDPOINT_URL=line.url,
        AWS_S3_REGION_NAME="eu-central-1",
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        # As in earnest: a lease outlives the store's time-outs, so that a hanging store is not taken for a lost worker.
        SKINCARE_LEASE_SECONDS="30",
    )
    try:
        platform.start()
        yield platform, line
    finally:
        platform.stop()
        line.close()
        server.stop()


def test_photographs_lie_sealed_in_s3_and_cases_are_answered_from_there(with_s3: tuple[Platform, FaultyLine]) -> None:
    platform, line = with_s3
    (case,) = platform.submit(1)
    platform.assert_answered_once([case])
    name = platform.ask("SELECT photograph_file FROM diagnosis_caseimage WHERE case_id = %s::uuid", case)
    client = boto3.client(
        "s3", endpoint_url=line.url, aws_access_key_id="testing", aws_secret_access_key="testing",
        region_name="eu-central-1",
    )  # fmt: skip
    sealed = client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
    assert len(sealed) > 1000
    assert b"JFIF\0\x01\x01" not in sealed
    assert not (platform.var / "media").exists() or not any(Path(platform.var / "media").rglob("*.jpg"))


@pytest.mark.timeout(420)
@pytest.mark.parametrize("fault", ["refuses", "hangs", "breaks off"])
def test_an_s3_that_fails_loses_nothing(with_s3: tuple[Platform, FaultyLine], fault: str) -> None:
    platform, line = with_s3
    platform.freeze_workers()
    (waiting,) = platform.submit(1)
    key, before = str(uuid4()), everything(platform)
    request = prepared(platform, key)
    statuses: list[int] = []
    line.fault = fault
    try:
        platform.thaw_workers()
        sender = threading.Thread(target=lambda: statuses.append(send(request, 120)))
        sender.start()
        sender.join(130)
        assert statuses == [503]
        assert everything(platform) == before
        assert platform.ask("SELECT state FROM diagnosis_analysis WHERE case_id = %s::uuid", waiting) != "failed"
    finally:
        line.fault = ""
    eventually("it is accepted", lambda: send(request) in {200, 201})
    platform.assert_answered_once([waiting, key])
    eventually("ready", platform.ready)
