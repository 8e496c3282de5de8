"""What people read is there in Arabic too: every text that the pages and letters mark is in the catalogue.

The texts are taken from the sources themselves, so that a machine without gettext finds what is missing.
`make messages` gathers them into locale/ar, to be translated there.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.utils.translation.template import templatize

ROOT = Path(settings.BASE_DIR)
CATALOGUE = ROOT / "locale" / "ar" / "LC_MESSAGES" / "django.po"
MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
TEMPLATES = sorted(path for path in (ROOT / "templates").rglob("*.html") if "training" not in path.parts)
SOURCES = sorted(
    path
    for folder in (
        "diagnosis/web",
        "diagnosis/services",
        "diagnosis/models",
        "skincare/signing_in",
        "skincare/accounts",
    )
    for path in (ROOT / folder).rglob("*.py")
) + sorted((ROOT / "skincare").glob("*.py"))


def marked_in_source(text: str) -> Iterator[str]:
    """Texts that a Python source marks."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
            continue
        argument = node.args[0]  # of several forms the first names the entry
        if node.func.id in MARKS and isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


#: What `templatize` makes of a template: calls in Python among filling.
CALL = re.compile(r"""\b(?:n?p?gettext|_)\((?:u?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))""")


def marked_in_template(text: str) -> Iterator[str]:
    """Texts that a template marks."""
    for found in CALL.finditer(templatize(text)):
        yield ast.literal_eval(found[1])


@pytest.fixture(scope="module")
def translated() -> set[str]:
    """The originals of what has a translation that may be used."""
    catalogue = polib.pofile(str(CATALOGUE))
    return {entry.msgid for entry in catalogue.translated_entries()}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_of_a_template_is_translated(path: Path, translated: set[str]) -> None:
    assert set(marked_in_template(path.read_text())) - translated == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_text_of_a_source_is_translated(path: Path, translated: set[str]) -> None:
    assert set(marked_in_source(path.read_text())) - translated == set()


def test_what_is_marked_is_found() -> None:
    template = """{% load i18n %}{% translate "One" %}{{ x|default:_("Two") }}
        {% blocktranslate count n=n %}{{ n }} thing{% plural %}{{ n }} things{% endblocktranslate %}
        {% blocktranslate trimmed with a=b %}Hello
        {{ a }}{% endblocktranslate %}"""
    assert {"One", "Two", "Hello %(a)s"} <= set(marked_in_template(template))
    assert any("thing" in text for text in marked_in_template(template))
    source = '_("One " "and more")\ngettext(name)\nngettext("%(n)d thing", "%(n)d things", n)\nprint("no")'
    assert set(marked_in_source(source)) == {"One and more", "%(n)d thing"}


def test_no_translation_is_only_guessed_or_left_from_what_is_gone() -> None:
    catalogue = polib.pofile(str(CATALOGUE))
    assert [entry.msgid for entry in catalogue.fuzzy_entries()] == []
    assert [entry.msgid for entry in catalogue.obsolete_entries()] == []
