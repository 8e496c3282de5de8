"""The ledger of erasures, and what the database itself keeps about the erased.

- The ledger is append-only, and whoever is in it gets no data key again.
- Of an erased patient no consent is in force.
- An answer stays final, but once its patient's key is gone it may lose its map and its embedding.
"""

from django.db import migrations, models

# The body of 0002, with what is new here in the place marked.
CONSENT = """
CREATE OR REPLACE FUNCTION diagnosis_consent_in_force(patient uuid, wanted varchar)
RETURNS boolean STABLE LANGUAGE sql AS $$
    SELECT coalesce((
        SELECT change = 'granted' FROM diagnosis_consentevent
        WHERE patient_id = patient AND scope = wanted
        ORDER BY effective_at DESC, (change = 'withdrawn') DESC, recorded_at DESC LIMIT 1
    ), false) {erased}
$$;
"""

GUARD = """
CREATE OR REPLACE FUNCTION diagnosis_guard_analysis() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        {erased}
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
"""

NOT_ERASED = "AND EXISTS (SELECT 1 FROM diagnosis_patient WHERE id = patient AND data_key_id IS NOT NULL)"

LOSES_SEALED = """
        IF TG_OP = 'UPDATE' AND OLD.state = NEW.state AND NEW.sealed_map IS NULL AND NEW.sealed_embedding IS NULL
            AND to_jsonb(NEW) = to_jsonb(OLD) || '{"sealed_map": null, "sealed_embedding": null}'
            AND EXISTS (
                SELECT 1 FROM diagnosis_case JOIN diagnosis_patient ON diagnosis_patient.id = diagnosis_case.patient_id
                WHERE diagnosis_case.id = OLD.case_id AND diagnosis_patient.data_key_id IS NULL
            )
        THEN
            RETURN NEW;
        END IF;
"""

LEDGER = """
CREATE TRIGGER erasure_is_append_only BEFORE UPDATE OR DELETE ON diagnosis_erasure
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();

CREATE FUNCTION diagnosis_refuse_key_of_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM diagnosis_erasure WHERE patient_id = NEW.id) THEN
        RAISE EXCEPTION 'patient % was erased and gets no data key again', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'erased_stays_erased';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER erased_stays_erased BEFORE INSERT ON diagnosis_datakey
    FOR EACH ROW EXECUTE FUNCTION diagnosis_refuse_key_of_erased();
"""

FORWARD = LEDGER + CONSENT.replace("{erased}", NOT_ERASED) + GUARD.replace("{erased}", LOSES_SEALED)
BACKWARD = (
    GUARD.replace("{erased}", "")
    + CONSENT.replace("{erased}", "")
    + """
DROP TRIGGER erased_stays_erased ON diagnosis_datakey;
DROP FUNCTION diagnosis_refuse_key_of_erased();
DROP TRIGGER erasure_is_append_only ON diagnosis_erasure;
"""
)


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0002_invariants")]

    operations = [
        migrations.CreateModel(
            name="Erasure",
            fields=[
                ("patient_id", models.UUIDField(primary_key=True, serialize=False)),
                ("organisation_id", models.UUIDField()),
                ("erased_at", models.DateTimeField()),
                ("erased_by", models.UUIDField(null=True)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("patient_request", "The patient asked for it"),
                            ("retention", "The retention period has passed"),
                            ("mistake", "Recorded by mistake"),
                        ],
                        max_length=20,
                    ),
                ),
            ],
            options={
                "ordering": ["erased_at", "patient_id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("reason__in", ["patient_request", "retention", "mistake"])),
                        name="erasure_reason_is_known",
                    )
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
