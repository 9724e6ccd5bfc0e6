"""/accounts/email/: allauth's page of one's addresses, with our rule for the main one."""

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.manage_email import emit_email_changed
from allauth.account.internal.flows.reauthentication import raise_if_reauthentication_required
from allauth.account.views import EmailView
from django.contrib import messages
from django.http import HttpRequest

from accounts.models import User
from neuralgate import addresses
from neuralgate.addresses import AddressRefused


class Addresses(EmailView):
    """allauth's page; what it says of a new main address is said after the change was kept."""

    def _action_primary(self, request: HttpRequest) -> None:
        address = self._get_email_address(request)
        if address is None or not isinstance(request.user, User):
            return
        raise_if_reauthentication_required(request, app="allauth.account")
        adapter = get_adapter()
        try:
            former = addresses.make_main(address, request.user)
        except AddressRefused as refusal:
            adapter.add_message(request, messages.ERROR, f"account/messages/{refusal}.txt")
        else:
            adapter.add_message(request, messages.SUCCESS, "account/messages/primary_email_set.txt")
            emit_email_changed(request, former, address)
