"""When the consent under a referral ends stands in the referral, so that services see nothing of it from then on.

The database copies it: when a referral is made, and when the patient says something new about teledermatology.
"""

from django.db import migrations, models

FORWARD = """
CREATE FUNCTION diagnosis_teledermatology_ends(patient uuid) RETURNS timestamptz STABLE LANGUAGE sql AS $$
    SELECT expires_at FROM diagnosis_consentevent
    WHERE patient_id = patient AND scope = 'teledermatology' AND change <> 'expired'
    ORDER BY effective_at DESC, (change = 'withdrawn') DESC, recorded_at DESC LIMIT 1
$$;

CREATE FUNCTION diagnosis_consent_end_of_referral() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.consent_ends_at = diagnosis_teledermatology_ends(
        (SELECT patient_id FROM diagnosis_case WHERE id = NEW.case_id)
    );
    RETURN NEW;
END $$;
CREATE TRIGGER referral_consent_end BEFORE INSERT OR UPDATE OF consent_ends_at ON diagnosis_referral
    FOR EACH ROW EXECUTE FUNCTION diagnosis_consent_end_of_referral();

CREATE FUNCTION diagnosis_consent_end_to_referrals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE diagnosis_referral SET consent_ends_at = NULL FROM diagnosis_case
    WHERE diagnosis_case.id = diagnosis_referral.case_id AND diagnosis_case.patient_id = NEW.patient_id
        AND stopped_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER consent_end_to_referrals AFTER INSERT OR UPDATE OF expires_at ON diagnosis_consentevent
    FOR EACH ROW WHEN (NEW.scope = 'teledermatology' AND NEW.change <> 'expired')
    EXECUTE FUNCTION diagnosis_consent_end_to_referrals();

UPDATE diagnosis_referral SET consent_ends_at = NULL WHERE stopped_at IS NULL;
SET CONSTRAINTS ALL IMMEDIATE;
"""

BACKWARD = """
DROP TRIGGER consent_end_to_referrals ON diagnosis_consentevent;
DROP FUNCTION diagnosis_consent_end_to_referrals();
DROP TRIGGER referral_consent_end ON diagnosis_referral;
DROP FUNCTION diagnosis_consent_end_of_referral();
DROP FUNCTION diagnosis_teledermatology_ends(uuid);
"""


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0016_background")]

    operations = [
        migrations.AddField(
            model_name="referral",
            name="consent_ends_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
