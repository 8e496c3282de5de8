"""Consent as evidence: signature and language, an end by the clock, and the rule in the database that knows of it."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# Of existing events nobody wrote down the language: it was the text's.
LANGUAGE = """
ALTER TABLE diagnosis_consentevent DISABLE TRIGGER consent_event_is_append_only;
UPDATE diagnosis_consentevent AS event SET language = policy.language
    FROM diagnosis_consentpolicy AS policy WHERE policy.id = event.policy_id AND policy.language <> event.language;
ALTER TABLE diagnosis_consentevent ENABLE TRIGGER consent_event_is_append_only;
"""

# The body of 0003: the last word decides, and now the clock. What was noted as expired is no word of the patient.
WITH_CLOCK = """
CREATE OR REPLACE FUNCTION diagnosis_consent_in_force(patient uuid, wanted varchar)
RETURNS boolean STABLE LANGUAGE sql AS $$
    SELECT coalesce((
        SELECT change = 'granted' AND (expires_at IS NULL OR expires_at > statement_timestamp())
        FROM diagnosis_consentevent
        WHERE patient_id = patient AND scope = wanted AND change <> 'expired'
        ORDER BY effective_at DESC, (change = 'withdrawn') DESC, recorded_at DESC LIMIT 1
    ), false) AND EXISTS (SELECT 1 FROM diagnosis_patient WHERE id = patient AND data_key_id IS NOT NULL)
$$;
"""
WITHOUT_CLOCK = """
CREATE OR REPLACE FUNCTION diagnosis_consent_in_force(patient uuid, wanted varchar)
RETURNS boolean STABLE LANGUAGE sql AS $$
    SELECT coalesce((
        SELECT change = 'granted' FROM diagnosis_consentevent
        WHERE patient_id = patient AND scope = wanted
        ORDER BY effective_at DESC, (change = 'withdrawn') DESC, recorded_at DESC LIMIT 1
    ), false) AND EXISTS (SELECT 1 FROM diagnosis_patient WHERE id = patient AND data_key_id IS NOT NULL)
$$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0008_release_and_shadow"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="consentevent",
            name="consent_change_is_known",
        ),
        migrations.RemoveConstraint(
            model_name="consentevent",
            name="consent_method_is_known",
        ),
        migrations.RemoveConstraint(
            model_name="consentevent",
            name="consent_counts_from_capture_withdrawal_from_recording",
        ),
        migrations.AddField(
            model_name="consentevent",
            name="ends",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="ended_by",
                to="diagnosis.consentevent",
            ),
        ),
        migrations.AddField(
            model_name="consentevent",
            name="expires_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="consentevent",
            name="language",
            field=models.CharField(
                default="en",
                max_length=10,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$",
                        "a language tag such as en, pt-BR or zh-Hant is needed",
                    )
                ],
            ),
            preserve_default=False,
        ),
        migrations.RunSQL(LANGUAGE, migrations.RunSQL.noop),
        migrations.AddField(
            model_name="consentevent",
            name="sealed_signature",
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name="consentpolicy",
            name="valid_months",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="Months after which a consent to this text has to be asked for again; empty: never.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(600)],
            ),
        ),
        migrations.AlterField(
            model_name="consentevent",
            name="change",
            field=models.CharField(
                choices=[("granted", "Granted"), ("withdrawn", "Withdrawn"), ("expired", "Expired")], max_length=10
            ),
        ),
        migrations.AlterField(
            model_name="consentevent",
            name="method",
            field=models.CharField(
                choices=[
                    ("signature", "Signature on screen"),
                    ("paper", "Signed on paper"),
                    ("spoken", "Spoken, with a witness"),
                    ("clock", "Its time was over"),
                ],
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="consentevent",
            name="recorded_by",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AlterField(
            model_name="consentpolicy",
            name="language",
            field=models.CharField(
                default="en",
                max_length=10,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$",
                        "a language tag such as en, pt-BR or zh-Hant is needed",
                    )
                ],
            ),
        ),
        migrations.AddIndex(
            model_name="consentevent",
            index=models.Index(
                condition=models.Q(("expires_at__isnull", False)), fields=["expires_at"], name="consent_expiring"
            ),
        ),
        migrations.AddConstraint(
            model_name="consentevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("change__in", ["granted", "withdrawn", "expired"])), name="consent_change_is_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="consentevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("method__in", ["signature", "paper", "spoken", "clock"])),
                name="consent_method_is_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="consentevent",
            constraint=models.CheckConstraint(
                condition=models.Q(("language__regex", "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$")),
                name="consent_language_is_a_tag",
            ),
        ),
        migrations.AddConstraint(
            model_name="consentevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("change__in", ["granted", "expired"]), ("effective_at", models.F("captured_at"))),
                    models.Q(("change", "withdrawn"), ("effective_at", models.F("recorded_at"))),
                    _connector="OR",
                ),
                name="consent_counts_from_capture_withdrawal_from_recording",
            ),
        ),
        migrations.AddConstraint(
            model_name="consentevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("expires_at__isnull", True),
                    models.Q(("change", "granted"), ("expires_at__gt", models.F("captured_at"))),
                    _connector="OR",
                ),
                name="consent_only_a_grant_expires_and_later",
            ),
        ),
        migrations.AddConstraint(
            model_name="consentevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("change", "expired"),
                        ("ends__isnull", False),
                        ("method", "clock"),
                        ("recorded_by__isnull", True),
                    ),
                    models.Q(
                        models.Q(("change", "expired"), _negated=True),
                        models.Q(("method", "clock"), _negated=True),
                        ("ends__isnull", True),
                        ("recorded_by__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="consent_expiry_names_its_grant_and_nobody",
            ),
        ),
        migrations.AddConstraint(
            model_name="consentpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("language__regex", "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?$")),
                name="consent_policy_language_is_a_tag",
            ),
        ),
        migrations.AddConstraint(
            model_name="consentpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("valid_months__isnull", True), ("valid_months__range", (1, 600)), _connector="OR"),
                name="consent_policy_validity_is_1_to_600_months",
            ),
        ),
        migrations.RunSQL(WITH_CLOCK, WITHOUT_CLOCK),
    ]
