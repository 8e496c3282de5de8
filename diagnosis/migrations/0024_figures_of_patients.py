"""Marks by which the figures tell how many patients they are of; all are counted anew."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0023_blind_by_lesion")]

    operations = [
        migrations.RunSQL("DELETE FROM diagnosis_referralfigures", migrations.RunSQL.noop),
        migrations.AddField(model_name="referralfigures", name="patient_mark", field=models.BigIntegerField(null=True)),
        migrations.AddConstraint(
            model_name="referralfigures",
            constraint=models.CheckConstraint(
                condition=Q(("counted", False), ("patient_mark__isnull", False), _connector="OR"),
                name="figures_counted_of_a_patient",
            ),
        ),
        migrations.RunSQL("SELECT diagnosis_count_all_again()", migrations.RunSQL.noop),
    ]
