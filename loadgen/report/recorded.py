"""A run as its folder tells it, whether it ended, was interrupted or was killed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from loadgen.client.client_type import ClientType
from loadgen.errors import ProfileError
from loadgen.measure.store import ResultsError, RunRecord
from loadgen.measure.threshold import Ending
from loadgen.measure.totals import Totals
from loadgen.report.summary import Summary, summarise
from loadgen.workload import library
from loadgen.workload.campaign import Campaign, Population, UserGroup
from loadgen.workload.profile import MessageProfile

StructT = TypeVar("StructT", bound=msgspec.Struct)


class Recorded(msgspec.Struct, frozen=True):
    """``run.json`` and ``summary.json`` of a folder."""

    folder: Path
    run: RunRecord
    campaign: Campaign
    summary: Summary


def read(folder: Path) -> Recorded:
    """What a run left; of one that was killed before its first interval the summary is empty, and INVALID.

    Raises :class:`~loadgen.measure.store.ResultsError`.
    """
    run = _read(folder / "run.json", RunRecord)
    campaign = _convert(run.campaign, Campaign, folder / "run.json")
    path = folder / "summary.json"
    summary = _read(path, Summary) if path.exists() else _empty_summary(folder, run, campaign)
    return Recorded(folder, run, campaign, summary)


def _empty_summary(folder: Path, run: RunRecord, campaign: Campaign) -> Summary:
    where = folder / "run.json"
    groups = tuple(
        UserGroup(
            group.users,
            _of_name(run.client_types, group.client, ClientType, where),
            _of_name(run.message_profiles, group.profile, MessageProfile, where),
        )
        for group in campaign.groups
    )
    return summarise(campaign, Population(groups), Totals(), measured_s=0.0, ending=Ending(interrupted=True))


def _of_name(tables: Mapping[str, Any], name: str, shape: type[StructT], where: Path) -> StructT:
    """A table by its name, which a campaign may also give as the path of a file."""
    return _convert(tables.get(name) or tables.get(Path(name).stem) or {}, shape, where)


def _read(path: Path, shape: type[StructT]) -> StructT:
    try:
        return msgspec.json.decode(path.read_bytes(), type=shape)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}; is its folder that of a run?") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: {error}; was it written by another version?") from None


def _convert(table: Mapping[str, Any], shape: type[StructT], where: Path) -> StructT:
    try:
        return library.convert(table, shape, str(where))
    except ProfileError as error:
        raise ResultsError(f"{error}; was it written by another version?") from None
