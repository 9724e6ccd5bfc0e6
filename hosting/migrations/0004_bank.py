"""The questions that come with NeuralGate. The operator adds others and switches off what does not fit."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def load(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    from hosting import bank

    apps.get_model("hosting", "Question").objects.bulk_create(
        [
            apps.get_model("hosting", "Question")(
                slug=question.slug,
                topic=question.topic,
                kind=question.kind,
                wordings=list(question.wordings),
                answers=list(question.answers),
            )
            for question in bank.parse(bank.QUESTIONS.read_text(encoding="utf-8"))
        ],
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    dependencies = [("hosting", "0003_judges")]
    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
