"""Two more questions of the history: other skin cancer before, and sun."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0015_emergency_access"),
    ]

    operations = [
        migrations.AddField(
            model_name="case",
            name="personal_hx_skin_cancer",
            field=models.BooleanField(null=True, verbose_name="previous skin cancer other than melanoma"),
        ),
        migrations.AddField(
            model_name="case",
            name="sun_damage",
            field=models.BooleanField(null=True, verbose_name="sunburns, outdoor work or sunbeds"),
        ),
    ]
