"""The wire: what travels on the topics, and the little that everybody needs to read it.

Free of pydantic (the embedded client loads these; a test holds it):

    errors.py        the error tree and its exit codes
    clock.py         time as an argument; the only reader of the machine's clock
    topics.py        the topic registry
    kafka.py         how to reach a cluster
    environment.py   settings that several services read: clock mode, lateness; bounded numbers
    logs.py          how a process of ours logs
    bounds.py        what a field may hold, in numbers
    reasons.py       why an input is refused
    histogram.py     the bucket law
    wire_json.py     bytes -> cleaned JSON object, the rules for every decoder
    cloudevents.py   CloudEvents headers, both ways
    dead_letters.py  headers of a dead letter, both ways

pydantic models, one file per topic:

    records.py       what all models share; to_json_bytes, parse_record
    events/          llm.events.v1
    ticks.py         llm.ticks.v1, and the clock of a source
    evaluations.py   llm.alert-evals.v1
    alerts.py        llm.alerts.v1
    directives.py    llm.directives.v1
    scores.py        rows of the score tables

Documents made from the models:

    schemas.py       JSON Schemas (schema/*.json)
    compatibility.py whether a changed schema may replace the old one
    reference.py     docs/reference/{events,alerts,topics}.md

This package imports nothing by itself.
"""
