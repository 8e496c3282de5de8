"""Choosing a language and a theme: kept for everybody in cookies, and said in the first line of every page."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

pytestmark = pytest.mark.django_db
STYLE = (Path(settings.BASE_DIR) / "static" / "skincare" / "design.css").read_text()


def first_line(client: Client, **headers: str) -> str:
    page = client.get("/sign-in/", headers=headers).content.decode()
    return page[page.index("<html") : page.index(">", page.index("<html")) + 1]


def test_a_page_follows_the_browser_until_somebody_chooses() -> None:
    client = Client()
    assert first_line(client) == '<html lang="en-gb" dir="ltr">'
    assert first_line(client, accept_language="ar-EG,ar;q=0.9") == '<html lang="ar" dir="rtl">'
    assert first_line(client, accept_language="tlh") == '<html lang="en-gb" dir="ltr">'

    answer = client.post("/appearance/", {"language": "ar", "theme": "dark"}, headers={"referer": "/sign-in/"})

    assert (answer.status_code, answer["Location"]) == (303, "/sign-in/")
    assert first_line(client) == '<html lang="ar" dir="rtl" data-theme="dark">'
    client.post("/appearance/", {"theme": ""})
    assert first_line(client) == '<html lang="ar" dir="rtl">'


@pytest.mark.parametrize("choice", [{"language": "xx"}, {"theme": '"><script>'}])
def test_what_there_is_not_is_refused(choice: dict[str, str]) -> None:
    assert Client().post("/appearance/", choice).status_code == 400


def test_a_cookie_that_somebody_else_wrote_changes_nothing() -> None:
    client = Client()
    client.cookies["skincare_theme"] = '"><script>'
    assert first_line(client) == '<html lang="en-gb" dir="ltr">'


def test_nobody_is_led_to_another_site() -> None:
    for back in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        assert Client().post("/appearance/", {"theme": "dark", "next": back})["Location"] == "/"


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """1 to 21, WCAG 2.2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def schemes() -> dict[str, dict[str, str]]:
    """The palettes, by the selector that they belong to."""
    blocks = re.findall(r":root(?:\[data-theme=\"dark\"\]|:not\(\[data-theme=\"light\"\]\))? \{(.*?)\}", STYLE, re.S)
    palettes = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in blocks]
    return dict(zip(("light", "dark by the system", "dark by choice"), palettes, strict=True))


def test_both_dark_palettes_are_the_same_and_complete() -> None:
    palettes = schemes()
    assert palettes["dark by the system"] == palettes["dark by choice"]
    assert palettes["light"].keys() == palettes["dark by choice"].keys()


@pytest.mark.parametrize("scheme", ["light", "dark by choice"])
def test_text_has_the_contrast_that_wcag_asks_for(scheme: str) -> None:
    palette = schemes()[scheme]
    grounds = ("ground", "surface", "raised")
    pairs = [(text, ground) for text in ("text", "quiet", "accent", "concern") for ground in grounds]
    pairs += [(level, f"{level}-ground") for level in ("urgent", "refer", "review", "settled", "accent")]
    pairs += [("on-accent", "accent"), ("text", "caution-ground"), ("text", "accent-ground")]
    for text, ground in pairs:
        assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    for ground in grounds[:2]:
        assert contrast(palette["edge"], palette[ground]) >= 3, ground
