"""The make-believe company behind the synthetic part of the traffic: its apps and its models.

Constants only. The names of models are ones that public price lists know. Latency figures are
typical orders of size, not measurements of a provider. model.py says how they are used; an
independent recomputation needs APPS and MODELS and nothing else of this package.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """How a model answers.

    ttft_ms: median time to the first token without a prompt. prefill_ms_per_token: added per prompt
    token. tokens_per_s: median speed. *_sigma: sigma of the lognormal factor (median 1).
    usd_per_m_input, usd_per_m_output: list price, only to size incidents; the price book prices.
    """

    name: str
    provider: str
    response_model: str
    ttft_ms: float
    ttft_sigma: float
    prefill_ms_per_token: float
    tokens_per_s: float
    speed_sigma: float
    usd_per_m_input: float
    usd_per_m_output: float
    max_input_tokens: int
    fingerprints: tuple[str, ...] = ()


_MODELS = (
    ModelSpec("gpt-4o-mini", "openai", "gpt-4o-mini-2024-07-18", 420, 0.35, 0.012, 95, 0.20,
              0.15, 0.60, 128_000, ("fp_0eb4c1a2d3", "fp_72ed7ab54c")),
    ModelSpec("gpt-4.1-mini", "openai", "gpt-4.1-mini-2025-04-14", 400, 0.35, 0.012, 85, 0.20,
              0.40, 1.60, 1_000_000, ("fp_6f2eabb9a5",)),
    ModelSpec("gpt-4.1-nano", "openai", "gpt-4.1-nano-2025-04-14", 300, 0.30, 0.008, 130, 0.20,
              0.10, 0.40, 1_000_000, ("fp_8fd43718b3",)),
    ModelSpec("claude-3-5-haiku-latest", "anthropic", "claude-3-5-haiku-20241022", 600, 0.30, 0.015,
              75, 0.20, 0.80, 4.00, 200_000),
    ModelSpec("claude-haiku-4-5", "anthropic", "claude-haiku-4-5-20251001", 550, 0.30, 0.010,
              110, 0.20, 1.00, 5.00, 200_000),
)  # fmt: skip
MODELS: dict[str, ModelSpec] = {m.name: m for m in _MODELS}


@dataclass(frozen=True, slots=True)
class AppSpec:
    """One app. weight: share of all requests. models, features: (name, share) with sum 1.

    stream: share of streamed calls. agent: may run away (incidents.py). users: size of its public.
    """

    name: str
    weight: float
    team: str
    models: tuple[tuple[str, float], ...]
    features: tuple[tuple[str, float], ...]
    stream: float
    prompt_versions: tuple[tuple[str, float], ...]
    temperature: float
    agent: bool = False
    users: int = 40


APPS: tuple[AppSpec, ...] = (
    AppSpec("support-chat", 0.16, "care", (("gpt-4o-mini", 1.0),),
            (("answer", 0.8), ("escalate", 0.2)), 0.95, (("v7", 0.9), ("v8", 0.1)), 0.3),
    AppSpec("search-answers", 0.15, "search", (("gpt-4.1-mini", 0.8), ("gpt-4o-mini", 0.2)),
            (("answer", 0.7), ("rerank", 0.3)), 0.9, (("v12", 1.0),), 0.0),
    AppSpec("doc-summary", 0.13, "knowledge", (("claude-3-5-haiku-latest", 1.0),),
            (("summarise", 1.0),), 0.5, (("v3", 0.5), ("v4", 0.5)), 0.2),
    AppSpec("mail-drafts", 0.12, "sales", (("gpt-4.1-mini", 1.0),),
            (("draft", 0.6), ("rewrite", 0.4)), 0.6, (("v2", 1.0),), 0.7),
    AppSpec("translate", 0.12, "knowledge", (("gpt-4.1-nano", 0.7), ("gpt-4o-mini", 0.3)),
            (("translate", 1.0),), 0.4, (("v5", 1.0),), 0.0),
    AppSpec("code-review", 0.12, "platform", (("claude-haiku-4-5", 1.0),),
            (("review", 0.7), ("explain", 0.3)), 0.3, (("v9", 0.8), ("v10", 0.2)), 0.1, agent=True),
    AppSpec("ops-agent", 0.10, "platform", (("claude-haiku-4-5", 1.0),),
            (("diagnose", 0.6), ("report", 0.4)), 0.3, (("v1", 1.0),), 0.1, agent=True, users=12),
    AppSpec("research-agent", 0.10, "research", (("claude-haiku-4-5", 1.0),),
            (("plan", 0.3), ("read", 0.7)), 0.4, (("v6", 1.0),), 0.4, agent=True, users=20),
)  # fmt: skip

UNKNOWN_MODEL = "helix-9-preview"
"""Asked for by the `unknown_model` incident: no price list has it."""

TENANT = "default"
TENANTS: tuple[tuple[str, float], ...] = (("acme", 0.5), ("globex", 0.3), ("initech", 0.2))
"""Tenants of the simulator. Replays of traces without tenants use TENANT."""

ERROR_SHARE = 0.005
TIMEOUT_SHARE = 0.001
CANCELLED_SHARE = 0.002
ERRORS: tuple[tuple[str, int, float], ...] = (
    ("rate_limit", 429, 0.5),
    ("server_error", 500, 0.3),
    ("connection_reset", 502, 0.2),
)
"""Everyday errors: error_type, http_status, share."""
