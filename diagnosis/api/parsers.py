"""Reading request bodies strictly and within bounds: JSON, and the multipart form of a submission."""

import json
import re
import tempfile
from collections.abc import Mapping
from typing import IO, Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser

from diagnosis.api.problems import Problem
from diagnosis.classifier.photograph import MAX_BYTES

#: More than any form of ours needs; a signature on screen takes about 50 KB.
MOST_JSON_BYTES: Final = 1024 * 1024
#: Ten photographs of 48-megapixel phones are about 100 MB.
MOST_BODY_BYTES: Final = 120 * 1024 * 1024
#: A part above this goes to a file while it arrives.
MOST_IN_MEMORY_BYTES: Final = 1024 * 1024
#: The closing boundary and whatever line breaks follow it: RFC 2046 allows 70 characters, Django's parser 200.
_TAIL_BYTES: Final = 512

PART_CASE: Final = "case"
PART_IMAGES: Final = "images"


def read_json(text: bytes) -> Any:
    """Read JSON as RFC 8259 has it: UTF-8, no NaN, no endless nesting, no name twice in an object.

    Raises:
        Problem: it is not that.
    """

    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("an object has the same name twice")
        return found

    try:
        return json.loads(text.decode("utf-8"), parse_constant=refuse_constant, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "malformed_json", f"this is not JSON that can be read: {error}") from error


class BoundedJSONParser(BaseParser):
    """JSON of at most a megabyte."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        """Read the body.

        Raises:
            Problem: it is too large or not JSON.
        """
        text = stream.read(MOST_JSON_BYTES + 1)
        if len(text) > MOST_JSON_BYTES:
            raise Problem(413, "too_large", f"at most {MOST_JSON_BYTES // 1024} KB of JSON are accepted")
        return read_json(text)


class _Measured:
    """A request's body that remembers how many bytes came and how they ended."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.received = 0
        self.tail = b""

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.received += len(data)
        self.tail = data[-_TAIL_BYTES:] if len(data) >= _TAIL_BYTES else (self.tail + data)[-_TAIL_BYTES:]
        return data


class _BoundedFiles(FileUploadHandler):
    """Keeps uploaded parts in memory or in files without a name, and stops at a part that is larger than it may be.

    Django's own handler gives its files names in /tmp, where a process that is killed would leave photographs of
    patients, readable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.photographs = 0
        self.too_large: Problem | None = None

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        super().new_file(field_name, *args, **kwargs)
        self._part = field_name
        self._size = 0
        self.file = tempfile.SpooledTemporaryFile(MOST_IN_MEMORY_BYTES)  # noqa: SIM115 (closed with the request)
        if field_name == PART_IMAGES:
            self.photographs += 1

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._size += len(raw_data)
        if self._part != PART_IMAGES and self._size > MOST_JSON_BYTES:
            detail = f"the part {self._part!r} is too large; at most {MOST_JSON_BYTES // 1024} KB of JSON are accepted"
            self.too_large = Problem(413, "too_large", detail, field=self._part)
        elif self._size > MAX_BYTES:
            detail = f"photograph {self.photographs}: more than the {MAX_BYTES / 1e6:.0f} MB that are accepted"
            field = f"{PART_IMAGES}[{self.photographs - 1}]"
            self.too_large = Problem(413, "too_many_bytes", f"{detail}; send a smaller JPEG", field=field)
        if self.too_large is not None:
            # The rest is read and dropped, so that the sender is listening when the answer comes.
            raise StopUpload(connection_reset=False)
        self.file.write(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[bytes]":
        """Hand over what was kept."""
        self.file.seek(0)
        return UploadedFile(self.file, self.file_name, self.content_type, file_size)


class SubmissionParser(MultiPartParser):
    """multipart/form-data that arrived whole: as many bytes as announced, closed by its boundary.

    Django's parser takes a body that breaks off for a whole one, and would pass on half a photograph.
    """

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> "DataAndFiles[Any, Any]":
        """Read the form.

        Raises:
            Problem: it is too large, broke off, or is not closed.
            ParseError: it is not multipart/form-data.
        """
        context = parser_context or {}
        request: HttpRequest = context["request"]._request
        announced = _announced_bytes(request)
        if announced > MOST_BODY_BYTES:
            detail = f"the request has {announced / 1e6:.0f} MB; at most {MOST_BODY_BYTES / 1e6:.0f} MB are accepted"
            raise Problem(413, "too_large", detail, headers={"Connection": "close"})
        boundary = parse_header_parameters(media_type or "")[1].get("boundary", "")
        files = _BoundedFiles()
        request.upload_handlers = [files]
        body = _Measured(stream)
        parsed = super().parse(body, media_type, context)  # type: ignore[arg-type]
        while body.read(64 * 1024):  # what follows the closing boundary
            pass
        if body.received < announced:
            detail = f"{announced} bytes were announced, {body.received} arrived; send the request again"
            raise Problem(400, "body_incomplete", detail)
        if files.too_large is not None:
            raise files.too_large
        if not body.tail.rstrip(b"\r\n \t").endswith(b"--" + boundary.encode("ascii", "replace") + b"--"):
            detail = (
                f"the form does not end with its closing boundary after the {announced} bytes that Content-Length "
                "announced; send the request again, with its true length"
            )
            raise Problem(400, "body_incomplete", detail)
        return parsed


def _announced_bytes(request: HttpRequest) -> int:
    announced = request.META.get("CONTENT_LENGTH") or "0"
    return int(announced) if re.fullmatch(r"\d{1,18}", announced) else 0


def read_part_case(part: object) -> dict[str, Any]:
    """The JSON object of the part ``case``, whether sent as a text field or as a file.

    Raises:
        Problem: it is missing or not a JSON object.
    """
    if part is None:
        raise Problem(400, "part_missing", "the part 'case', a JSON object, is missing", field=PART_CASE)
    text = part.read() if isinstance(part, UploadedFile) else str(part).encode("utf-8", "surrogatepass")
    try:
        found = read_json(text)
    except Problem as problem:
        raise Problem(400, problem.code, f"the part 'case': {problem.detail}", field=PART_CASE) from problem
    if not isinstance(found, dict):
        raise Problem(400, "malformed_json", "the part 'case' must be a JSON object", field=PART_CASE)
    return found
