"""Invariants of referrals that the database itself keeps.

- A referral goes to a dermatology service, is before it only under a consent to teledermatology in force, and moves
  from state to state only as ``diagnosis.services.referral_states`` says (a test holds the two together).
- A referral is never deleted, and never becomes one of another case or service.
- Reads, showings of the network's answer, assessments, messages and outcomes are append-only. Who saw the answer
  before reading did not read blind.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION diagnosis_guard_referral() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'referral %: referrals are not deleted', OLD.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'referral_is_kept';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'sent' THEN
            RAISE EXCEPTION 'referral %: begins as sent, not as %', NEW.id, NEW.state
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'referral_state_follows';
        END IF;
        IF NOT EXISTS (
            SELECT 1 FROM accounts_organisation WHERE id = NEW.service_id AND kind = 'dermatology_service'
        ) THEN
            RAISE EXCEPTION 'referral %: % is no dermatology service', NEW.id, NEW.service_id
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'referral_goes_to_a_service';
        END IF;
    ELSE
        IF (NEW.case_id, NEW.service_id, NEW.referred_by_id, NEW.sent_at)
            IS DISTINCT FROM (OLD.case_id, OLD.service_id, OLD.referred_by_id, OLD.sent_at) THEN
            RAISE EXCEPTION 'referral %: case, service, sender and time stay', OLD.id
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'referral_stays_itself';
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
        IF (OLD.state, NEW.state) NOT IN (
            ('sent', 'accepted'), ('sent', 'declined'), ('sent', 'withdrawn'), ('sent', 'expired'),
            ('accepted', 'sent'), ('accepted', 'more_information_asked'), ('accepted', 'answered'),
            ('accepted', 'declined'), ('accepted', 'withdrawn'), ('accepted', 'expired'),
            ('more_information_asked', 'accepted'), ('more_information_asked', 'answered'),
            ('more_information_asked', 'declined'), ('more_information_asked', 'withdrawn'),
            ('more_information_asked', 'expired'),
            ('answered', 'closed'), ('closed', 'answered')
        ) THEN
            RAISE EXCEPTION 'referral %: from % not to %', OLD.id, OLD.state, NEW.state
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'referral_state_follows';
        END IF;
    END IF;
    IF NEW.state IN ('sent', 'accepted', 'more_information_asked', 'answered') AND NOT diagnosis_consent_in_force(
        (SELECT patient_id FROM diagnosis_case WHERE id = NEW.case_id), 'teledermatology'
    ) THEN
        RAISE EXCEPTION 'referral %: no consent to teledermatology is in force', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'referral_needs_consent';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER referral_guard BEFORE INSERT OR UPDATE OR DELETE ON diagnosis_referral
    FOR EACH ROW EXECUTE FUNCTION diagnosis_guard_referral();

CREATE FUNCTION diagnosis_guard_read() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.blind AND EXISTS (
        SELECT 1 FROM diagnosis_answershown WHERE referral_id = NEW.referral_id AND reader_id = NEW.reader_id
    ) THEN
        RAISE EXCEPTION 'read %: the reader has seen the answer before', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'read_is_blind_only_before_the_answer';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER read_guard BEFORE INSERT ON diagnosis_firstread
    FOR EACH ROW EXECUTE FUNCTION diagnosis_guard_read();

CREATE TRIGGER read_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_firstread
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();
CREATE TRIGGER answer_shown_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_answershown
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();
CREATE TRIGGER assessment_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_assessment
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();
CREATE TRIGGER message_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_message
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();
CREATE TRIGGER outcome_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_outcome
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();
"""

BACKWARD = """
DROP TRIGGER outcome_is_append_only ON diagnosis_outcome;
DROP TRIGGER message_is_append_only ON diagnosis_message;
DROP TRIGGER assessment_is_append_only ON diagnosis_assessment;
DROP TRIGGER answer_shown_is_append_only ON diagnosis_answershown;
DROP TRIGGER read_is_append_only ON diagnosis_firstread;
DROP TRIGGER read_guard ON diagnosis_firstread;
DROP FUNCTION diagnosis_guard_read();
DROP TRIGGER referral_guard ON diagnosis_referral;
DROP FUNCTION diagnosis_guard_referral();
"""


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0005_referrals")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
