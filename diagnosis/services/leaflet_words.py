"""Plain words for patients: what a diagnosis means, how sure the doctor is, what happens now, when to come back."""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.models import AnatomicalSite, Plan

#: By code of the dictionary, where the class alone would say too little.
_BY_CODE: Final[dict[str, Promise]] = {
    "nevus-atypical": _(
        "This looks like a mole with an unusual shape or colour. Moles like this are not cancer. They are watched a "
        "little more closely than others."
    ),
    "melanoma-in-situ": _(
        "This may be a very early melanoma, a kind of skin cancer, that is still in the top layer of the skin. When it "
        "is taken out at this stage it is nearly always cured."
    ),
    "melanoma-in-situ-lentigo-maligna": _(
        "This may be a very early melanoma, a kind of skin cancer, that is still in the top layer of the skin. When it "
        "is taken out at this stage it is nearly always cured."
    ),
    "actinic-keratosis": _(
        "This looks like a rough patch from many years of sun. It is not cancer. A few such patches turn into skin "
        "cancer over time, so they are often treated, and they should be looked at again if they change."
    ),
}
#: By class of the network's taxonomy, which the dictionary maps each diagnosis to.
_BY_CLASS: Final[dict[str, Promise]] = {
    "nv": _("This looks like a mole. Moles are very common and harmless."),
    "bkl": _(
        "This looks like a harmless growth or spot of the skin that comes with age and sun. It is not cancer and does "
        "not turn into it."
    ),
    "df": _("This looks like a small, firm, harmless lump in the skin. It is not cancer."),
    "vasc": _("This looks like a harmless spot made of small blood vessels or blood in the skin. It is not cancer."),
    "akiec": _(
        "This may be a change in the top layer of the skin, from sun, that can turn into skin cancer if it is left "
        "alone. It can be treated well."
    ),
    "bcc": _(
        "This may be a basal cell carcinoma, the most common kind of skin cancer. It grows slowly and hardly ever "
        "spreads, and it can nearly always be cured by treatment."
    ),
    "mel": _(
        "This may be a melanoma, a serious kind of skin cancer. It must be examined soon. Found early, it can usually "
        "be cured."
    ),
}
_MALIGNANT: Final = _("This may be a kind of skin cancer. It must be examined further so that it can be treated.")
_BENIGN: Final = _("This looks like a harmless change of the skin. It is not cancer.")
_UNCLEAR: Final = _("The photographs do not show for certain what this is. It needs a closer look.")

PLANS: Final[dict[str, Promise]] = {
    Plan.REASSURE: _("Nothing needs to be done now. No further appointment is planned for this spot."),
    Plan.OBSERVE: _("The spot should be looked at again. Please keep this appointment even if it looks the same."),
    Plan.BIOPSY: _(
        "A small piece of the spot should be taken, under local anaesthetic, and looked at under a microscope. Your "
        "clinic arranges this with you."
    ),
    Plan.EXCISE: _(
        "The spot should be taken out, under local anaesthetic, and looked at under a microscope. Your clinic arranges "
        "this with you."
    ),
    Plan.SEE_IN_PERSON: _("A skin doctor should see you in person. Your clinic arranges the appointment with you."),
    Plan.URGENT: _(
        "You should be seen by a specialist within days. Your clinic arranges this. If you have not heard of an "
        "appointment within a week, please call your clinic."
    ),
}

COME_BACK: Final = (
    _("grows, or changes its shape or colour"),
    _("bleeds, oozes, or does not heal"),
    _("itches, hurts or feels different"),
    _("looks different from your other spots, or a new spot appears that does"),
)

SKIN_CARE: Final = (
    _("Look at your whole skin once a month, with a mirror or with somebody's help."),
    _("Keep out of strong sun around noon; wear clothes, a hat and sunscreen. Do not use sunbeds."),
)

#: Where the spot is, as it stands in a sentence for a patient.
SITES: Final[dict[str, Promise]] = {
    AnatomicalSite.ANTERIOR_TORSO: _("on your chest or belly"),
    AnatomicalSite.POSTERIOR_TORSO: _("on your back"),
    AnatomicalSite.LATERAL_TORSO: _("on your side"),
    AnatomicalSite.HEAD_NECK: _("on your head or neck"),
    AnatomicalSite.UPPER_EXTREMITY: _("on your arm or hand"),
    AnatomicalSite.LOWER_EXTREMITY: _("on your leg or foot"),
    AnatomicalSite.PALMS_SOLES: _("on the palm of your hand or the sole of your foot"),
    AnatomicalSite.ORAL_GENITAL: _("in your mouth or in the genital area"),
}

#: From this confidence (per cent) on.
_SURE: Final = 90
_LIKELY: Final = 60


def in_plain_words(code: str) -> str:
    """What a diagnosis means for a patient.

    Args:
        code: of ``classifier.diagnoses``.
    """
    diagnosis = diagnoses()[code]
    if diagnosis.undecided:
        return str(_UNCLEAR)
    general = _MALIGNANT if diagnosis.malignant else _BENIGN
    return str(_BY_CODE.get(code) or _BY_CLASS.get(diagnosis.network_class) or general)


def how_sure(confidence: int) -> str:
    """A confidence of 0 to 100 per cent in words."""
    if confidence >= _SURE:
        return str(_("The skin doctor is quite sure of this."))
    if confidence >= _LIKELY:
        return str(_("The skin doctor thinks that this is likely, but photographs cannot show everything."))
    return str(_("The skin doctor is not certain: photographs alone do not settle it."))
