"""Where what is exported comes from, as the manifests on the way say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.artifacts import MANIFEST, read_manifest, sha256_of
from trainer.errors import BadInput, NotWhole

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Origin:
    """Of a checkpoint or an imported base."""

    folder: Path
    manifest: Manifest
    base: Manifest
    """Of the imported base: its manifest, or what the checkpoint says of it where the directory has gone."""
    dataset: Manifest | None
    """Of what was learned; None for a base."""

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def recipe(self) -> Manifest | None:
        return self.manifest.get("recipe")

    def chosen(self, section: str, key: str) -> Any:
        """What the recipe of the run says there; None for a base."""
        return ((self.recipe or {}).get(section) or {}).get(key)

    @property
    def learned_records(self) -> int | None:
        """How many it was trained on: of the data set's, those that fitted. None where nobody says."""
        used = ((self.manifest.get("records") or {}).get("train") or {}).get("used")
        return used or ((self.dataset or {}).get("counts") or {}).get("train")

    @property
    def base_name(self) -> str:
        return str(
            self.base.get("source") or self.base.get("model") or self.base.get("path") or "a base without a name"
        )

    @property
    def base_licence(self) -> str | None:
        return self.base.get("licence")

    @property
    def is_data_known(self) -> bool:
        """Whether the data set still says under which licences it came; a base has none."""
        return self.dataset is None or "sources" in self.dataset

    @property
    def is_non_commercial(self) -> bool:
        """Also where nobody can tell any more."""
        said = str(self.base_licence or "").lower()
        of_base = "-nc" in said or "non-commercial" in said
        return of_base or not self.is_data_known or bool((self.dataset or {}).get("non_commercial"))

    def parent(self) -> dict[str, Any]:
        """For the manifest of what is made of it."""
        return {
            "directory": str(self.folder),
            "kind": self.kind,
            "made": self.manifest["made"],
            "manifest_sha256": sha256_of(self.folder / MANIFEST),
        }


def read_origin(folder: Path) -> Origin:
    """Of a run's best checkpoint, a checkpoint or a base: whole, hashes checked. Raises NotWhole, BadInput."""
    if not (folder / MANIFEST).exists() and (folder / "checkpoints").is_dir():
        raise NotWhole(f"The run {folder} has not ended. Go on with it by --resume, or name one of its checkpoints.")
    manifest = read_manifest(folder, check=True)
    if manifest["kind"] == "run":
        folder = folder / (manifest.get("best") or manifest["last"])
        manifest = read_manifest(folder, "checkpoint", check=True)
    if manifest["kind"] == "base":
        return Origin(folder, manifest, manifest, None)
    if manifest["kind"] != "checkpoint":
        raise BadInput(f"{folder} holds a {manifest['kind']}; a run, a checkpoint or a base is exported.")
    return Origin(folder, manifest, _of(manifest.get("base"), "base"), _of(manifest.get("dataset"), "dataset"))


def _of(said: Any, kind: str) -> Manifest:
    """The manifest of a directory that a checkpoint names; what the checkpoint says where it is no more."""
    known = dict(said or {})
    try:
        folder = Path(known["path"])
        manifest = read_manifest(folder, kind)
    except (KeyError, BadInput):
        return known
    same = known.get("manifest_sha256") in (None, sha256_of(folder / MANIFEST))
    return known | manifest if same else known
