"""Whether the metrics worker and the store stay as cheap and as small as they are at the start.

trend.py     a straight line through a figure, and how much of it may be growth: pure
sender.py    the process that sends events, by the clock or at full speed, and its driver
site.py      Kafka, the store, one worker as the supervisor starts it; what they use
slices.py    a log that grows from 1 to 20 million events, one round, resumable
verdict.py   what its rounds come to: pure
hour.py      an hour by the clock at 2,000 events a second
"""
