"""Ten lines that an app writes. Without a broker's address it prints what it would send.

python examples/embed.py                                             # dry run, events on stderr
STREAMGAUGE_BOOTSTRAP=localhost:9092 python examples/embed.py        # sends them
"""

import os

from streamgauge.producers import feedback, flush, init, stats, track

dry = "STREAMGAUGE_BOOTSTRAP" not in os.environ
init(app="shop", feature="ask", dry_run=dry)

question = "Where is my parcel? My address is jane.roe@example.com."
with track(model="gpt-4o-mini", provider="openai", input_text=question) as call:
    answer = "It left the warehouse this morning."  # your model's answer comes here
    call.set(output_text=answer, input_tokens=21, output_tokens=8, finish_reason="stop")
feedback(call.id, name="thumbs", value=1)

undelivered = flush(5)
done = "printed" if dry else "delivered"
print(f"logged {stats().accepted}, {done} {stats().sent}, waiting {undelivered}")
