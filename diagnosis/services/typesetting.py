"""Setting a document for people as a PDF on A4: one typeface for Latin, Greek, Cyrillic and Arabic, in both directions.

ReportLab sets glyphs in the order in which they come. Arabic is therefore joined into its presentation forms first
(arabic-reshaper), broken into lines in the order in which it is read, and each line is turned into the order in which
it is seen (python-bidi, the Unicode bidirectional algorithm). See docs/decisions/0150.
"""

import io
import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape  # nosec B406

import arabic_reshaper
from bidi import get_display
from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

TYPEFACE: Final = "DejaVuSansCondensed"
BOLD: Final = "DejaVuSansCondensed-Bold"
_FOLDER: Final = Path(__file__).with_name("typeface")
MARGIN: Final = 2 * cm
WIDTH: Final = A4[0] - 2 * MARGIN
#: Longer side of a photograph in a document, in pixels.
PICTURE_SIDE: Final = 900
_INK: Final = colors.HexColor("#16211d")
_QUIET: Final = colors.HexColor("#55645e")
_LINE: Final = colors.HexColor("#c9d3ce")
_GROUND: Final = colors.HexColor("#eef4f1")
#: Hebrew, Arabic and what else is written from right to left.
_FROM_RIGHT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_SLACK_POINTS: Final = 1.0


@lru_cache(maxsize=1)
def glyphs() -> frozenset[int]:
    """Code points that the typeface has; makes it known to ReportLab."""
    for name in (TYPEFACE, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(_FOLDER / f"{name}.ttf")))
    return frozenset(pdfmetrics.getFont(TYPEFACE).face.charToGlyph)


def showable(text: str) -> str:
    """The text in letters that the typeface has: without an accent where need be, [?] where there is no likeness."""
    known = glyphs()
    shown = []
    for letter in text:
        plain = letter if ord(letter) in known else unicodedata.normalize("NFKD", letter)[0]
        shown.append(plain if ord(plain) in known or plain.isspace() else "[?]")
    return "".join(shown)


def lines_as_seen(text: str, *, typeface: str, size: float, width: float, from_right: bool) -> list[str]:
    """Break a text into lines and turn each into the order in which it is seen.

    Args:
        text: as it is read; line breaks are kept.
        size, width: in points.
        from_right: the direction of the document, which decides where a mixed line begins.

    Returns:
        Lines that are no wider than ``width``. A single word that is wider is cut.
    """
    glyphs()
    found: list[str] = []
    for piece in text.split("\n"):
        line = ""
        for word in arabic_reshaper.reshape(piece).split(" "):
            joined = f"{line} {word}" if line else word
            if pdfmetrics.stringWidth(joined, typeface, size) <= width:
                line = joined
                continue
            if line:
                found.append(line)
            while pdfmetrics.stringWidth(word, typeface, size) > width:
                cut = max(1, int(len(word) * width / pdfmetrics.stringWidth(word, typeface, size)))
                found.append(word[:cut])
                word = word[cut:]
            line = word
        found.append(line)
    return [_mirrored(get_display(line, base_dir="R" if from_right else "L")) for line in found]


_PAIRS: Final = {"(": ")", "[": "]", "{": "}", "«": "»"}
_OPENED_BY: Final = {closing: opening for opening, closing in _PAIRS.items()}


def _mirrored(line: str) -> str:
    """Turn round the brackets that came out the wrong way, since a pair within right-to-left text is seen mirrored.

    The bidirectional algorithm gives both of a pair one direction; get_display puts them in order without exchanging
    their shapes. A pair whose closing bracket is seen first is such a one.
    """
    seen = list(line)
    for closing, opening in _OPENED_BY.items():
        waiting: list[int] = []
        for place, letter in enumerate(line):
            if letter == opening and waiting and line[waiting[-1]] == closing:
                first = waiting.pop()
                seen[first], seen[place] = opening, closing
            elif letter == closing and waiting and line[waiting[-1]] == opening:
                waiting.pop()
            elif letter in (opening, closing):
                waiting.append(place)
    return "".join(seen)


def shrink(picture_file: bytes, side: int = PICTURE_SIDE) -> bytes:
    """A photograph as a document shows it, a JPEG of some 60 to 100 KB."""
    with Picture.open(io.BytesIO(picture_file)) as picture:
        picture.draft("RGB", (side, side))
        small = picture.convert("RGB")
    small.thumbnail((side, side))
    output = io.BytesIO()
    small.save(output, "JPEG", quality=85)
    return output.getvalue()


def paragraph(text: str, style: ParagraphStyle, width: float, *, from_right: bool = False) -> Paragraph:
    """A paragraph of plain text, at most ``width`` points wide.

    Args:
        from_right: the direction of the document, for text that mixes both. Text in Latin letters alone keeps its own.
    """
    shown = showable(text)
    if _FROM_RIGHT.search(shown):
        lines = lines_as_seen(
            shown, typeface=style.fontName, size=style.fontSize, width=width - _SLACK_POINTS, from_right=from_right
        )
    else:
        lines = shown.split("\n")
    # Escaped: a paragraph reads markup, and a name must not be able to fetch a file.
    return Paragraph("<br/>".join(map(escape, lines)), style)


class Sheet:
    """A document that grows from the top, part by part."""

    def __init__(self, *, title: str, language: str, from_right: bool, foot: str, size: float = 9.5) -> None:
        """Begin it.

        Args:
            title: for the reader's window; it must hold nothing of the patient.
            language: as BCP 47 writes it.
            from_right: whether it is read from right to left.
            foot: stands at the foot of each page beside the page's number.
            size: of the text, in points.
        """
        glyphs()
        self.parts: list[Flowable] = []
        self._title, self._language, self._from_right, self._foot = title, language, from_right, foot
        side = TA_RIGHT if from_right else TA_LEFT
        common: dict[str, Any] = {"alignment": side, "textColor": _INK, "fontName": TYPEFACE}
        self.body = ParagraphStyle("body", **common, fontSize=size, leading=size * 1.4, spaceAfter=size * 0.4)
        self.quiet = ParagraphStyle(
            "quiet", parent=self.body, fontSize=size - 1.5, leading=size * 1.25, textColor=_QUIET
        )
        self.strong = ParagraphStyle("strong", parent=self.body, fontName=BOLD)
        self.large = ParagraphStyle("large", parent=self.body, fontName=BOLD, fontSize=size + 4, leading=size * 1.9)
        self.title = ParagraphStyle(
            "title", parent=self.body, fontName=BOLD, fontSize=size + 9, leading=size + 15, spaceAfter=size * 0.8
        )
        self.section = ParagraphStyle(
            "section", parent=self.body, fontName=BOLD, fontSize=size + 2, leading=size + 6, spaceBefore=size * 0.9
        )

    def paragraph(self, text: str, style: ParagraphStyle | None = None, width: float = WIDTH) -> Paragraph:
        """A paragraph of this document, whichever way its words run."""
        return paragraph(text, style or self.body, width, from_right=self._from_right)

    def say(self, text: str, style: ParagraphStyle | None = None) -> None:
        """Add a paragraph; nothing where there is no text."""
        if text:
            self.parts.append(self.paragraph(text, style))

    def heading(self, text: str) -> None:
        """Add the heading of a part."""
        self.say(text, self.section)

    def points(self, texts: Sequence[str]) -> None:
        """Add a list."""
        for text in texts:
            self._row([self.paragraph("•", width=0.5 * cm), self.paragraph(text, width=WIDTH - 0.5 * cm)], [0.5 * cm])

    def opposite(self, one: str, other: str) -> None:
        """Add a line that begins with ``one`` and ends with ``other``."""
        end = ParagraphStyle("end", parent=self.quiet, alignment=TA_LEFT if self._from_right else TA_RIGHT)
        first, second = WIDTH * 0.7, WIDTH * 0.3
        self._row([self.paragraph(one, self.strong, first), self.paragraph(other, end, second)], [first, second])

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Add names and values beside each other; what has no value is left out."""
        name_width = 4.5 * cm
        rows = [
            self._in_order(
                [self.paragraph(name, self.quiet, name_width), self.paragraph(value, None, WIDTH - name_width)]
            )
            for name, value in facts
            if value
        ]
        if rows:
            table = Table(rows, colWidths=self._in_order([name_width, WIDTH - name_width]))
            table.setStyle(
                TableStyle(
                    [
                        ("VALIGN", (0, 0), (-1, -1), "TOP"),
                        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
                        *_padding(2.5, side=0),
                    ]
                )
            )
            self.parts += [table, Spacer(1, 8)]

    def panel(self, paragraphs: Sequence[tuple[str, ParagraphStyle]]) -> None:
        """Add a raised panel: what must not be overlooked."""
        inner = WIDTH - 24
        table = Table([[[self.paragraph(text, style, inner) for text, style in paragraphs if text]]], colWidths=[WIDTH])
        edge = "LINEAFTER" if self._from_right else "LINEBEFORE"
        table.setStyle(
            TableStyle(
                [
                    ("BACKGROUND", (0, 0), (-1, -1), _GROUND),
                    (edge, (0, 0), (-1, -1), 3, colors.HexColor("#1d6b52")),
                    *_padding(8, side=12),
                ]
            )
        )
        self.parts += [table, Spacer(1, 8)]

    def pictures(self, pictures: Sequence[tuple[bytes, str]]) -> None:
        """Add photographs (JPEG, and what stands below), two in a row."""
        width = WIDTH / 2 - 6
        for start in range(0, len(pictures), 2):
            cells: list[Any] = [
                [_picture(jpeg, width, 7 * cm), self.paragraph(caption, self.quiet, width)]
                for jpeg, caption in pictures[start : start + 2]
            ]
            cells += [""] * (2 - len(cells))
            table = Table([self._in_order(cells)], colWidths=[WIDTH / 2, WIDTH / 2])
            side = "RIGHT" if self._from_right else "LEFT"
            table.setStyle(
                TableStyle(
                    [("VALIGN", (0, 0), (-1, -1), "TOP"), ("ALIGN", (0, 0), (-1, -1), side), *_padding(3, side=0)]
                )
            )
            for cell in cells:
                if cell:
                    cell[0].hAlign = side
            self.parts.append(KeepTogether([table]))

    def render(self) -> bytes:
        """The PDF's bytes."""
        output = io.BytesIO()
        document = SimpleDocTemplate(
            output,
            pagesize=A4,
            title=self._title,
            author="Skincare",
            lang=self._language,
            leftMargin=MARGIN - 6,  # the frame has six points of its own
            rightMargin=MARGIN - 6,
            topMargin=1.6 * cm,
            bottomMargin=2.2 * cm,
        )
        document.build(self.parts, canvasmaker=self._canvas)
        return output.getvalue()

    def _canvas(self, *args: Any, **kwargs: Any) -> Canvas:
        return _NumberedCanvas(*args, foot=self._foot_line, **kwargs)

    def _foot_line(self, canvas: Canvas, number: int, pages: int) -> None:
        canvas.setFont(TYPEFACE, 7.5)
        canvas.setFillColor(_QUIET)
        size, number_width = 7.5, 2 * cm
        lines = lines_as_seen(
            showable(self._foot),
            typeface=TYPEFACE,
            size=size,
            width=WIDTH - number_width,
            from_right=self._from_right and bool(_FROM_RIGHT.search(self._foot)),
        )
        for place, line in enumerate(lines):
            height = 1.4 * cm - place * 10
            if self._from_right:
                canvas.drawRightString(MARGIN + WIDTH, height, line)
            else:
                canvas.drawString(MARGIN, height, line)
        count = f"{number} / {pages}"
        if self._from_right:
            canvas.drawString(MARGIN, 1.4 * cm, count)
        else:
            canvas.drawRightString(MARGIN + WIDTH, 1.4 * cm, count)

    def _row(self, cells: list[Any], widths: list[float]) -> None:
        widths = [*widths, *([WIDTH - sum(widths)] * (len(cells) - len(widths)))]
        table = Table([self._in_order(cells)], colWidths=self._in_order(widths))
        table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(0, side=0)]))
        self.parts.append(table)

    def _in_order(self, cells: list[Any]) -> list[Any]:
        return cells[::-1] if self._from_right else cells


class _NumberedCanvas(Canvas):  # type: ignore[misc]
    """Writes "2 / 3" at the foot of each page, so that a missing page is noticed."""

    def __init__(self, *args: Any, foot: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._foot = foot
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # ReportLab calls it
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        pages = self._pages
        for number, page in enumerate(pages, start=1):
            self.__dict__.update(page)
            self._foot(self, number, len(pages))
            Canvas.showPage(self)
        Canvas.save(self)


def _padding(points: float, *, side: float) -> list[tuple[object, ...]]:
    everywhere = ((0, 0), (-1, -1))
    return [
        ("TOPPADDING", *everywhere, points),
        ("BOTTOMPADDING", *everywhere, points),
        ("LEFTPADDING", *everywhere, side),
        ("RIGHTPADDING", *everywhere, side),
    ]


def _picture(jpeg: bytes, width: float, height: float) -> Image:
    with Picture.open(io.BytesIO(jpeg)) as picture:
        across, down = picture.size
    scale = min(width / across, height / down)
    return Image(io.BytesIO(jpeg), across * scale, down * scale)
