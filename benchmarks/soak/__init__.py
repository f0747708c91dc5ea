"""The metrics worker under kills, zombies and faults, and whether it lost or doubled anything.

plan.py      which blow comes when: pure, from a seed
sender.py    the process that sends the events and says which of them Kafka acknowledged
site.py      Kafka, the store, the proxy between, the workers: and the blows
compare.py   what was acknowledged against what is stored
run.py       a whole run, resumable
"""
