"""Deliberate defects, to test the tests: each must turn a part of the quick suite red.

    NG_SABOTAGE=fee_rounded_up python -m pytest -p tests.sabotage tests/properties

A defect is a change of a module's source while it is imported (migrations are modules too); the files stay as they
are. Where the database has a second net below a rule, the defect takes that away as well.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

import hypothesis

ROOT = Path(__file__).resolve().parent.parent
BOOKS = "billing.migrations.0002_books"
CASES = "billing.migrations.0005_cases_books"
RELEASES = "billing.migrations.0007_statements"
TRIPS = "routing.migrations.0002_trips"
REPEATS = "routing.migrations.0006_repeats"

# Nets in the database below the rules that some defects break.
NO_SETTLES_ONCE = (BOOKS, "OLD.state <> 'held' OR NEW.state = 'held' OR (OLD.id", "(OLD.id")
NO_EXACT_GROSS = (
    BOOKS,
    "            AND gross_nanos = input_tokens * price_in[quote] + output_tokens * price_out[quote]\n",
    "",
)

# What caught_by may say.
MACHINE = "tests/properties/test_money_machine.py::test_any_history_of_money_is_what_the_model_says"
ENDINGS = "tests/routing/test_endings.py::"
LIMITS = "tests/routing/test_limits.py::"
PROMISES = "tests/routing/test_promises.py::"
REPEATED = "tests/routing/test_repeated_trips.py::"
REPEATING = "tests/routing/test_repeats.py::"
REVERSING = "tests/billing/test_reversals.py::"
JUDGES = "tests/routing/test_judges.py::"
CHOICE = "tests/routing/test_choice.py::"
LOAD = "tests/routing/test_load.py::"
SWEEPS = "tests/billing/test_tasks.py::"


@dataclass(frozen=True)
class Defect:
    """changes: (module, text that occurs there once, text to put there)."""

    changes: tuple[tuple[str, str, str], ...]
    caught_by: tuple[str, ...]

    def source(self, module: str) -> str:
        """The module's source with the defect in it."""
        text = path_of(module).read_text()
        for name, old, new in self.changes:
            if name == module:
                assert text.count(old) == 1, f"{module} has {text.count(old)} times: {old}"
                text = text.replace(old, new)
        return text


def path_of(module: str) -> Path:
    return ROOT / (module.replace(".", "/") + ".py")


def one(module: str, old: str, new: str, *caught_by: str) -> Defect:
    return Defect(((module, old, new),), caught_by)


DEFECTS = {
    # ------------------------------------------------------------------------------------------------ the books
    "platform_leg_dropped": one(BOOKS, "IF fee > 0 THEN", "IF false THEN", MACHINE),
    "settled_without_looking_at_the_state": Defect(
        ((BOOKS, "IF c.state <> 'held' THEN", "IF false THEN"), NO_SETTLES_ONCE), (MACHINE,)
    ),
    "voided_after_it_was_posted": Defect(
        ((BOOKS, "IF c.state <> 'held' THEN", "IF c.state <> 'held' AND quotes[n] > 0 THEN"), NO_SETTLES_ONCE),
        (MACHINE,),
    ),
    "fee_rounded_up": Defect(
        (
            (BOOKS, "ELSE gross * c.fee_bps / 10000 END", "ELSE (gross * c.fee_bps + 9999) / 10000 END"),
            (BOOKS, "ELSE gross_nanos * fee_bps / 10000 END", "ELSE (gross_nanos * fee_bps + 9999) / 10000 END"),
        ),
        (MACHINE,),
    ),
    "presents_become_payable": one(
        BOOKS, "m_payable := m_payable || bought + earned - fee_bought - fee_earned;",
        "m_payable := m_payable || gross - fee;", MACHINE,
    ),
    "only_what_was_spent_is_unheld": one(BOOKS, "l.held_nanos - u.hold,", "l.held_nanos - u.gross,", MACHINE),
    "first_servers_price_whoever_served": Defect(
        (
            (
                BOOKS,
                "inputs[n] * c.price_in[quote] + outputs[n] * c.price_out[quote]",
                "inputs[n] * c.price_in[1] + outputs[n] * c.price_out[1]",
            ),
            NO_EXACT_GROSS,
        ),
        (MACHINE,),
    ),
    "todays_price_instead_of_the_one_at_the_start": Defect(
        (
            (
                BOOKS,
                "inputs[n] * c.price_in[quote] + outputs[n] * c.price_out[quote]",
                "(SELECT inputs[n] * m.price_per_input_token + outputs[n] * m.price_per_output_token"
                "   FROM hosting_hostedmodel m JOIN hosting_server s ON s.id = m.server_id"
                "   JOIN hosting_hoster h ON h.id = s.hoster_id"
                "   JOIN billing_ledgeraccount l ON l.customer_id = h.customer_id"
                "  WHERE l.id = c.payee[quote])",
            ),
            NO_EXACT_GROSS,
        ),
        (PROMISES + "test_a_price_that_changes_under_way_is_not_this_requests",),
    ),
    "last_ending_of_a_batch_wins": one(
        BOOKS, "n := array_position(ids, c.id);",
        "n := (array_positions(ids, c.id))[cardinality(array_positions(ids, c.id))];",
        MACHINE,
    ),
    "released_an_hour_early": one(
        RELEASES, "WHERE m.matures_at <= app_now()", "WHERE m.matures_at <= app_now() + interval '1 hour'",
        SWEEPS + "test_earnings_are_released_once_however_often_the_task_runs",
    ),
    "matures_a_minute_early": one(BOOKS, "make_interval(secs => hold_s + b)", "make_interval(secs => hold_s)", MACHINE),
    "released_twice": one(
        RELEASES,
        "DELETE FROM billing_maturity m USING due WHERE m.id = due.id\n"
        "        RETURNING m.id, m.account_id, m.matures_at, m.amount_nanos, m.payable_nanos",
        "SELECT m.id, m.account_id, m.matures_at, m.amount_nanos, m.payable_nanos FROM due m",
        SWEEPS + "test_earnings_are_released_once_however_often_the_task_runs",
    ),
    "credit_given_at_every_retry": one(
        "billing.ledger", '"id": uuid.uuid5(NAMESPACE, f"{kind}:{customer.pk}:{reference}")', '"id": uuid.uuid4()',
        MACHINE,
    ),
    "living_processes_swept": one("routing.tasks", "WHERE p.boot = c.boot", "WHERE false AND p.boot = c.boot", MACHINE),
    "the_fee_is_not_given_back": one(CASES, "(2, gross_back - net_back)", "(2, 0::bigint)", MACHINE),
    "reversed_after_the_release": one(
        CASES, "WHEN c.net_nanos > 0 AND maturity IS NULL AND NOT at_our_loss", "WHEN false", MACHINE
    ),
    "reversed_money_stays_payable": one(
        CASES, "payable_nanos = m.payable_nanos - back.payable_back",
        "payable_nanos = least(m.payable_nanos, m.amount_nanos - net_back)",
        REVERSING + "test_kept_and_given_back_are_the_charge_for_any_amounts",
    ),
    "promotional_credit_comes_back_as_bought": one(
        CASES, "bought_nanos = a.bought_nanos + bought_back",
        "bought_nanos = a.bought_nanos + gross_back - earned_back", MACHINE,
    ),
    # ------------------------------------------------------------------------------------ money after the request
    "a_debt_is_never_kept_back": one(RELEASES, "coalesce(d.owed_nanos, 0)", "0", MACHINE),
    "a_dispute_leaves_the_earning_where_it_is": one(
        CASES, "DELETE FROM billing_maturity m WHERE m.id = due.id AND m.amount_nanos = net;", "", MACHINE
    ),
    "disputed_after_the_release": one(
        CASES, "WHEN c.net_nanos > 0 AND due.id IS NULL THEN 'late'", "WHEN false THEN 'late'", MACHINE
    ),
    "a_dispute_has_no_end": one(
        CASES, "c.settled_at + make_interval(secs => window_s) <= app_now()", "false",
        "tests/billing/test_disputes.py::test_what_the_platform_served_can_be_disputed_for_a_day_too",
    ),
    "a_rejected_earning_stays_frozen": one(CASES, "ELSIF t.id IS NOT NULL THEN", "ELSIF false THEN", MACHINE),
    "promotional_credit_is_paid_out": one(
        "billing.ledger", "earned_nanos - coalesce((SELECT d.owed", "posted_nanos - coalesce((SELECT d.owed",
        "tests/billing/test_payouts.py::test_bought_and_given_credit_is_never_paid_out",
    ),
    "a_paid_payout_fails": one(
        "billing.payouts",
        "return _give_back(payout, Payout.State.APPROVED, Payout.State.FAILED,",
        "return _give_back(payout, Payout.objects.get(pk=payout.pk).state, Payout.State.FAILED,",
        "tests/billing/test_payouts.py::test_a_paid_one_does_not_fail_it_comes_back",
    ),
    "an_answer_is_not_kept": one(
        "routing.relay", "if whole and self._lease is not None and", "if False and self._lease is not None and",
        REPEATING + "test_the_second_request_gets_the_first_ones_answer_for_nothing",
    ),
    "what_a_dead_process_held_stays": one(
        REPEATS, "    IF charge_state = 'held' THEN\n", "    IF false THEN\n",
        REPEATING + "test_what_a_dead_process_began_is_begun_anew",
    ),
    # -------------------------------------------------------------------------------------------- the admission
    "hold_without_enough_credit": one(TRIPS, "WHEN o_hold[n] > room THEN CASE", "WHEN false THEN CASE", MACHINE),
    "each_call_of_a_batch_sees_the_whole_balance": one(
        TRIPS, "a_taken[a] := a_taken[a] + o_hold[n];", "a_taken[a] := 0;",
        MACHINE,
    ),
    "spending_limit_forgets_what_is_held": one(
        TRIPS, "k_limit[k] - w.spent_nanos - w.held_nanos", "k_limit[k] - w.spent_nanos",
        LIMITS + "test_a_keys_spending_limit_holds_at_once_and_over_time",
    ),
    "rate_counted_outside_of_the_batch": one(
        TRIPS, "a_admitted[a] := a_admitted[a] + 1;", "a_admitted[a] := 0;",
        LIMITS + "test_two_hundred_at_once_on_the_free_tier_are_sixty_in_the_minute",
    ),
    "revoked_keys_work": one(
        TRIPS, "WHEN y.revoked_at IS NOT NULL THEN", "WHEN false THEN",
        PROMISES + "test_a_revoked_key_is_refused_on_the_next_request",
    ),
    "a_repeated_admission_holds_again": one(
        TRIPS, "IF again AND verdict IS NULL AND", "IF false AND verdict IS NULL AND",
        REPEATED + "test_a_repeated_admission_holds_once_and_answers_as_the_first",
    ),
    "suspended_hosters_are_served": Defect(
        (
            (TRIPS, "verdict := 'stale';", "NULL;"),
            ("routing.fitness", "if offer.status in EXCLUDED:", "if False:"),
        ),
        (LIMITS + "test_a_suspension_acts_on_the_next_request",),
    ),
    # ------------------------------------------------------------------------------------------ what is billed
    "a_claim_of_zero_is_taken_for_none": one(
        "routing.metering", "min(estimate if claim is None else claim, most)", "min(claim or estimate, most)",
        ENDINGS + "test_a_claim_of_zero_is_zero",
    ),
    "claims_billed_without_bound": one(
        "routing.metering", "estimate, min(most, output_max))", "estimate, output_max)",
        ENDINGS + "test_an_inflated_claim_is_cut_to_what_was_delivered",
    ),
    "no_cap_at_max_tokens": one(
        "routing.metering", "estimate, min(most, output_max))", "estimate, most)",
        ENDINGS + "test_never_more_than_max_tokens_is_billed",
    ),
    "done_before_the_commit": one(
        "routing.relay", "receipt = await future\n",
        'from routing.settlement import Receipt; receipt = Receipt("posted", 0)\n',
        PROMISES + "test_the_last_bytes_wait_for_the_booking",
    ),
    "hanging_up_books_nothing": one(
        "routing.relay", "if self._booking.made:\n", "if True:\n",
        ENDINGS + "test_a_client_that_hangs_up_pays_for_what_was_relayed",
    ),
    "another_server_after_the_first_word": one(
        "routing.relay", "if self._delivery.began or self._loop.time()", "if self._loop.time()",
        PROMISES + "test_after_the_first_word_no_other_server_is_asked",
    ),
    # ------------------------------------------------------------------------------------ addresses and secrets
    "redirects_followed": one(
        "hosting.connector", ".follow_redirects(False)", ".follow_redirects(True)",
        "tests/hosting/test_connector.py::test_redirects_are_not_followed",
    ),
    "addresses_checked_at_registration_only": one(
        "routing.upstream", "guarded=offer.guarded", "guarded=False",
        PROMISES + "test_the_address_is_checked_at_the_request_too",
    ),
    "prompts_logged_with_failures": one(
        "routing.relay", 'log.info("attempt.failed", ', 'log.info("attempt.failed", prompt=self._call.payload, ',
        PROMISES + "test_no_log_holds_a_prompt_an_answer_a_key_or_a_token",
    ),
    "servers_errors_logged_in_full": one(
        "routing.relay", 'log.exception("relay.broken", ', 'log.exception("relay.broken", headers=self._call, ',
        PROMISES + "test_no_log_of_a_fault_of_ours_holds_them_either",
    ),
    "the_customers_user_told_to_the_hoster": one(
        "routing.gateway", 'text = f"{offer.hoster_id}:{customer}:{user}"', "return str(user)",
        LIMITS + "test_what_the_hoster_sees_of_the_customer",
    ),
    # ----------------------------------------------------------------------------------------- choosing and judging
    "probation_changes_nothing": one(
        "routing.choice", "return coin(seed ^ GOLDEN, offer.server_id) < 0.5", "return False",
        CHOICE + "test_a_server_on_probation_gets_half_of_its_fair_share[1-1-0.5]",
    ),
    "a_dead_server_is_asked_without_end": one(
        "routing.load", "FAILURES_TO_OPEN = 3\n", "FAILURES_TO_OPEN = 10**9\n",
        LOAD + "test_three_failures_in_a_row_open_the_circuit_for_30_s_and_twice_as_long_each_time_up_to_5_minutes",
    ),
    "own_traffic_lifts_trust": one(
        "routing.reputation", "AND p.customer_id <> %(own)s", "AND %(own)s > 0",
        JUDGES + "test_own_traffic_and_one_customers_bulk_do_not_lift_trust",
    ),
    "a_conviction_costs_nothing": one(
        "routing.conviction", "done = ledger.reverse(reversals=reversals,", "done = ledger.reverse(reversals=[],",
        JUDGES + "test_a_swapped_model_is_deactivated_within_three_rounds_and_loses_what_it_earned_since[canned text]",
    ),
    "tests_are_an_income": one(
        "routing.chooser", "price_out = min(target.price_out,", "price_out = max(target.price_out,",
        JUDGES + "test_tests_are_paid_by_the_platform_at_a_fair_price_and_never_as_payable_money",
    ),
    "cancellations_dropped_with_the_client": one(
        "routing.upstream", "task is not None and task.cancelling()", "False",
        "tests/routing/test_upstream.py::test_no_limit_of_time_is_lost_in_a_flood_of_pieces",
    ),
}  # fmt: skip


class Saboteur(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the modules of one defect with the defect in them."""

    def __init__(self, defect: Defect) -> None:
        self._defect = defect
        self._modules = {module for module, _, _ in defect.changes}
        assert not self._modules & set(sys.modules), "imported before it could be sabotaged"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._modules:
            return None
        return importlib.util.spec_from_file_location(fullname, path_of(fullname), loader=self)

    def exec_module(self, module: ModuleType) -> None:
        code: CodeType = compile(self._defect.source(module.__name__), str(path_of(module.__name__)), "exec")
        exec(code, module.__dict__)


if name := os.environ.get("NG_SABOTAGE"):
    sys.meta_path.insert(0, Saboteur(DEFECTS[name]))
    hypothesis.settings.register_profile(
        "sabotage", derandomize=True, database=None, phases=[hypothesis.Phase.generate]
    )
    hypothesis.settings.load_profile("sabotage")
