"""An index for the list of outcomes, which shows the newest first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0021_corrections")]

    operations = [
        migrations.AddIndex(
            model_name="outcome",
            index=models.Index(fields=["-recorded_at", "id"], name="outcome_newest"),
        ),
    ]
