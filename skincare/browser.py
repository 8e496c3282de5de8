"""What every answer tells the browser, so that no view can forget it: what a page may use, and that nothing is kept."""

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control

#: Photographs are taken in /capture/ and passkeys used on our own pages; nothing else of the device is.
PERMISSIONS: Final = ", ".join(
    [
        "camera=(self)",
        "publickey-credentials-create=(self)",
        "publickey-credentials-get=(self)",
        *(
            f"{each}=()"
            for each in (
                "accelerometer", "autoplay", "browsing-topics", "display-capture", "geolocation", "gyroscope", "hid",
                "magnetometer", "microphone", "midi", "payment", "serial", "usb", "xr-spatial-tracking",
            )
        ),
    ]
)  # fmt: skip
#: What a file is called that its view gave no name. Names tell nothing of a patient: they end up in download folders.
NAMES: Final = {
    "image/jpeg": "photograph.jpg",
    "image/png": "picture.png",
    "application/pdf": "document.pdf",
    "application/zip": "archive.zip",
}


class BrowserMiddleware:
    """Stands below the static files, which may be kept, and above all views."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        response["Permissions-Policy"] = PERMISSIONS
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if "Cache-Control" not in response:
            patch_cache_control(response, private=True, no_store=True)
        name = NAMES.get(response.get("Content-Type", "").partition(";")[0])
        if name is not None:
            response.setdefault("Content-Disposition", f'inline; filename="{name}"')
        return response
