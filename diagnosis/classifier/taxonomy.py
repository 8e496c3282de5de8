"""The seven diagnoses that the network tells apart, in the order of its outputs, and which of them are malignant.

Codes and meaning follow HAM10000 (Tschandl, Rosendahl & Kittler, Sci Data 5:180161, 2018).
"""

from typing import Final

CLASSES: Final[tuple[str, ...]] = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")

#: Malignant or pre-malignant: what must not be missed.
MALIGNANT: Final[tuple[str, ...]] = ("mel", "bcc", "akiec")
#: Of these, what is not invasive yet.
PRE_MALIGNANT: Final[tuple[str, ...]] = ("akiec",)

NAMES: Final[dict[str, str]] = {
    "akiec": "Actinic keratosis or intraepithelial carcinoma (Bowen's disease)",
    "bcc": "Basal cell carcinoma",
    "bkl": "Benign keratosis (seborrhoeic keratosis, solar lentigo, lichen planus-like keratosis)",
    "df": "Dermatofibroma",
    "mel": "Melanoma",
    "nv": "Melanocytic naevus (mole)",
    "vasc": "Vascular lesion (angioma, angiokeratoma, pyogenic granuloma, haemorrhage)",
}
