"""Diagnoses as a doctor states them: a hierarchy in the words of the ISIC dictionary, mapped to the seven classes.

The table beside this file (``diagnoses.csv``) has one row a diagnosis: a stable code, up to four levels (the ISIC
dictionary's ``diagnosis_1`` to ``diagnosis_4``), and the class of HAM10000 that it falls into, if any. An invasive
squamous cell carcinoma has none: HAM10000's ``akiec`` holds actinic keratosis and carcinoma in situ only.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from diagnosis.classifier.taxonomy import CLASSES, MALIGNANT

TABLE: Final = Path(__file__).with_name("diagnoses.csv")
#: Longest code, for the columns that hold one.
LONGEST_CODE: Final = 60


@dataclass(frozen=True)
class Diagnosis:
    """One row of the table."""

    code: str
    levels: tuple[str, ...]
    """One to four names, from the most general to the most specific."""
    network_class: str
    """One of ``taxonomy.CLASSES``; empty where HAM10000 has no such class."""

    @property
    def name(self) -> str:
        """The most specific level."""
        return self.levels[-1]

    @property
    def malignant(self) -> bool:
        """Malignant or pre-malignant: the dictionary's first level says so, or the class is one of the malignant."""
        return self.levels[0] == "Malignant" or self.network_class in MALIGNANT

    @property
    def undecided(self) -> bool:
        """Neither benign nor malignant by the dictionary, and in none of the seven classes."""
        return self.levels[0] == "Indeterminate" and not self.network_class


@lru_cache(maxsize=1)
def diagnoses() -> dict[str, Diagnosis]:
    """The table by code, in its order: parents stand before their children.

    Raises:
        ValueError: a row names an unknown class, has a gap in its levels, or a code that is too long or not unique.
    """
    found: dict[str, Diagnosis] = {}
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            levels = [row[f"level_{number}"] for number in range(1, 5)]
            filled = tuple(level for level in levels if level)
            code, network_class = row["code"], row["class"]
            if not filled or list(filled) != levels[: len(filled)]:
                raise ValueError(f"{TABLE.name}: {code} has a gap in its levels")
            if network_class and network_class not in CLASSES:
                raise ValueError(f"{TABLE.name}: {code} names the class {network_class!r}")
            if code in found or not 0 < len(code) <= LONGEST_CODE:
                raise ValueError(f"{TABLE.name}: the code {code!r} is not unique or not 1 to {LONGEST_CODE} long")
            found[code] = Diagnosis(code, filled, network_class)
    return found


def agree(one: str, other: str) -> bool:
    """Whether two diagnoses say the same for what follows: the same class, or without one the same second level.

    Args:
        one, other: codes of the table.
    """
    first, second = diagnoses()[one], diagnoses()[other]
    if first.network_class or second.network_class:
        return first.network_class == second.network_class
    return first.levels[:2] == second.levels[:2]
