"""Who saw the network's answer to any referral of a lesion does not read that lesion blind any more."""

from django.db import migrations

GUARD = """
CREATE OR REPLACE FUNCTION diagnosis_guard_read() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.blind AND EXISTS ({shown}) THEN
        RAISE EXCEPTION 'read %: the reader has seen the answer before', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'read_is_blind_only_before_the_answer';
    END IF;
    RETURN NEW;
END $$;
"""

OF_THE_LESION = """
        SELECT 1 FROM diagnosis_answershown shown
        JOIN diagnosis_referral referral ON referral.id = shown.referral_id
        JOIN diagnosis_case seen ON seen.id = referral.case_id
        WHERE shown.reader_id = NEW.reader_id AND seen.lesion_id = (
            SELECT c.lesion_id FROM diagnosis_referral r JOIN diagnosis_case c ON c.id = r.case_id
            WHERE r.id = NEW.referral_id
        )
    """

OF_THE_REFERRAL = """
        SELECT 1 FROM diagnosis_answershown WHERE referral_id = NEW.referral_id AND reader_id = NEW.reader_id
    """


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0022_outcomes_newest_first")]

    operations = [migrations.RunSQL(GUARD.format(shown=OF_THE_LESION), GUARD.format(shown=OF_THE_REFERRAL))]
