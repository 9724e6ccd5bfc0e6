"""What the router chooses from: one frozen row for each model on each server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)  # compared by identity: the draw does so for every request
class LiveOffer:
    """A model on a server, as it is now. Prices are nanodollars per token; scores run from 0 to 1."""

    offer_id: int
    server_id: int
    server_version: int
    kind: str  # local | hoster | cloud
    owner: str  # the hoster's name; a provider's own name
    hoster_id: int  # 0 for providers
    payee: int  # ledger account of the hoster's pending earnings; 0 for providers
    model: str
    upstream_name: str
    base_url: str
    token: str
    token_version: int
    price_in: int
    price_out: int
    context_window: int
    slots: int
    status: str  # the hoster's moderation status, or deactivated where this model is; active for providers
    draining: bool
    trust: float
    health: float
    bytes_per_token: float
    consistency: float = 1.0
    new: bool = False  # its hoster has not served enough to be judged
    waiting: bool = False  # for the server to take its new token
    chats: bool = True  # answers chat and completions; what does not is asked for embeddings only

    @property
    def guarded(self) -> bool:
        """Whether the address guard applies: to hosters always, to the operator's own providers never."""
        return self.kind == "hoster"
