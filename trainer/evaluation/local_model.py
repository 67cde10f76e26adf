"""A model's directory in transformers: for bits per byte, and for answers where no engine serves its kind."""

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from trainer.errors import BadInput, EngineFailed
from trainer.evaluation.engine import Answer, Sampling
from trainer.records import Message
from trainer.template import END_KEY, Template, dolly_source, stops_of, template_of


class LocalModel:
    """A model with its tokenizer and template, on the GPU where there is one."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.has_template = bool(tokenizer.chat_template)
        """Whether it came with one; a base that did not is asked in Dolly's text, and ends with its end of text."""
        if not self.has_template:
            tokenizer.chat_template = dolly_source(tokenizer).replace(rf"'\n\n{END_KEY}'", "eos_token")
        self.template: Template = template_of(tokenizer)
        self.stop_ids = stops_of(tokenizer, self.template, model.generation_config.eos_token_id)
        limits = (getattr(model.config, name, None) for name in ("max_position_embeddings", "n_positions"))
        self.context_tokens: int = next((limit for limit in limits if limit), 2048)
        # A base's own generation defaults (sampling, penalties) would mix with what is asked for here.
        self.model.generation_config = GenerationConfig(eos_token_id=list(self.stop_ids), pad_token_id=self.stop_ids[0])

    @classmethod
    def load(cls, folder: Path) -> "LocalModel":
        """Raises BadInput for a directory that transformers cannot load."""
        transformers.logging.disable_progress_bar()
        on_gpu = torch.cuda.is_available()
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            # On a CPU without AMX bf16 is several times slower than fp32.
            model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype="auto" if on_gpu else torch.float32
            )
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"{folder} cannot be loaded as a model: {error}") from None
        return cls(model.to("cuda") if on_gpu else model, tokenizer)

    def answers(
        self,
        conversations: Sequence[Sequence[Message]],
        sampling: Sampling,
        *,
        at_once: int = 4,
        answered: Callable[[], None] = lambda: None,
    ) -> list[Answer | None]:
        """As Engine.answers does."""
        prompts = [self.template.encode_prompt(messages) for messages in conversations]
        found: list[Answer | None] = [None] * len(prompts)
        fitting = [
            index for index, ids in enumerate(prompts) if len(ids) + sampling.max_new_tokens <= self.context_tokens
        ]
        by_length = sorted(fitting, key=lambda index: len(prompts[index]))
        torch.manual_seed(sampling.seed)
        for start in range(0, len(by_length), at_once):
            batch = by_length[start : start + at_once]
            for index, answer in zip(batch, self._batch([prompts[index] for index in batch], sampling), strict=True):
                found[index] = answer
                answered()
        for _ in range(len(prompts) - len(fitting)):
            answered()
        return found

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Generator[str, None, None]:
        """The answer's text as it is written. Raises EngineFailed where the conversation fills the window."""
        ids, given = self.template.encode_prompt(messages), 0
        written: list[int] = []
        cache: Any = None
        torch.manual_seed(sampling.seed)
        while len(written) < sampling.max_new_tokens:
            if len(ids) >= self.context_tokens:
                raise EngineFailed("The conversation is as long as the model's window: begin a new one.")
            fed = torch.tensor([ids if cache is None else ids[-1:]], device=self.model.device)
            with torch.inference_mode():
                output = self.model(input_ids=fed, past_key_values=cache, use_cache=True, logits_to_keep=1)
            cache = output.past_key_values
            drawn = _drawn(output.logits[0, -1].float(), sampling)
            if drawn in self.stop_ids:
                break
            ids.append(drawn)
            written.append(drawn)
            text = self._text(written)
            if not text.endswith("�"):  # half a character
                yield text[given:]
                given = len(text)
        yield self._text(written)[given:]

    @torch.inference_mode()
    def _batch(self, prompts: Sequence[list[int]], sampling: Sampling) -> Iterator[Answer]:
        longest = max(map(len, prompts))
        pad = self.stop_ids[0]
        ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
        seen = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        drawing = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p or 1.0, "top_k": 0}
        written = self.model.generate(
            input_ids=ids.to(self.model.device),
            attention_mask=seen.to(self.model.device),
            max_new_tokens=sampling.max_new_tokens,
            **(drawing if sampling.temperature else {"do_sample": False}),
        )
        for row in written[:, longest:].tolist():
            end = next((place for place, token in enumerate(row) if token in self.stop_ids), None)
            if end is None:
                yield Answer(self._text(row), "length", len(row))
            else:
                yield Answer(self._text(row[:end]), "stop", end + 1)

    def _text(self, ids: Sequence[int]) -> str:
        """As engines show it: without control tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _drawn(logits: torch.Tensor, sampling: Sampling) -> int:
    if not sampling.temperature:
        return int(logits.argmax())
    shares, tokens = torch.softmax(logits / sampling.temperature, -1).sort(descending=True)
    if sampling.top_p is not None:
        shares = shares * (shares.cumsum(-1) - shares < sampling.top_p)
    return int(tokens[torch.multinomial(shares, 1)])
