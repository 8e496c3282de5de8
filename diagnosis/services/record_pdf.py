"""Sets a patient's exported record as a PDF for reading."""

import io
from collections.abc import Mapping
from typing import Any, Final

from PIL import Image as Picture
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.platypus import Flowable, Image, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from diagnosis.models.cases import CHECKLIST_POINTS
from diagnosis.services.typesetting import BOLD, TYPEFACE, glyphs, paragraph, showable

#: Longer side of a photograph in the document, in pixels; the archive holds the whole ones beside it.
PICTURE_SIDE: Final = 700
#: A page's width between the margins and the frame's own space.
TEXT_WIDTH: Final = A4[0] - 4.5 * cm
SIMPLIFIED: Final = (
    "The typeface of this document lacks some letters of the record: accents are left out, and what cannot be shown "
    "stands as [?]. record.json has every letter."
)


def render(record: Mapping[str, Any], photographs: Mapping[str, bytes]) -> bytes:
    """The PDF's bytes.

    Args:
        record: as ``export.describe`` makes it.
        photographs: JPEG as ``shrink`` makes it, by the name that the record gives the photograph or signature.
    """
    return _Document(record, photographs).render()


class _Document:
    def __init__(self, record: Mapping[str, Any], photographs: Mapping[str, bytes]) -> None:
        glyphs()
        self.record, self.photographs = record, photographs
        self.parts: list[Flowable] = []
        self.simplified = False
        self.body = ParagraphStyle("body", fontName=TYPEFACE, fontSize=8.5, leading=11.5)
        self.title = ParagraphStyle("title", fontName=BOLD, fontSize=16, leading=22)
        self.heading = ParagraphStyle("heading", fontName=BOLD, fontSize=11, leading=16, spaceBefore=10)

    def render(self) -> bytes:
        record = self.record
        self.say("Patient record", self.title)
        self.say(record["about"])
        self.say(f"Exported {record['exported_at']:%Y-%m-%d %H:%M} UTC")
        self.say("Patient", self.heading)
        self.facts(record["patient"])
        self.say("Consents", self.heading)
        self.facts({f"{scope}, allowed now": allowed for scope, allowed in record["allowed_now"].items()})
        for event in record["consents"]:
            until = f", until {event['expires_at']:%Y-%m-%d}" if event["expires_at"] else ""
            witness = f", witness {event['witness']}" if event["witness"] else ""
            self.say(
                f"{event['captured_at']:%Y-%m-%d %H:%M}: {event['scope']} {event['change']}{until}, {event['method']}, "
                f"in {event['language']}{witness} (policy {event['policy']})"
            )
            if event["signature"]:
                self.parts += [_picture(self.photographs[event["signature"]])]
        self.say("Lesions", self.heading)
        for lesion in record["lesions"]:
            self.facts(lesion)
        for case in record["cases"]:
            self.case(case)
        for referral in record["referrals"]:
            self.referral(referral)
        for outcome in record["outcomes"]:
            self.say("Outcome", self.heading)
            self.facts(outcome)
        for correction in record["corrections"]:
            self.say(
                f"Corrected on {correction['corrected_at']:%Y-%m-%d} ({correction['reason']}); before:", self.heading
            )
            self.facts(correction["before"])
        for access in record["emergency_accesses"]:
            self.say(f"Opened in an emergency on {access['opened_at']:%Y-%m-%d}", self.heading)
            self.facts(access)
        self.say("Who saw or changed this record", self.heading)
        for access in record["accesses"]:
            self.say(f"{access['number']}: {access['at']:%Y-%m-%d %H:%M} {access['action']}, by {access['by']}")
        if self.simplified:
            self.say(SIMPLIFIED)
        output = io.BytesIO()
        SimpleDocTemplate(
            output, pagesize=A4, title="Patient record", author="", leftMargin=2 * cm, rightMargin=2 * cm
        ).build(self.parts)
        return output.getvalue()

    def case(self, case: Mapping[str, Any]) -> None:
        self.say(f"Case of {case['seen_at']:%Y-%m-%d}", self.heading)
        apart = {"images", "analysis", "note", *CHECKLIST_POINTS}
        self.facts({name: value for name, value in case.items() if name not in apart})
        ticked = [item.replace("_", " ") for item in CHECKLIST_POINTS if case[item]]
        self.say(f"Checklist: {', '.join(ticked) or 'nothing ticked'}")
        if case["note"]:
            self.say(f"Note: {case['note']}")
        self.say(case["analysis"]["statement"])
        for image in case["images"]:
            self.parts += [Spacer(1, 4), _picture(self.photographs[image["file"]])]
            self.say(f"{image['kind']}, {image['width']}×{image['height']}: {image['file']}")

    def referral(self, referral: Mapping[str, Any]) -> None:
        self.say(f"Referral of {referral['sent_at']:%Y-%m-%d}", self.heading)
        self.facts({name: value for name, value in referral.items() if not isinstance(value, list)})
        for message in referral["messages"]:
            self.say(f"{message['sent_at']:%Y-%m-%d %H:%M}, {message['from']}: {message['text']}")
        for part in ("reads", "opinions", "assessments"):
            for entry in referral[part]:
                self.facts({"": part[:-1], **entry})

    def say(self, text: str, style: ParagraphStyle | None = None) -> None:
        self.parts.append(self.paragraph(text, style))

    def paragraph(self, text: str, style: ParagraphStyle | None = None, width: float = TEXT_WIDTH) -> Paragraph:
        self.simplified |= showable(text) != text
        return paragraph(text, style or self.body, width)

    def facts(self, facts: Mapping[str, Any]) -> None:
        rows = [
            [self.paragraph(name.replace("_", " "), None, 4.6 * cm), self.paragraph(_in_words(value), None, 11.6 * cm)]
            for name, value in facts.items()
            if value not in (None, "")
        ]
        if not rows:  # a table without rows cannot be set
            self.say("nothing was recorded")
            return
        table = Table(rows, colWidths=[5 * cm, 12 * cm])
        table.setStyle(
            TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.25, colors.grey)])
        )
        self.parts += [table, Spacer(1, 6)]


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:%Y-%m-%d %H:%M} UTC" if hasattr(value, "strftime") else str(value)


def _picture(jpeg: bytes) -> Image:
    with Picture.open(io.BytesIO(jpeg)) as picture:
        width, height = picture.size
    scale = 8 * cm / max(width, height)
    return Image(io.BytesIO(jpeg), width * scale, height * scale)
