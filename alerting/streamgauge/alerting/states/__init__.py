"""From the evaluation log to alerts: a deterministic state machine, and its loop on Kafka.

machine.py       one record of the log in, new state and transitions out
transition.py    the alert record of a transition
machine_loop.py  consume, transform, produce, in transactions
"""
