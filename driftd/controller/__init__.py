"""The sentences that the other packages are the words of: look, judge, plan, act, record."""
