"""From bytes to events that are counted once: what every writer's processor begins with.

decode.py    bytes to Structs, or why not
dedup.py     events that come a second time; labels.py: values of a label beyond its cap
memory.py    what must be remembered over a restart; recall.py: reads it from the store
requests.py  the finished calls of a chunk, for writers that look at nothing else
"""
