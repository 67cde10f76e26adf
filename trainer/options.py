"""Where things are for a retrain and a worker, and how a retrain is done here."""

from dataclasses import dataclass, field
from pathlib import Path

from trainer.connection import connect, default_url
from trainer.errors import BadInput
from trainer.jobs import Jobs, read_key
from trainer.registry import Registry


@dataclass(frozen=True)
class Options:
    """Where things are, and how a retrain is done here."""

    data: Path
    """Dolly's own folder on a machine that runs both: store, key, registry and work folder lie there."""
    recipe: str
    redis_url: str | None = field(default=None, repr=False)
    redis_cluster: bool = False
    """Whether that is one of a cluster's nodes."""
    retrain_key: str | None = field(default=None, repr=False)
    """In base64, as the bot has it; None = in the file."""
    retrain_key_file: Path | None = None
    models: Path | None = None
    work: Path | None = None
    replay: tuple[str, ...] | None = None
    base: str | None = None
    overrides: tuple[str, ...] = ()
    engine_key: str | None = field(default=None, repr=False)
    """What the engine wants to be asked with, where a model is promoted."""

    @property
    def registry(self) -> Registry:
        return Registry(self.models or self.data / "models")

    @property
    def work_folder(self) -> Path:
        return self.work or self.data / "retrain"

    def jobs(self) -> Jobs:
        """Those of the store. Raises StoreAway, with a sentence."""
        client = connect(self.redis_url or default_url(self.data), cluster=self.redis_cluster)
        return Jobs(client, self.key)

    def key(self) -> bytes:
        """Raises BadInput where there is none, or it is no key."""
        if self.retrain_key is not None:
            return read_key(self.retrain_key, "RETRAIN_KEY")
        path = self.retrain_key_file or self.data / "retrain.key"
        try:
            return read_key(path.read_text(encoding="ascii"), str(path))
        except (OSError, UnicodeDecodeError):
            raise BadInput(
                f"The key that the bot seals feedback with is not in {path}. Give the bot's RETRAIN_KEY, or name its "
                "file by --retrain-key-file."
            ) from None
