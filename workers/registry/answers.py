"""The answer about one image to a caller that waits for it, as JSON: for `classify` and the HTTP service.

Tags and scores are made as a worker makes them: from the vector in its stored form, by a policy.
"""

from __future__ import annotations

from typing import Any

from panopticon.cards.cards import CardError, ModelCard
from panopticon.policy.policy import PolicyError, PolicyEvaluator, policy_of
from panopticon.results.outputs import quantise
from panopticon.scheduling.items import Ran
from workers.registry.policy_cache import ResolvedPolicy

OWN_POLICY_NUMBER = 0
"""The policy of a card has no number until its version is registered, where it becomes number 1."""


def own_policy(card: ModelCard) -> ResolvedPolicy:
    """Return the policy that a card brings, for a version that no registry knows.

    Raises: CardError if it is not valid.
    """
    try:
        evaluator = PolicyEvaluator(policy_of(card.policy), task=card.task, labels=card.labels)
    except PolicyError as error:
        raise CardError(f"{card.version_name}, {error}; correct its card") from None
    return ResolvedPolicy(evaluator=evaluator, policy_number=OWN_POLICY_NUMBER)


def image_answer(ran: Ran) -> dict[str, Any]:
    """Return what a model has seen of one image."""
    return {"sha256": ran.source_sha256, "width_px": ran.width_px, "height_px": ran.height_px}


def model_answer(
    card: ModelCard, ran: Ran, policy: ResolvedPolicy, *, top_k: int | None, vector: bool
) -> dict[str, Any]:
    """Return what one model says about one image; every number in it is read back from JSON to the same bits.

    `top_k`: the most tags to return, after those that the policy keeps; None: all of them. `vector`: return
    the vector too, in the form in which a worker stores it. Raises: Rejected(`not_finite`).
    """
    stored = quantise(ran.vector, card.output.dtype)
    evaluation = policy.evaluator.evaluate(stored)
    answer: dict[str, Any] = {
        "model": card.name,
        "version": card.version,
        "digest": card.digest,
        "engine": ran.engine,
        "libraries": ran.libraries,
        "policy_number": policy.policy_number,
    }
    if card.task == "tagging":
        # Sliced before it is written: a caller may ask for no tags at all.
        tags = evaluation.tags if top_k is None else evaluation.tags[:top_k]
        answer["tags"] = [
            {"label": tag.label, "probability": tag.probability, "ancestors": list(tag.ancestors)}
            for tag in tags
        ]
    else:
        answer["scores"] = dict(evaluation.scores)
    if vector:
        # As float64, which holds each float16 and float32 exactly.
        answer["vector"] = stored.tolist()
    return answer
