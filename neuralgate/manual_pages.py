"""/docs: the manual's contents, and each chapter."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from neuralgate import manual


@require_safe
def contents(request: HttpRequest) -> HttpResponse:
    return render(request, "pages/manual.html", {"parts": manual.PARTS})


@require_safe
def chapter(request: HttpRequest, name: str) -> HttpResponse:
    if name not in manual.CHAPTERS:
        raise Http404("there is no such chapter")
    context = {"parts": manual.PARTS, "name": name, "text": manual.text(name)}
    return render(request, "pages/chapter.html", context)
