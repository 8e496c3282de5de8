"""Taking in a photograph that somebody sent, with a refusal that names which one."""

from diagnosis.classifier.photograph import Photograph, PhotographRefused, receive
from diagnosis.services.errors import Refusal


def check_photograph(position: int, upload: bytes) -> Photograph:
    """Decode, check and encode one upload.

    Args:
        position: from 1, for the refusal.

    Raises:
        Refusal: it is not a photograph that is taken.
    """
    try:
        return receive(upload)
    except PhotographRefused as refused:
        raise Refusal(refused.code, f"photograph {position}: {refused}", field=f"images[{position - 1}]") from refused
