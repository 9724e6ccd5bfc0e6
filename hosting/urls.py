"""Routes of the market: hosters' pages and /v1/models."""

from django.urls import path

from hosting import api, hoster_api, replies, setup_pages, views

urlpatterns = [
    path("hosters", views.hosters, name="hosters"),
    path("hosters/register", setup_pages.address, name="register_server"),
    path("hosters/register/<int:draft_id>/token", setup_pages.token, name="register_token"),
    path("hosters/register/<int:draft_id>/check", setup_pages.check, name="register_check"),
    path("hosters/register/<int:draft_id>/models", setup_pages.models, name="register_models"),
    path("hosters/register/<int:draft_id>/done", setup_pages.done, name="register_done"),
    path("hosters/register/<int:draft_id>/leave", setup_pages.leave, name="register_leave"),
    path("hosters/drain", hoster_api.Drain.as_view()),  # with a key; the button is below
    path("hosters/servers/<int:server_id>", views.server, name="server"),
    path("hosters/servers/<int:server_id>/check", views.check, name="check_server"),
    path("hosters/servers/<int:server_id>/drain", views.drain, name="drain_server"),
    path("hosters/servers/<int:server_id>/token", views.rotate_token, name="rotate_token"),
    path("hosters/servers/<int:server_id>/models", views.add_model, name="add_model"),
    path("hosters/servers/<int:server_id>/models/<int:model_id>", views.edit_model, name="edit_model"),
    path("hosters/servers/<int:server_id>/models/<int:model_id>/retest", replies.retest, name="retest"),
    path("hosters/actions/<int:action_id>/answer", replies.answer, name="answer_action"),
    path("v1/hosters", hoster_api.Hosters.as_view()),
    path("v1/hosters/servers/<int:server_id>/check", hoster_api.ServerCheck.as_view()),
    path("v1/hosters/servers/<int:server_id>/token", hoster_api.ServerToken.as_view()),
    path("v1/hosters/servers/<int:server_id>/models/<path:model_id>/price", hoster_api.ModelPrice.as_view()),
    path("v1/models", api.Models.as_view()),
    path("v1/models/<path:model_id>", api.Model.as_view()),
]
