"""Patients are found by name and birth date, too: a keyed index of both, filled for those whose keys are at hand."""

from typing import Any

from django.db import migrations, models

from diagnosis.services.name_indexes import index_missing_names


def fill(apps: Any, schema_editor: Any) -> None:
    """Index those who are there; `manage.py rotate_keys` indexes the others once their master keys are configured."""
    index_missing_names(apps.get_model("diagnosis", "Patient"), apps.get_model("diagnosis", "DataKey"))


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0012_referral_clinic_and_site")]

    operations = [
        migrations.AddField(
            model_name="patient",
            name="name_index",
            field=models.BinaryField(max_length=32, null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(
                condition=models.Q(("name_index__isnull", False)), fields=["name_index"], name="patient_by_name"
            ),
        ),
    ]
