"""What clinicians decide about cases: kept as it was said; only that somebody was reminded is written later."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION diagnosis_guard_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.reminded_at IS NULL AND NEW.reminded_at IS NOT NULL
        AND to_jsonb(NEW) - 'reminded_at' = to_jsonb(OLD) - 'reminded_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'decision %: decisions are neither changed nor deleted', OLD.id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'decision_is_append_only';
END $$;
CREATE TRIGGER decision_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_decision
    FOR EACH ROW EXECUTE FUNCTION diagnosis_guard_decision();
"""
BACKWARD = """
DROP TRIGGER decision_is_append_only ON diagnosis_decision;
DROP FUNCTION diagnosis_guard_decision();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0009_consent_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Decision",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("observe", "Keep under observation"), ("close", "Close")], max_length=10
                    ),
                ),
                ("decided_at", models.DateTimeField()),
                ("remind_on", models.DateField(null=True)),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("harmless", "Harmless in my judgement"),
                            ("treated", "Treated here"),
                            ("sent_elsewhere", "Referred another way"),
                            ("patient_declined", "The patient wishes no more"),
                            ("mistake", "Entered by mistake"),
                        ],
                        max_length=20,
                    ),
                ),
                ("sealed_note", models.BinaryField(null=True)),
                ("reminded_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-decided_at", "-id"],
            },
        ),
        migrations.AddField(
            model_name="notification",
            name="case",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="diagnosis.case"
            ),
        ),
        migrations.AlterField(
            model_name="notification",
            name="referral",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="diagnosis.referral"
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("case__isnull", True), ("referral__isnull", False)),
                    models.Q(("case__isnull", False), ("referral__isnull", True)),
                    _connector="OR",
                ),
                name="notification_is_about_one_thing",
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="case",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="decisions", to="diagnosis.case"
            ),
        ),
        migrations.AddField(
            model_name="decision",
            name="decided_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["case", "-decided_at"], name="decision_of_case"),
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(
                condition=models.Q(("kind", "observe"), ("reminded_at__isnull", True)),
                fields=["remind_on"],
                name="decision_to_remind",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "observe"), ("reason", ""), ("remind_on__isnull", False)),
                    models.Q(
                        ("kind", "close"),
                        ("reason__in", ["harmless", "treated", "sent_elsewhere", "patient_declined", "mistake"]),
                        ("remind_on__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="decision_is_whole",
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("reminded_at__isnull", True),
                    models.Q(("remind_on__isnull", False), ("reminded_at__gte", models.F("decided_at"))),
                    _connector="OR",
                ),
                name="decision_reminds_later",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
