"""A version sees a large reference set in several turns: how much of it was seen yet stands beside what it saw."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0018_figures"),
    ]

    operations = [
        migrations.AddField(
            model_name="referenceembeddings",
            name="seen",
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        # float16 [images, 1280]; until now a set was seen at once.
        migrations.RunSQL(
            "UPDATE diagnosis_referenceembeddings SET seen = octet_length(matrix) / 2560", migrations.RunSQL.noop
        ),
        migrations.AlterField(
            model_name="referenceembeddings",
            name="alike",
            field=models.FloatField(null=True),
        ),
        migrations.AlterField(
            model_name="referenceembeddings",
            name="close",
            field=models.FloatField(null=True),
        ),
        migrations.AlterField(
            model_name="referenceembeddings",
            name="near",
            field=models.FloatField(null=True),
        ),
    ]
