"""Clinic and site of a referral's case stand in the referral too, so that a worklist of a hundred thousand narrowed to
one of them is served by an index (see docs/decisions/0160). The database writes them itself, from the case.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION diagnosis_clinic_and_site_of_referral() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT organisation_id, anatom_site_general INTO NEW.clinic_id, NEW.anatom_site_general
        FROM diagnosis_case WHERE id = NEW.case_id;
    RETURN NEW;
END $$;
CREATE TRIGGER referral_clinic_and_site
    BEFORE INSERT OR UPDATE OF case_id, clinic_id, anatom_site_general ON diagnosis_referral
    FOR EACH ROW EXECUTE FUNCTION diagnosis_clinic_and_site_of_referral();
UPDATE diagnosis_referral SET clinic_id = NULL;
SET CONSTRAINTS ALL IMMEDIATE;
"""

BACKWARD = """
DROP TRIGGER referral_clinic_and_site ON diagnosis_referral;
DROP FUNCTION diagnosis_clinic_and_site_of_referral();
"""


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0011_reference_sets")]

    operations = [
        migrations.AddField(
            model_name="referral",
            name="anatom_site_general",
            field=models.CharField(
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
                editable=False,
                max_length=20,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="referral",
            name="clinic",
            field=models.ForeignKey(
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AlterField(
            model_name="referral",
            name="anatom_site_general",
            field=models.CharField(
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
                editable=False,
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="referral",
            name="clinic",
            field=models.ForeignKey(
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddIndex(
            model_name="referral",
            index=models.Index(
                condition=models.Q(("state__in", ["sent", "accepted", "more_information_asked"])),
                fields=["service", "state", "sort_key", "id"],
                name="referral_worklist_by_state",
            ),
        ),
        migrations.AddIndex(
            model_name="referral",
            index=models.Index(
                condition=models.Q(("state__in", ["sent", "accepted", "more_information_asked"])),
                fields=["service", "urgency", "sort_key", "id"],
                name="referral_worklist_by_urgency",
            ),
        ),
        migrations.AddIndex(
            model_name="referral",
            index=models.Index(
                condition=models.Q(("state__in", ["sent", "accepted", "more_information_asked"])),
                fields=["service", "anatom_site_general", "sort_key", "id"],
                name="referral_worklist_by_site",
            ),
        ),
        migrations.AddIndex(
            model_name="referral",
            index=models.Index(
                condition=models.Q(("state__in", ["sent", "accepted", "more_information_asked"])),
                fields=["service", "clinic", "sort_key", "id"],
                name="referral_worklist_by_clinic",
            ),
        ),
        migrations.AddIndex(
            model_name="referral",
            index=models.Index(fields=["clinic", "-sent_at", "-id"], name="referral_of_clinic"),
        ),
        migrations.AddIndex(
            model_name="referral",
            index=models.Index(
                condition=models.Q(("answered_at__isnull", False)),
                fields=["service", "-answered_at"],
                name="referral_answered",
            ),
        ),
    ]
