"""The calendar as far as it is counted here: a day ends at the next one's midnight, so there must be a next one."""

import datetime as dt

LAST_DAY = dt.date(2999, 12, 31)
