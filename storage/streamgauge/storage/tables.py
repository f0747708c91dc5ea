"""The sink tables, as their writers see them: columns and Arrow types.

A block is built against these schemas (block.py). The columns are those of migrations/*.sql; a test
holds the two together. Strings that are unknown are "", numbers that are unknown are null.

    u8 .. u64, i64, f64   integers and floats; `?` after a type: may be null
    str, bool, day        text, truth, date
    sec, ms               moments in UTC, whole seconds or milliseconds
    tags, counts          map of text to text; of text to u64
    hist, bins            histogram: bucket (i16; u16) to u64
    @name                 a nested type of NESTED
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

_ARROW: Final = {
    "str": pa.string(),
    "strs": pa.list_(pa.string()),
    "u8": pa.uint8(),
    "u16": pa.uint16(),
    "u32": pa.uint32(),
    "u64": pa.uint64(),
    "i64": pa.int64(),
    "f64": pa.float64(),
    "bool": pa.bool_(),
    "day": pa.date32(),
    "sec": pa.timestamp("s", tz="UTC"),
    "ms": pa.timestamp("ms", tz="UTC"),
    "tags": pa.map_(pa.string(), pa.string()),
    "counts": pa.map_(pa.string(), pa.uint64()),
    "hist": pa.map_(pa.int16(), pa.uint64()),
    "bins": pa.map_(pa.uint16(), pa.uint64()),
}
NESTED: Final = {
    "tools": pa.list_(
        pa.struct(
            [
                ("name", pa.string()),
                ("ok", pa.bool_()),
                ("duration_ms", pa.float64()),
                ("args_chars", pa.uint32()),
                ("result_chars", pa.uint32()),
            ]
        )
    ),
    "sources": pa.list_(
        pa.struct(
            [
                ("id", pa.string()),
                ("source", pa.string()),
                ("score", pa.float64()),
                ("rank", pa.uint32()),
            ]
        )
    ),
    "guardrails": pa.list_(
        pa.struct([("name", pa.string()), ("action", pa.string()), ("score", pa.float64())])
    ),
    "last_stats": pa.struct([("ts", pa.timestamp("ms", tz="UTC")), ("stats", pa.string())]),
    "top_bins": pa.list_(
        pa.struct(
            [
                ("label", pa.string()),
                ("share_ref", pa.float64()),
                ("share_now", pa.float64()),
                ("contribution", pa.float64()),
            ]
        )
    ),
    "exemplars": pa.list_(
        pa.struct([("event_id", pa.string()), ("trace_id", pa.string()), ("value", pa.float64())])
    ),
}
KIND: Final = pa.field("kind", pa.uint8(), nullable=False)
WRITTEN_ON: Final = pa.field("written_on", pa.date32(), nullable=False)
NEXT: Final = pa.field("next", pa.map_(pa.string(), pa.uint64()), nullable=False)

_COLUMNS: Final = {
    "events": """
        src:str partition:u32 offset:u64 append_ts:ms id:str type:str ts:ms tenant:str
        app:str env:str team:str feature:str release:str producer_id:str seq:u64? sdk:str
        host:str region:str trace_id:str span_id:str parent_span_id:str session_id:str
        user_id:str key_id:str tags:tags op:str provider:str model:str response_model:str
        response_id:str system_fingerprint:str server_address:str status:str error_type:str
        http_status:u16? retries:u32? stream:bool? duration_ms:f64? ttft_ms:f64?
        queue_ms:f64? chunks:u32? chunk_gap_p50_ms:f64? chunk_gap_max_ms:f64? stalls:u32?
        input_tokens:u32? output_tokens:u32? cache_read_tokens:u32? cache_write_tokens:u32?
        cache_write_1h_tokens:u32? reasoning_tokens:u32? audio_input_tokens:u32?
        audio_output_tokens:u32? image_input_tokens:u32? usage_source:str service_tier:str
        speed:str cost_nano_usd:i64? cost_source:str price_book:str temperature:f64?
        top_p:f64? max_tokens:i64? seed:i64? n:u32? reasoning_level:str output_type:str
        finish_reason:str refused:bool? output_valid:bool? cache_status:str prompt_name:str
        prompt_version:str template_hash:str variant:str content:str truncated:bool?
        text_probability:f64? input_chars:u32? output_chars:u32? messages_n:u32?
        input_hash:str output_hash:str logprob_mean:f64? logprob_min:f64? logprob_n:u32?
        tools:@tools sources:@sources guardrails:@guardrails embedding_model:str
        directive_revision:i64? call_id:str name:str
    """,
    "judgements": """
        src:str partition:u32 offset:u64 append_ts:ms id:str type:str ts:ms tenant:str
        app:str env:str team:str feature:str producer_id:str target_id:str response_id:str
        trace_id:str name:str value:f64? label:str annotator:str evaluator:str
        evaluator_version:str evaluator_model:str user_id:str comment:str cost_nano_usd:i64?
        tags:tags
    """,
    "texts": """
        src:str partition:u32 offset:u64 event_id:str ts:ms tenant:str app:str
        input_text:str output_text:str reference_text:str content:str truncated:bool?
        text_probability:f64?
    """,
    "producers": """
        producer_id:str tenant:str app:str sdk:str host:str n:u64 duplicates:u64 dead:u64
        min_seq:u64? max_seq:u64 first_ts:ms? last_ts:ms accepted:u64 sent:u64 spooled:u64
        errors:u64 dropped:counts last_stats:@last_stats
    """,
    "ingest_log": """
        src:str partition:u32 outcome:str n:u64 bytes:u64 first_offset:u64 last_offset:u64
        end_offset:u64 max_ts:ms last_append:ms written_at:ms
    """,
    "dead_letters": """
        src:str partition:u32 offset:u64 append_ts:ms reason:str detail:str size:u32 raw:str
        block:str
    """,
    "windows": """
        resolution:u16 tenant:str t:sec app:str env:str team:str feature:str op:str
        provider:str model:str prompt_name:str prompt_version:str variant:str release:str
        revision:u32 scheme:u8 late:u8 n:u64 errors:u64 timeouts:u64 cancelled:u64
        input_tokens:u64 output_tokens:u64 cache_read_tokens:u64 cache_write_tokens:u64
        cache_write_1h_tokens:u64 reasoning_tokens:u64 audio_input_tokens:u64
        audio_output_tokens:u64 image_input_tokens:u64 cost_nano_usd:i64 unpriced_n:u64
        unpriced_tokens:u64 duration_us_sum:u64 duration_us_max:u64 retries:u64 refused:u64
        output_valid_n:u64 output_invalid_n:u64 truncated_n:u64 cache_hits:u64 stalls:u64
        error_types:counts http_statuses:counts finish_reasons:counts response_models:counts
        fingerprints:counts duration_ms_hist:hist ttft_ms_hist:hist chunk_gap_ms_hist:hist
        output_tps_hist:hist input_tokens_hist:hist output_tokens_hist:hist
    """,
    "reprocessing": """
        revision:u32 tenant:str t:sec reason:str price_book:str
    """,
    "spend": """
        tenant:str t:sec app:str team:str key_id:str user_id:str provider:str model:str
        n:u64 input_tokens:u64 output_tokens:u64 cost_nano_usd:i64 unpriced_n:u64
        unpriced_tokens:u64
    """,
    "label_values": """
        tenant:str label:str value:str first_ts:ms block:str
    """,
    "prompts": """
        tenant:str app:str prompt_name:str prompt_version:str template_hash:str template:str
        labels:strs ts:ms rev:u64 block:str
    """,
    "score_windows": """
        resolution:u16 tenant:str t:sec app:str env:str provider:str model:str
        prompt_name:str prompt_version:str revision:u32 side:str scorer:str
        scorer_version:str name:str n:u64 statuses:counts scored_n:u64 value_e6_sum:i64
        value_sq_e6_sum:i64 hits_50:u64 hits_90:u64 weight_e6_sum:i64
        weight_sq_e6_sum:i64 weighted_value_e6_sum:i64 weighted_hits_50_e6_sum:i64
        weighted_hits_90_e6_sum:i64 value_hist:bins
    """,
    "scores": """
        src:str partition:u32 offset:u64 event_id:str ts:ms tenant:str app:str env:str
        provider:str model:str prompt_name:str prompt_version:str side:str scorer:str
        scorer_version:str weights_hash:str engine:str name:str value:f64? label:str
        status:str probability:f64
    """,
    "histograms": """
        tenant:str t:sec app:str segment_kind:str segment:str feature:str scheme:u16 n:u64
        s1_e6:i64 s2_e6:i64 bins:bins categories:counts
    """,
    "drift_verdicts": """
        tenant:str t:sec window_s:u32 app:str segment_kind:str segment:str feature:str
        scheme:u16 reference:str from_t:sec n:u64 n_ref:u64 enough:bool ref_windows:u32
        ref_needed:u32 stat_g:f64? df:f64? scale:f64? p:f64? z:f64? evidence:f64? bar:f64?
        js:f64? w1_log2:f64? mean_before:f64? mean_after:f64? direction:str
        top_bins:@top_bins state:str since:sec calm:u32 detector_version:str rev:u64
        block:str
    """,
    "changes": """
        tenant:str t:sec app:str change:str subject:str before:str after:str n:u64
        evidence:str rev:u64 block:str
    """,
    "alerts": """
        src:str partition:u32 offset:u64 tenant:str t:ms rule:str rule_version:str
        rule_kind:str id:str fingerprint:str seq:u64 epoch:u64 episode:str status:str
        transition:str reason:str severity:str level:str app:str team:str labels:tags
        annotations:tags value:f64? threshold:f64? unit:str window_start:ms? window_end:ms?
        starts_at:ms? fired_at:ms? ends_at:ms? event_time:ms late_by_ms:u64? flapping:bool
        no_data:bool stale:bool incomplete:bool exemplars:@exemplars evidence:str query:str
        runbook_url:str record:str
    """,
    "directive_log": """
        src:str partition:u32 offset:u64 tenant:str t:ms rule:str scope:str directive:str
        mode:str params:str alert_id:str revision:u64 expires_at:ms issued_by:str
        withdrawn:bool record:str
    """,
}
_WRITERS: Final = {
    "metrics": "events judgements texts producers ingest_log dead_letters windows spend"
    " label_values prompts",
    "scores": "score_windows scores",
    "drift": "histograms drift_verdicts changes",
    "alerts": "alerts directive_log",
    "reprocess": "reprocessing",
}


@dataclass(frozen=True, slots=True)
class TableSpec:
    """One sink table.

    data: what a writer gives. schema: data and the three columns that a block adds (kind,
    written_on, next). writer: the group that writes it.
    """

    name: str
    writer: str
    data: pa.Schema

    @property
    def schema(self) -> pa.Schema:
        """All columns of a block."""
        return pa.schema([KIND, WRITTEN_ON, *self.data, NEXT])


def _field(text: str) -> pa.Field:
    name, _, kind = text.partition(":")
    nullable = kind.endswith("?")
    kind = kind.removesuffix("?")
    arrow = NESTED[kind[1:]] if kind.startswith("@") else _ARROW[kind]
    return pa.field(name, arrow, nullable=nullable)


def _tables() -> dict[str, TableSpec]:
    writers = {table: group for group, tables in _WRITERS.items() for table in tables.split()}
    return {
        name: TableSpec(name, writers[name], pa.schema([_field(c) for c in columns.split()]))
        for name, columns in _COLUMNS.items()
    }


TABLES: Final[dict[str, TableSpec]] = _tables()
"""Every sink table by name."""
