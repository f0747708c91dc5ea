"""From ticks and cells to the evaluation log: what is asked when, and what the answer means.

grid.py        which steps of a rule are due
periods.py     where the period of a budget began
query.py       SQL over `windows`; batch.py: many due steps in few queries, rows back into cells
panes.py       cells between breakpoints, rolling windows as sums of them
conditions.py  is this value a breach; evaluate.py: one rule, one step, one record
self_alerts.py what the engine says about itself
policy.py      what a rule's records carry; rule_book.py: the rules in force
last_steps.py  where the log ends
answers.py     due steps to records, whatever fails; early.py: what was said of open windows
evaluator.py   the loop
"""
