"""Ids for named properties ([MS-OXCPRPT] 3.2.5.9): a name gets the next free id when it is first used."""

from typing import Final

from loadgen.wire.property_names import PropertyName

FIRST_ID: Final = 0x8000
LAST_ID: Final = 0xFFFE


class NamedProperties:
    """The names that one server knows, by id and back."""

    def __init__(self) -> None:
        self._ids: dict[PropertyName, int] = {}
        self._names: dict[int, PropertyName] = {}

    def id_of(self, name: PropertyName, *, create: bool) -> int:
        """The id of a name; 0 if it has none and gets none."""
        found = self._ids.get(name)
        if found is not None:
            return found
        new = FIRST_ID + 1 + len(self._ids)
        if not create or new > LAST_ID or (name.lid is None and name.name is None):
            return 0
        self._ids[name] = new
        self._names[new] = name
        return new

    def name_of(self, property_id: int) -> PropertyName | None:
        """The name behind an id."""
        return self._names.get(property_id)
