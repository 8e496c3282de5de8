"""Languages in which patients are spoken with, as the form for consents offers them, by their names in the page's."""

from typing import Final

from django.utils.translation import get_language, get_language_info

#: Tags as ``ConsentEvent.language`` keeps them. The interfaces' own come first, then those that many patients speak.
SPOKEN: Final = (
    "en", "ar", "bg", "bn", "cs", "de", "el", "es", "fa", "fr", "he", "hi", "hr", "hu", "hy", "id", "it", "ja", "ka",
    "ko", "ml", "mn", "my", "ne", "nl", "pa", "pl", "pt", "ro", "ru", "sk", "sq", "sr", "sv", "sw", "ta", "te", "th",
    "tr", "uk", "ur", "uz", "vi",
)  # fmt: skip


def spoken() -> list[dict[str, str]]:
    """Code and name of each: the page's own language first, the others by name."""
    named = [{"code": code, "name": str(get_language_info(code)["name_translated"])} for code in SPOKEN]
    own = (get_language() or "en").partition("-")[0]
    return sorted(named, key=lambda language: (language["code"] != own, language["name"]))
