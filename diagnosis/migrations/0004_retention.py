"""How long each organisation keeps its patients."""

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("diagnosis", "0003_erasure"),
    ]

    operations = [
        migrations.CreateModel(
            name="RetentionPolicy",
            fields=[
                (
                    "organisation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="retention_policy",
                        serialize=False,
                        to="accounts.organisation",
                    ),
                ),
                (
                    "months_after_last_case",
                    models.PositiveSmallIntegerField(
                        help_text="12 to 600. Patients without a case: after they were recorded.",
                        validators=[
                            django.core.validators.MinValueValidator(12),
                            django.core.validators.MaxValueValidator(600),
                        ],
                    ),
                ),
                ("applies_from", models.DateTimeField(editable=False)),
            ],
            options={
                "verbose_name_plural": "retention policies",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("months_after_last_case__range", (12, 600))),
                        name="retention_is_1_to_50_years",
                    )
                ],
            },
        ),
    ]
