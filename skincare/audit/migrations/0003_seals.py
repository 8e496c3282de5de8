"""Events know their transaction, and seals chain them; seals are append-only as events are."""

import django.contrib.postgres.fields
from django.db import migrations, models

FORWARD = """
CREATE TRIGGER audit_seal_is_append_only BEFORE UPDATE OR DELETE ON audit_auditseal
    FOR EACH ROW EXECUTE FUNCTION skincare_refuse_change();

-- A transaction gets its number before its event gets an id. So an event that shows up behind a sealed one with a
-- larger id has a number that had been given out when that one was sealed; any other was put there by hand.
CREATE FUNCTION skincare_number_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    RETURN NULL;
END $$;
CREATE TRIGGER audit_transaction_has_a_number BEFORE INSERT ON audit_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION skincare_number_transaction();

-- The application's role may not lock the table, having no right to change it; after a restore the sealer has to, once.
CREATE FUNCTION skincare_hold_audit() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    LOCK TABLE public.audit_auditevent IN SHARE MODE;
END $$;
"""

BACKWARD = """
DROP FUNCTION skincare_hold_audit();
DROP TRIGGER audit_transaction_has_a_number ON audit_auditevent;
DROP FUNCTION skincare_number_transaction();
DROP TRIGGER audit_seal_is_append_only ON audit_auditseal;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]

    operations = [
        migrations.AddField(
            model_name="auditevent",
            name="transaction",
            field=models.BigIntegerField(
                db_default=models.Func(
                    function="pg_current_xact_id",
                    output_field=models.BigIntegerField(),
                    template="(%(function)s()::text::bigint)",
                ),
                editable=False,
            ),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["transaction", "id"], name="audit_in_order_of_commit"),
        ),
        migrations.CreateModel(
            name="AuditSeal",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("previous_hash", models.BinaryField(max_length=32)),
                ("hash", models.BinaryField(max_length=32, unique=True)),
                ("at", models.DateTimeField()),
                ("cluster", models.CharField(max_length=20)),
                ("floor", models.BigIntegerField()),
                ("horizon_transaction", models.BigIntegerField()),
                ("horizon_event", models.BigIntegerField()),
                ("next_transaction", models.BigIntegerField()),
                ("highest_event", models.BigIntegerField()),
                ("events", django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ("digests", models.BinaryField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("number__gte", 1)), name="audit_seals_count_from_one"),
                ],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
