"""Where the evaluation log ends: the last record of each rule, read back from its partitions.

In: the log's identity and the rules asked for. Out: last final (or removing) record by rule, of
every rule met on the way. Reads each partition backwards in growing pieces until the rules asked
for that could be in it are found, or DEEPEST records have been looked at.
"""

from __future__ import annotations

from streamgauge.alerting.evaluation_log import LoggedEvaluation, logged
from streamgauge.alerting.kafka_io import TopicIdentity, end_of, read_back
from streamgauge.contracts.clock import Clock
from streamgauge.contracts.errors import BadInput
from streamgauge.contracts.kafka import KafkaSettings

FIRST_PIECE = 1000
DEEPEST = 16_000


def last_records(
    settings: KafkaSettings, topic: TopicIdentity, rules: set[str], *, clock: Clock
) -> dict[str, LoggedEvaluation]:
    """Last record by rule. A rule that is not found has none in the tail of the log."""
    found: dict[str, LoggedEvaluation] = {}
    piece = FIRST_PIECE
    unread = dict.fromkeys(range(topic.partitions), -1)
    while unread:
        for partition, upper in list(unread.items()):
            end = end_of(settings, topic.name, partition) if upper < 0 else upper
            start = max(0, end - piece)
            for message in read_back(
                settings, topic.name, partition, clock=clock, start=start, end=end
            ):
                try:
                    record = logged(message.value() or b"", message.timestamp()[1])
                except BadInput:
                    continue
                _note(found, record)
            if start == 0:
                del unread[partition]
            else:
                unread[partition] = start
        if rules <= set(found) or piece >= DEEPEST:
            break
        piece *= 4
    return found


def _note(found: dict[str, LoggedEvaluation], record: LoggedEvaluation) -> None:
    if not record.final:
        return
    before = found.get(record.rule)
    if before is None or record.step_ms >= before.step_ms:
        found[record.rule] = record
