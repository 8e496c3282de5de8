"""Invariants that the database itself keeps, beyond what Django's constraints can say.

- A case's lesion, patient and organisation belong together.
- Consent policies and consent events are append-only.
- An analysis waits, runs and answers only under a consent in force; an answer is final.
- A case exists whole: with its analysis and at least one photograph.
"""

from django.db import migrations

FORWARD = """
ALTER TABLE diagnosis_case
    ADD CONSTRAINT case_lesion_is_of_patient FOREIGN KEY (lesion_id, patient_id)
        REFERENCES diagnosis_lesion (id, patient_id),
    ADD CONSTRAINT case_patient_is_of_organisation FOREIGN KEY (patient_id, organisation_id)
        REFERENCES diagnosis_patient (id, organisation_id);

CREATE TRIGGER consent_event_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_consentevent
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();
CREATE TRIGGER consent_policy_is_immutable BEFORE UPDATE OR DELETE ON diagnosis_consentpolicy
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();

-- The same rule as diagnosis.services.consents.consent_in_force; a test holds them together.
CREATE FUNCTION diagnosis_consent_in_force(patient uuid, wanted varchar) RETURNS boolean STABLE LANGUAGE sql AS $$
    SELECT coalesce((
        SELECT change = 'granted' FROM diagnosis_consentevent
        WHERE patient_id = patient AND scope = wanted
        ORDER BY effective_at DESC, (change = 'withdrawn') DESC, recorded_at DESC LIMIT 1
    ), false)
$$;

CREATE FUNCTION diagnosis_guard_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        IF OLD.state IN ('answered', 'abstained') THEN
            RAISE EXCEPTION 'analysis % is %: it can not be changed', OLD.id, OLD.state
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'analysis_answer_is_final';
        END IF;
        IF TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'analysis %: analyses are not deleted', OLD.id
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'analysis_is_kept';
        END IF;
        IF OLD.state IN ('failed', 'not_requested') AND NEW.state NOT IN (OLD.state, 'waiting') THEN
            RAISE EXCEPTION 'analysis %: from % only to waiting, not to %', OLD.id, OLD.state, NEW.state
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'analysis_state_follows';
        END IF;
        IF NEW.state = OLD.state THEN
            RETURN NEW;
        END IF;
    END IF;
    IF NEW.state IN ('waiting', 'running', 'answered', 'abstained') AND NOT diagnosis_consent_in_force(
        (SELECT patient_id FROM diagnosis_case WHERE id = NEW.case_id), 'analysis'
    ) THEN
        RAISE EXCEPTION 'analysis %: no consent to analysis is in force', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'analysis_needs_consent';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER analysis_guard BEFORE INSERT OR UPDATE OR DELETE ON diagnosis_analysis
    FOR EACH ROW EXECUTE FUNCTION diagnosis_guard_analysis();

CREATE FUNCTION diagnosis_case_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM diagnosis_analysis WHERE case_id = NEW.id)
        OR NOT EXISTS (SELECT 1 FROM diagnosis_caseimage WHERE case_id = NEW.id) THEN
        RAISE EXCEPTION 'case % has no analysis or no photograph', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'case_is_whole';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER case_is_whole AFTER INSERT ON diagnosis_case
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION diagnosis_case_is_whole();
"""

BACKWARD = """
DROP TRIGGER case_is_whole ON diagnosis_case;
DROP FUNCTION diagnosis_case_is_whole();
DROP TRIGGER analysis_guard ON diagnosis_analysis;
DROP FUNCTION diagnosis_guard_analysis();
DROP FUNCTION diagnosis_consent_in_force(uuid, varchar);
DROP TRIGGER consent_policy_is_immutable ON diagnosis_consentpolicy;
DROP TRIGGER consent_event_is_append_only ON diagnosis_consentevent;
ALTER TABLE diagnosis_case DROP CONSTRAINT case_patient_is_of_organisation, DROP CONSTRAINT case_lesion_is_of_patient;
"""


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0001_initial"), ("audit", "0002_append_only")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
