"""Emergency access: policies, accesses that can only be ended, and notices of them."""

import uuid

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# Of an access only its end can be written, once; and erasing the patient takes the words.
GUARD = """
CREATE FUNCTION diagnosis_guard_emergency() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.ended_at IS NULL OR NEW.ended_at IS NOT DISTINCT FROM OLD.ended_at)
        AND (NEW.sealed_explanation IS NULL OR NEW.sealed_explanation = OLD.sealed_explanation)
        AND to_jsonb(NEW) - 'sealed_explanation' - 'ended_at' - 'ended_by_id'
            = to_jsonb(OLD) - 'sealed_explanation' - 'ended_at' - 'ended_by_id'
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'emergency access %: only its end is written, once', OLD.id
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'emergency_is_kept';
END $$;
CREATE TRIGGER emergency_is_kept BEFORE UPDATE OR DELETE ON diagnosis_emergencyaccess
    FOR EACH ROW EXECUTE FUNCTION diagnosis_guard_emergency();
"""
UNGUARD = """
DROP TRIGGER emergency_is_kept ON diagnosis_emergencyaccess;
DROP FUNCTION diagnosis_guard_emergency();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_second_factors"),
        ("diagnosis", "0014_queue_by_the_databases_clock"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="EmergencyAccess",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, primary_key=True, serialize=False)),
                ("opened_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("unable_to_consent", "The patient cannot speak for themselves"),
                            ("acute", "Acute treatment that cannot wait for a referral"),
                            ("clinic_unreachable", "The patient's clinic cannot be reached in time"),
                        ],
                        max_length=20,
                    ),
                ),
                ("sealed_explanation", models.BinaryField(null=True)),
            ],
            options={
                "verbose_name_plural": "emergency accesses",
                "ordering": ["-opened_at", "id"],
            },
        ),
        migrations.CreateModel(
            name="EmergencyPolicy",
            fields=[
                (
                    "organisation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="emergency_policy",
                        serialize=False,
                        to="accounts.organisation",
                    ),
                ),
                ("enabled", models.BooleanField(default=False)),
                (
                    "minutes",
                    models.PositiveSmallIntegerField(
                        default=60,
                        validators=[
                            django.core.validators.MinValueValidator(15),
                            django.core.validators.MaxValueValidator(480),
                        ],
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "emergency policies",
            },
        ),
        migrations.RemoveConstraint(
            model_name="notification",
            name="notification_is_about_one_thing",
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="ended_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="opened_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="emergency_accesses",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="organisation",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.organisation"
            ),
        ),
        migrations.AddField(
            model_name="emergencyaccess",
            name="patient",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="emergency_accesses", to="diagnosis.patient"
            ),
        ),
        migrations.AddField(
            model_name="notification",
            name="emergency",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="notices",
                to="diagnosis.emergencyaccess",
            ),
        ),
        migrations.AddConstraint(
            model_name="notification",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("case__isnull", True), ("emergency__isnull", True), ("referral__isnull", False)),
                    models.Q(("case__isnull", False), ("emergency__isnull", True), ("referral__isnull", True)),
                    models.Q(("case__isnull", True), ("emergency__isnull", False), ("referral__isnull", True)),
                    _connector="OR",
                ),
                name="notification_is_about_one_thing",
            ),
        ),
        migrations.AddField(
            model_name="emergencypolicy",
            name="open_to",
            field=models.ManyToManyField(blank=True, related_name="+", to="accounts.organisation"),
        ),
        migrations.AddIndex(
            model_name="emergencyaccess",
            index=models.Index(fields=["opened_by", "-opened_at", "id"], name="emergency_newest_first"),
        ),
        migrations.AddIndex(
            model_name="emergencyaccess",
            index=models.Index(fields=["organisation", "-opened_at", "id"], name="emergency_of_organisation"),
        ),
        migrations.AddConstraint(
            model_name="emergencyaccess",
            constraint=models.CheckConstraint(
                condition=models.Q(("ends_at__gt", models.F("opened_at"))), name="emergency_ends_after_it_begins"
            ),
        ),
        migrations.AddConstraint(
            model_name="emergencyaccess",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason__in", ["unable_to_consent", "acute", "clinic_unreachable"])),
                name="emergency_reason_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="emergencyaccess",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", True), ("ended_by__isnull", True)),
                    models.Q(("ended_at__isnull", False), ("ended_by__isnull", False)),
                    _connector="OR",
                ),
                name="emergency_is_ended_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="emergencypolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("minutes__range", (15, 480))), name="emergency_lasts_15_minutes_to_8_hours"
            ),
        ),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
