"""Sample answers while a model is tuned: a person sees what is learned sooner than a curve shows it."""

from collections.abc import Sequence
from typing import Any

import torch

from trainer.records import Message
from trainer.template import Template, stops_of

MAX_NEW_TOKENS = 128


@torch.no_grad()
def sample_answers(model: Any, tokenizer: Any, template: Template, prompts: Sequence[str]) -> list[str]:
    """Greedy answers, control tokens left out. Every process of several calls it: they hold the weights together."""
    stop_ids = stops_of(tokenizer, template, model.generation_config.eos_token_id)
    answers = []
    for prompt in prompts:
        ids = torch.tensor([template.encode_prompt([Message("user", prompt)])], device=model.device)
        written = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=MAX_NEW_TOKENS,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            eos_token_id=list(stop_ids),
            pad_token_id=stop_ids[0],
        )
        answers.append(tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True).strip())
    return answers
