"""STAT: where in which table a client stands ([MS-OXNSPI] 2.2.8)."""

from struct import Struct
from typing import Self

import msgspec

from loadgen.wire.ndr import NdrReader, NdrWriter
from loadgen.wire.nspi.constants import (
    BEGINNING_OF_TABLE,
    DEFAULT_CODE_PAGE,
    DEFAULT_LOCALE,
    SORT_DISPLAY_NAME,
)

_STAT = Struct("<IIIiIIIII")


class Stat(msgspec.Struct, frozen=True, gc=False):
    """A position in the table ``container_id``, and how the table is sorted and its strings are encoded.

    ``current_rec`` is the MId of the row or one of the positions BEGINNING_OF_TABLE, CURRENT, END_OF_TABLE;
    ``delta`` counts rows from there.
    """

    sort_type: int = SORT_DISPLAY_NAME
    container_id: int = 0
    current_rec: int = BEGINNING_OF_TABLE
    delta: int = 0
    num_pos: int = 0
    total_recs: int = 0
    code_page: int = DEFAULT_CODE_PAGE
    template_locale: int = DEFAULT_LOCALE
    sort_locale: int = DEFAULT_LOCALE

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        """Raises :class:`~loadgen.errors.WireError`."""
        reader.align(4)
        return cls(*reader.unpack(_STAT, "pStat"))

    def write(self, writer: NdrWriter) -> None:
        """The 36 bytes, aligned."""
        writer.align(4)
        writer.pack(
            _STAT,
            self.sort_type,
            self.container_id,
            self.current_rec,
            self.delta,
            self.num_pos,
            self.total_recs,
            self.code_page,
            self.template_locale,
            self.sort_locale,
        )
