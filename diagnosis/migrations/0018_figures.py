"""One narrow row a referral for the insight page, and triggers that note which are to be counted anew."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION diagnosis_count_all_again() RETURNS void LANGUAGE sql AS $$
    INSERT INTO diagnosis_figureswaiting (lesion_id)
        SELECT DISTINCT c.lesion_id FROM diagnosis_referral r JOIN diagnosis_case c ON c.id = r.case_id
$$;

CREATE FUNCTION diagnosis_count_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME IN ('diagnosis_outcome', 'diagnosis_case') THEN
        INSERT INTO diagnosis_figureswaiting (lesion_id) VALUES (NEW.lesion_id);
    ELSIF TG_TABLE_NAME IN ('diagnosis_referral', 'diagnosis_analysis') THEN
        INSERT INTO diagnosis_figureswaiting (lesion_id) SELECT lesion_id FROM diagnosis_case WHERE id = NEW.case_id;
    ELSE
        INSERT INTO diagnosis_figureswaiting (lesion_id)
            SELECT c.lesion_id FROM diagnosis_referral r JOIN diagnosis_case c ON c.id = r.case_id
            WHERE r.id = NEW.referral_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER count_new_referral AFTER INSERT ON diagnosis_referral
    FOR EACH ROW EXECUTE FUNCTION diagnosis_count_again();
CREATE TRIGGER count_changed_referral AFTER UPDATE ON diagnosis_referral FOR EACH ROW
    WHEN ((OLD.state, OLD.urgency, OLD.sent_at, OLD.due_at, OLD.claimed_at, OLD.answered_at, OLD.stopped_at,
           OLD.consent_ends_at, OLD.service_id, OLD.clinic_id)
        IS DISTINCT FROM
          (NEW.state, NEW.urgency, NEW.sent_at, NEW.due_at, NEW.claimed_at, NEW.answered_at, NEW.stopped_at,
           NEW.consent_ends_at, NEW.service_id, NEW.clinic_id))
    EXECUTE FUNCTION diagnosis_count_again();
-- Also of cases that nobody referred yet: a referral that is being made at this moment is not seen from here.
CREATE TRIGGER count_analysis AFTER UPDATE ON diagnosis_analysis FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.state IN ('answered', 'abstained', 'failed'))
    EXECUTE FUNCTION diagnosis_count_again();
CREATE TRIGGER count_assessment AFTER INSERT ON diagnosis_assessment
    FOR EACH ROW EXECUTE FUNCTION diagnosis_count_again();
CREATE TRIGGER count_read AFTER INSERT ON diagnosis_firstread
    FOR EACH ROW EXECUTE FUNCTION diagnosis_count_again();
CREATE TRIGGER count_outcome AFTER INSERT ON diagnosis_outcome
    FOR EACH ROW EXECUTE FUNCTION diagnosis_count_again();
-- A correction of who the patient is reaches the snapshots in the cases.
CREATE TRIGGER count_corrected_case AFTER UPDATE ON diagnosis_case FOR EACH ROW
    WHEN ((OLD.age_approx, OLD.sex, OLD.anatom_site_general, OLD.fitzpatrick_skin_type, OLD.suspicion)
        IS DISTINCT FROM
          (NEW.age_approx, NEW.sex, NEW.anatom_site_general, NEW.fitzpatrick_skin_type, NEW.suspicion))
    EXECUTE FUNCTION diagnosis_count_again();

SELECT diagnosis_count_all_again();
"""

BACKWARD = """
DROP TRIGGER count_corrected_case ON diagnosis_case;
DROP TRIGGER count_outcome ON diagnosis_outcome;
DROP TRIGGER count_read ON diagnosis_firstread;
DROP TRIGGER count_assessment ON diagnosis_assessment;
DROP TRIGGER count_analysis ON diagnosis_analysis;
DROP TRIGGER count_changed_referral ON diagnosis_referral;
DROP TRIGGER count_new_referral ON diagnosis_referral;
DROP FUNCTION diagnosis_count_again();
DROP FUNCTION diagnosis_count_all_again();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0017_consent_ends_at"),
    ]

    operations = [
        migrations.CreateModel(
            name="FiguresWaiting",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("lesion_id", models.UUIDField()),
            ],
            options={
                "verbose_name_plural": "figures waiting",
            },
        ),
        migrations.CreateModel(
            name="ReferralFigures",
            fields=[
                (
                    "referral",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="figures",
                        serialize=False,
                        to="diagnosis.referral",
                    ),
                ),
                ("service_id", models.UUIDField()),
                ("clinic_id", models.UUIDField()),
                ("sent_at", models.DateTimeField()),
                ("week", models.DateField()),
                ("due_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(null=True)),
                ("claim_hours", models.FloatField(null=True)),
                ("answer_hours", models.FloatField(null=True)),
                ("consent_ends_at", models.DateTimeField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("sent", "Sent"),
                            ("accepted", "Accepted"),
                            ("more_information_asked", "More information asked"),
                            ("answered", "Answered"),
                            ("closed", "Closed"),
                            ("declined", "Declined"),
                            ("withdrawn", "Withdrawn"),
                            ("expired", "Expired"),
                        ],
                        max_length=30,
                    ),
                ),
                (
                    "urgency",
                    models.CharField(
                        choices=[
                            ("routine", "Routine"),
                            ("soon", "Soon"),
                            ("urgent_suspected_cancer", "Urgent: suspected cancer"),
                        ],
                        max_length=30,
                    ),
                ),
                ("counted", models.BooleanField()),
                ("signed", models.BooleanField()),
                ("age_approx", models.PositiveSmallIntegerField(null=True)),
                ("sex", models.CharField(blank=True, choices=[("female", "Female"), ("male", "Male")], max_length=10)),
                (
                    "anatom_site_general",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("anterior torso", "Anterior torso (chest, abdomen)"),
                            ("posterior torso", "Posterior torso (back)"),
                            ("lateral torso", "Lateral torso (flank)"),
                            ("head/neck", "Head or neck"),
                            ("upper extremity", "Upper extremity"),
                            ("lower extremity", "Lower extremity"),
                            ("palms/soles", "Palms or soles"),
                            ("oral/genital", "Oral or genital (mucosa)"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "fitzpatrick_skin_type",
                    models.CharField(
                        blank=True,
                        choices=[("I", "I"), ("II", "II"), ("III", "III"), ("IV", "IV"), ("V", "V"), ("VI", "VI")],
                        max_length=3,
                    ),
                ),
                (
                    "network_state",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("not_requested", "Not requested: no consent to analysis"),
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("answered", "Answered"),
                            ("abstained", "Abstained: human review"),
                            ("failed", "Failed"),
                        ],
                        max_length=13,
                    ),
                ),
                ("risk", models.FloatField(null=True)),
                ("distance", models.FloatField(null=True)),
                ("clinician_call", models.BooleanField(null=True)),
                ("network_call", models.BooleanField(null=True)),
                ("read_call", models.BooleanField(null=True)),
                ("signed_call", models.BooleanField(null=True)),
                ("histology_call", models.BooleanField(null=True)),
                (
                    "network_class",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("akiec", "akiec"),
                            ("bcc", "bcc"),
                            ("bkl", "bkl"),
                            ("df", "df"),
                            ("mel", "mel"),
                            ("nv", "nv"),
                            ("vasc", "vasc"),
                        ],
                        max_length=5,
                    ),
                ),
                (
                    "signed_class",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("akiec", "akiec"),
                            ("bcc", "bcc"),
                            ("bkl", "bkl"),
                            ("df", "df"),
                            ("mel", "mel"),
                            ("nv", "nv"),
                            ("vasc", "vasc"),
                        ],
                        max_length=5,
                    ),
                ),
                (
                    "histology_class",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("akiec", "akiec"),
                            ("bcc", "bcc"),
                            ("bkl", "bkl"),
                            ("df", "df"),
                            ("mel", "mel"),
                            ("nv", "nv"),
                            ("vasc", "vasc"),
                        ],
                        max_length=5,
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "referral figures",
                "indexes": [
                    models.Index(fields=["service_id", "sent_at"], name="figures_of_service"),
                    models.Index(fields=["clinic_id", "sent_at"], name="figures_of_clinic"),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
