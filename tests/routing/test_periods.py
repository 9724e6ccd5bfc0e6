"""Series of periods."""

import datetime as dt
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from routing import periods

NOON = dt.datetime(2026, 4, 15, 12, 34, 56, tzinfo=dt.UTC)  # a Wednesday
moments = st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC))
spans = st.integers(1, periods.DAYS_MAX)
intervals = st.sampled_from(periods.INTERVALS)


def test_seven_days_are_seven_periods_that_end_with_today():
    days = [periods.text(start) for start in periods.series(NOON, 7, "day")]
    assert len(days) == 7
    assert (days[0], days[-1]) == ("2026-04-09T00:00:00+00:00", "2026-04-15T00:00:00+00:00")


def test_hours_run_to_the_present_one():
    hours = periods.series(NOON, 1, "hour")
    assert len(hours) == 13
    assert periods.text(hours[-1]) == "2026-04-15T12:00:00+00:00"


def test_weeks_begin_on_monday_and_months_on_the_first():
    assert periods.text(periods.series(NOON, 7, "week")[0]) == "2026-04-06T00:00:00+00:00"
    months = [periods.text(start)[:10] for start in periods.series(NOON, 60, "month")]
    assert months == ["2026-02-01", "2026-03-01", "2026-04-01"]


def test_a_moment_elsewhere_is_counted_in_utc():
    tokyo = dt.timezone(dt.timedelta(hours=9))
    assert periods.begin(dt.datetime(2026, 4, 16, 8, 0, tzinfo=tokyo), "day") == dt.datetime(
        2026, 4, 15, tzinfo=dt.UTC
    )


@given(moments, spans, intervals)
def test_a_series_has_no_gaps_and_covers_the_whole_statement(now: dt.datetime, days: int, interval: str):
    starts = periods.series(now, days, interval)
    assert starts[0] <= periods.since(now, days) < periods.NEXT[interval](starts[0])
    assert starts[-1] <= now < periods.NEXT[interval](starts[-1])
    assert all(periods.NEXT[interval](earlier) == later for earlier, later in pairwise(starts))
    assert all(periods.begin(start, interval) == start for start in starts)
