"""From an event to the aggregate that can be queried, at half of the maximum rate.

schedule.py   which event is due when, and how late each was seen: pure
sender.py     the process that sends them by the clock
run.py        one run of one consumer: sender, consumer, and who asks the store
"""
