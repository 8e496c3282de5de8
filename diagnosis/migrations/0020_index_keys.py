"""The index key can be rotated: patients tell under which they stand, and webhooks' secrets rest on it no more."""

from django.db import migrations, models

from skincare.encryption import blind_indexes, seal_text


def seal_secrets(apps, schema_editor):
    """Integrators keep the secrets that they were given."""
    for webhook in apps.get_model("diagnosis", "Webhook").objects.all():
        secret = blind_indexes(str(webhook.pk), purpose="webhook-secret", salt=webhook.salt)[0].hex()
        webhook.sealed_secret = seal_text(secret, place=f"webhook:{webhook.pk}")
        webhook.save(update_fields=["sealed_secret"])


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0019_reference_sets_in_turns")]

    operations = [
        migrations.AddField(
            model_name="patient",
            name="index_key_id",
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.AddField(
            model_name="webhook",
            name="sealed_secret",
            field=models.TextField(default=""),
            preserve_default=False,
        ),
        migrations.RunPython(seal_secrets, migrations.RunPython.noop),
        migrations.RemoveField(model_name="webhook", name="salt"),
    ]
