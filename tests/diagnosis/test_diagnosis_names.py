"""The translatable names of diagnoses say, in English, what the classifier's own words say."""

from django.utils.translation import override

from diagnosis.classifier.diagnoses import diagnoses
from diagnosis.classifier.taxonomy import NAMES
from diagnosis.models.diagnosis_names import CLASS_NAMES, levels_of, name_of


def test_each_class_is_called_as_the_classifier_calls_it() -> None:
    with override("en"):
        assert {code: str(name) for code, name in CLASS_NAMES.items()} == NAMES


def test_every_level_of_the_dictionary_has_a_name() -> None:
    with override("en"):
        assert {code: levels_of(code) for code in diagnoses()} == {
            code: list(each.levels) for code, each in diagnoses().items()
        }
        assert [name_of(code) for code in diagnoses()] == [each.name for each in diagnoses().values()]
