"""Corrections of patients' data, kept as they were made."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION diagnosis_guard_correction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'correction %: corrections are neither changed nor deleted', OLD.id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'correction_is_append_only';
END $$;
CREATE TRIGGER correction_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_patientcorrection
    FOR EACH ROW EXECUTE FUNCTION diagnosis_guard_correction();
"""
BACKWARD = """
DROP TRIGGER correction_is_append_only ON diagnosis_patientcorrection;
DROP FUNCTION diagnosis_guard_correction();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0020_index_keys"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PatientCorrection",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("corrected_at", models.DateTimeField()),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("patient_request", "The patient asked for it"),
                            ("recorded_wrongly", "It was recorded wrongly"),
                            ("changed", "It has changed since, such as a name by marriage"),
                        ],
                        max_length=20,
                    ),
                ),
                ("sealed_before", models.BinaryField()),
                (
                    "corrected_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="corrections", to="diagnosis.patient"
                    ),
                ),
            ],
            options={
                "ordering": ["-corrected_at", "-id"],
                "indexes": [models.Index(fields=["patient", "-corrected_at"], name="correction_of_patient")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason__in", ["patient_request", "recorded_wrongly", "changed"])),
                        name="correction_reason_is_known",
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
