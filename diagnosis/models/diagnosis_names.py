"""What diagnoses are called in the user's language: the levels of the ISIC dictionary, and the network's classes.

Codes and the dictionary's own words (``classifier.diagnoses``) stay what they are, for programs.
"""

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from diagnosis.classifier.diagnoses import diagnoses

#: By the network's class.
CLASS_NAMES: Final[dict[str, Promise]] = {
    "akiec": _("Actinic keratosis or intraepithelial carcinoma (Bowen's disease)"),
    "bcc": _("Basal cell carcinoma"),
    "bkl": _("Benign keratosis (seborrhoeic keratosis, solar lentigo, lichen planus-like keratosis)"),
    "df": _("Dermatofibroma"),
    "mel": _("Melanoma"),
    "nv": _("Melanocytic naevus (mole)"),
    "vasc": _("Vascular lesion (angioma, angiokeratoma, pyogenic granuloma, haemorrhage)"),
}

#: By the dictionary's own words.
_LEVELS: Final[dict[str, Promise]] = {
    "Benign": _("Benign"),
    "Benign - Other": _("Benign - Other"),
    "Benign melanocytic proliferations": _("Benign melanocytic proliferations"),
    "Nevus": _("Nevus"),
    "Nevus, NOS, Junctional": _("Nevus, NOS, Junctional"),
    "Nevus, NOS, Compound": _("Nevus, NOS, Compound"),
    "Nevus, NOS, Dermal": _("Nevus, NOS, Dermal"),
    "Nevus, Atypical, Dysplastic, or Clark": _("Nevus, Atypical, Dysplastic, or Clark"),
    "Blue nevus": _("Blue nevus"),
    "Nevus, Congenital": _("Nevus, Congenital"),
    "Nevus, Spitz": _("Nevus, Spitz"),
    "Nevus, Reed": _("Nevus, Reed"),
    "Nevus, Halo": _("Nevus, Halo"),
    "Nevus, Acral": _("Nevus, Acral"),
    "Nevus, Recurrent or persistent": _("Nevus, Recurrent or persistent"),
    "Nevus, Combined": _("Nevus, Combined"),
    "Nevus spilus": _("Nevus spilus"),
    "Lentigo simplex": _("Lentigo simplex"),
    "Dermal melanocytosis": _("Dermal melanocytosis"),
    "Benign epidermal proliferations": _("Benign epidermal proliferations"),
    "Seborrheic keratosis": _("Seborrheic keratosis"),
    "Solar lentigo": _("Solar lentigo"),
    "Ink-spot lentigo": _("Ink-spot lentigo"),
    "Lichen planus like keratosis": _("Lichen planus like keratosis"),
    "Pigmented benign keratosis": _("Pigmented benign keratosis"),
    "Clear cell acanthoma": _("Clear cell acanthoma"),
    "Large cell acanthoma": _("Large cell acanthoma"),
    "Epidermal nevus": _("Epidermal nevus"),
    "Porokeratosis": _("Porokeratosis"),
    "Benign soft tissue proliferations - Fibro-histiocytic": _("Benign soft tissue proliferations - Fibro-histiocytic"),
    "Dermatofibroma": _("Dermatofibroma"),
    "Angiofibroma": _("Angiofibroma"),
    "Fibroepithelial polyp": _("Fibroepithelial polyp"),
    "Scar": _("Scar"),
    "Benign soft tissue proliferations - Vascular": _("Benign soft tissue proliferations - Vascular"),
    "Hemangioma": _("Hemangioma"),
    "Angiokeratoma": _("Angiokeratoma"),
    "Pyogenic granuloma": _("Pyogenic granuloma"),
    "Venous lake": _("Venous lake"),
    "Hemorrhagic lesions": _("Hemorrhagic lesions"),
    "Subcorneal or subungual hemorrhage": _("Subcorneal or subungual hemorrhage"),
    "Benign soft tissue proliferations - Adipocytic": _("Benign soft tissue proliferations - Adipocytic"),
    "Lipoma": _("Lipoma"),
    "Benign soft tissue proliferations - Neural": _("Benign soft tissue proliferations - Neural"),
    "Neurofibroma": _("Neurofibroma"),
    "Benign adnexal epithelial proliferations - Sebaceous": _("Benign adnexal epithelial proliferations - Sebaceous"),
    "Sebaceous hyperplasia": _("Sebaceous hyperplasia"),
    "Nevus sebaceus": _("Nevus sebaceus"),
    "Benign adnexal epithelial proliferations - Follicular": _("Benign adnexal epithelial proliferations - Follicular"),
    "Trichoblastoma": _("Trichoblastoma"),
    "Trichoepithelioma": _("Trichoepithelioma"),
    "Pilomatricoma": _("Pilomatricoma"),
    "Benign adnexal epithelial proliferations - Apocrine or Eccrine": _(
        "Benign adnexal epithelial proliferations - Apocrine or Eccrine"
    ),
    "Poroma": _("Poroma"),
    "Syringoma": _("Syringoma"),
    "Cysts": _("Cysts"),
    "Flat melanotic pigmentations - not melanocytic nevus": _("Flat melanotic pigmentations - not melanocytic nevus"),
    "Mucosal melanotic macule": _("Mucosal melanotic macule"),
    "Cafe au lait macule": _("Cafe au lait macule"),
    "Inflammatory or infectious diseases": _("Inflammatory or infectious diseases"),
    "Verruca": _("Verruca"),
    "Molluscum contagiosum": _("Molluscum contagiosum"),
    "Eczema": _("Eczema"),
    "Psoriasis": _("Psoriasis"),
    "Mast cell proliferations": _("Mast cell proliferations"),
    "Mastocytoma": _("Mastocytoma"),
    "Exogenous": _("Exogenous"),
    "Indeterminate": _("Indeterminate"),
    "Indeterminate epidermal proliferations": _("Indeterminate epidermal proliferations"),
    "Solar or actinic keratosis": _("Solar or actinic keratosis"),
    "Indeterminate melanocytic proliferations": _("Indeterminate melanocytic proliferations"),
    "Atypical melanocytic neoplasm": _("Atypical melanocytic neoplasm"),
    "Atypical intraepithelial melanocytic proliferation": _("Atypical intraepithelial melanocytic proliferation"),
    "Atypical Spitz tumor": _("Atypical Spitz tumor"),
    "Malignant": _("Malignant"),
    "Malignant melanocytic proliferations (Melanoma)": _("Malignant melanocytic proliferations (Melanoma)"),
    "Melanoma in situ": _("Melanoma in situ"),
    "Melanoma in situ, lentigo maligna type": _("Melanoma in situ, lentigo maligna type"),
    "Melanoma Invasive": _("Melanoma Invasive"),
    "Melanoma Invasive, Superficial spreading": _("Melanoma Invasive, Superficial spreading"),
    "Melanoma Invasive, Nodular": _("Melanoma Invasive, Nodular"),
    "Melanoma Invasive, Lentigo maligna melanoma": _("Melanoma Invasive, Lentigo maligna melanoma"),
    "Melanoma Invasive, Acral lentiginous": _("Melanoma Invasive, Acral lentiginous"),
    "Melanoma metastasis": _("Melanoma metastasis"),
    "Malignant epidermal proliferations": _("Malignant epidermal proliferations"),
    "Squamous cell carcinoma in situ": _("Squamous cell carcinoma in situ"),
    "Squamous cell carcinoma in situ, Bowen's disease": _("Squamous cell carcinoma in situ, Bowen's disease"),
    "Squamous cell carcinoma, Invasive": _("Squamous cell carcinoma, Invasive"),
    "Squamous cell carcinoma, Invasive, Keratoacanthoma-type": _(
        "Squamous cell carcinoma, Invasive, Keratoacanthoma-type"
    ),
    "Malignant adnexal epithelial proliferations - Follicular": _(
        "Malignant adnexal epithelial proliferations - Follicular"
    ),
    "Basal cell carcinoma": _("Basal cell carcinoma"),
    "Basal cell carcinoma, Superficial": _("Basal cell carcinoma, Superficial"),
    "Basal cell carcinoma, Nodular": _("Basal cell carcinoma, Nodular"),
    "Basal cell carcinoma, Infiltrating": _("Basal cell carcinoma, Infiltrating"),
    "Malignant adnexal epithelial proliferations - Sebaceous": _(
        "Malignant adnexal epithelial proliferations - Sebaceous"
    ),
    "Sebaceous carcinoma": _("Sebaceous carcinoma"),
    "Merkel cell proliferation": _("Merkel cell proliferation"),
    "Merkel cell carcinoma": _("Merkel cell carcinoma"),
    "Malignant soft tissue proliferations - Vascular": _("Malignant soft tissue proliferations - Vascular"),
    "Kaposi sarcoma": _("Kaposi sarcoma"),
    "Angiosarcoma": _("Angiosarcoma"),
    "Malignant soft tissue proliferations - Fibro-histiocytic": _(
        "Malignant soft tissue proliferations - Fibro-histiocytic"
    ),
    "Dermatofibrosarcoma protuberans": _("Dermatofibrosarcoma protuberans"),
    "Lymphocytic proliferations - B-Cell": _("Lymphocytic proliferations - B-Cell"),
    "Lymphocytic proliferations - T-Cell/NK": _("Lymphocytic proliferations - T-Cell/NK"),
    "Skin metastasis of internal solid cancer - non-hematological": _(
        "Skin metastasis of internal solid cancer - non-hematological"
    ),
}


def name_of(code: str) -> str:
    """The most specific level of a diagnosis, in the user's language.

    Args:
        code: of ``classifier.diagnoses``.
    """
    return str(_LEVELS[diagnoses()[code].name])


def levels_of(code: str) -> list[str]:
    """All levels of a diagnosis from the most general to the most specific, in the user's language."""
    return [str(_LEVELS[level]) for level in diagnoses()[code].levels]


def class_name(network_class: str) -> str:
    """One of the seven classes in the user's language; nothing for none."""
    return str(CLASS_NAMES.get(network_class, ""))
