"""What a page says of a form that it refuses."""

import html
import re
from typing import Any


def tag(page: str, name: str) -> str:
    """The form fields of that name, as they stand in the page."""
    found = re.findall(rf'<(?:input|select|textarea)[^>]*\bname="{name}"[^>]*>', page)
    assert found, f"no field {name}"
    return "".join(found)


def refused(answer: Any, field: str, status: int = 422) -> str:
    """The page says that this field is wrong, or that it is among those of one kind; returns what it shows."""
    page = html.unescape(answer.content.decode())
    assert answer.status_code == status
    assert 'role="alert"' in page
    assert 'aria-invalid="true"' in tag(page, field) or 'class="hint wrong"' in page, field
    return page
