"""What can go wrong, each with a sentence for the one who typed the command.

TrainerError
├── BadRecipe            keys or values of a recipe; all faults at once
├── BadInput             a file, a directory or an argument that cannot be used
│   └── NotWhole         a directory without its manifest, or with other bytes than it says
├── OutOfMemory          with what to lower, by how much
├── DiskFull             what was written before stays
├── Diverged             NaN, or a loss that has left
├── EngineFailed         what serves the exported files did not answer
├── NotCalibrated        a judge that does not judge as people do; its verdict is withheld
├── NothingKept          a run that writes tasks, of which nothing was kept for long
├── StoreAway            the store that bot and trainer meet in does not answer
└── NotPromoted          what was in service stays in service, and why
"""


class TrainerError(Exception):
    """An expected failure. `str(error)` says what, where and what to do; the command prints it and exits so."""

    exit_code = 1


class BadInput(TrainerError):
    exit_code = 2


class BadRecipe(BadInput):
    pass


class NotWhole(BadInput):
    pass


class OutOfMemory(TrainerError):
    pass


class DiskFull(TrainerError):
    pass


class Diverged(TrainerError):
    pass


class EngineFailed(TrainerError):
    pass


class NotCalibrated(TrainerError):
    exit_code = 3


class NothingKept(TrainerError):
    pass


class StoreAway(TrainerError):
    pass


class NotPromoted(TrainerError):
    pass
