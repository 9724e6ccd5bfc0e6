"""How a request ended, for the customer who asked: in words, and good or bad. What he ended himself is neither."""

from routing.models import InferenceRequest

Outcome = InferenceRequest.Outcome

STOPPED = {
    Outcome.HUNG_UP: "you stopped it",
    Outcome.ABANDONED: "you stopped it before it began",
}
CHOICES = [(outcome.value, STOPPED.get(outcome, str(outcome.label))) for outcome in Outcome]
WORDS = dict(CHOICES)


def words(outcome: str) -> str:
    return WORDS[outcome]


def tone(outcome: str, *, success: bool) -> str:
    """ "good", "bad", or nothing: the class of the badge."""
    if outcome in STOPPED:
        return ""
    return "good" if success else "bad"
