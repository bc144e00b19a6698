"""What may be asked of a run under way, and what it answers."""

from typing import Final, Literal, Protocol

import msgspec

from loadgen.engine.progress import Progress
from loadgen.errors import LoadgenError

SCHEMA: Final = 1

CommandName = Literal["pause", "resume", "scale", "stop", "status"]


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One command; ``users`` belongs to ``scale``: how many there are to be."""

    command: CommandName
    users: int | None = None

    def __str__(self) -> str:
        return self.command if self.users is None else f"{self.command} {self.users}"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command: done or begun, or why not; and how the run stands."""

    schema: int = SCHEMA
    ok: bool
    text: str
    status: Progress | None = None


class ControlRefused(LoadgenError):
    """The run cannot do this now; the text says why."""

    outcome = "control_refused"


class Control(Protocol):
    """A run that obeys."""

    async def obey(self, command: Command, by: str) -> Answer:
        """Does what is asked for, and writes down who asked."""
