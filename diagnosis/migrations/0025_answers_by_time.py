"""An index for answers since a time, which every phone asks for again and again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0024_figures_of_patients")]

    operations = [
        migrations.AddIndex(
            model_name="analysis",
            index=models.Index(fields=["finished_at"], name="analysis_by_end"),
        ),
    ]
