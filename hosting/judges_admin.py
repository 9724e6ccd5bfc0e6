"""What judges hosters, in the admin: actions and their answers, the bank of questions, circuits, the pool of `auto`."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.admin import ReadOnly
from hosting import terms
from hosting.models import AutoModel, Circuit, ConsistencyAnswer, ModerationAction, Question

ANSWER_CHARS_MAX = 200  # Question.answers
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


class ReadOnlyInline(TabularInline):
    """Rows that only the program writes, on the page of what they belong to."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ActionsOfHoster(ReadOnlyInline):
    model = ModerationAction
    verbose_name_plural = "what was done and said"
    fields = ["created_at", "kind", "offer", "rule", "actor", "reason", "evidence", "answer"]
    show_change_link = True
    ordering = ["-created_at"]


@admin.register(ModerationAction)
class ModerationActionAdmin(ReadOnly):
    list_display = ["created_at", "hoster", "kind", "offer", "rule", "actor", "status_after", "answered_at"]
    list_filter = ["kind", "rule", ("answered_at", admin.EmptyFieldListFilter)]
    search_fields = ["hoster__name", "reason", "answer"]
    list_select_related = ["hoster", "offer", "actor"]
    ordering = ["-created_at"]


class Lines(forms.CharField):
    """A list of texts, one in each line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 5})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        lines = [line.strip() for line in super().clean(value).splitlines()]
        return list(dict.fromkeys(line for line in lines if line))


class QuestionForm(forms.ModelForm):
    wordings = Lines(help_text="Ways to ask it, one in each line; one is drawn.")
    answers = Lines(help_text="Every one that is right, one in each line.")

    class Meta:
        model = Question
        fields = ["slug", "topic", "kind", "wordings", "answers", "enabled"]

    def clean_answers(self) -> list[str]:
        answers: list[str] = self.cleaned_data["answers"]
        if any(len(answer) > ANSWER_CHARS_MAX for answer in answers):
            raise ValidationError(f"An answer has {ANSWER_CHARS_MAX} characters at most.")
        if self.cleaned_data.get("kind") == Question.Kind.NUMBER:
            for answer in answers:
                if NUMBER.fullmatch(answer) is None:
                    raise ValidationError(
                        f"“{answer}” is not a number. Write digits, like 42 or -1.5, or choose text."
                    )
        return answers


@admin.register(Question)
class QuestionAdmin(ModelAdmin):
    form = QuestionForm
    list_display = ["slug", "topic", "kind", "enabled"]
    list_filter = ["enabled", "topic", "kind"]
    search_fields = ["slug", "wordings"]
    ordering = ["slug"]
    list_per_page = 30


class AutoModelForm(forms.ModelForm):
    class Meta:
        model = AutoModel
        fields = ["model_id"]

    def clean_model_id(self) -> str:
        model_id: str = self.cleaned_data["model_id"]
        if terms.MODEL_ID.fullmatch(model_id) is None or model_id in terms.RESERVED_IDS:
            raise ValidationError(f"“{model_id}” cannot be the id of a model.")
        return model_id


@admin.register(AutoModel)
class AutoModelAdmin(ModelAdmin):
    form = AutoModelForm
    list_display = ["model_id", "created_at"]
    search_fields = ["model_id"]
    ordering = ["model_id"]


@admin.register(Circuit)
class CircuitAdmin(ReadOnly):
    list_display = ["server", "open_until", "openings", "changed_at"]
    list_select_related = ["server"]
    search_fields = ["server__name"]
    ordering = ["-open_until"]


@admin.register(ConsistencyAnswer)
class ConsistencyAnswerAdmin(ReadOnly):
    list_display = ["answered_at", "offer", "question", "right", "counted", "request_id"]
    list_filter = ["right", "counted"]
    list_select_related = ["offer", "question"]
    search_fields = ["offer__model_id", "question__slug", "=request_id"]
    ordering = ["-answered_at"]
