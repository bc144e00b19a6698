"""What this machine lacks is told before anything is started."""

import pytest

from loadgen.engine.beforehand import require_own, require_writable
from loadgen.errors import ProfileError


def test_addresses_of_this_machine():
    require_own([])
    require_own(["127.52.1.1", "127.52.1.2"])
    with pytest.raises(ProfileError, match=r"^source_ip: 203\.0\.113\.9 is not an address of this machine: "):
        require_own(["127.52.1.1", "203.0.113.9"])


def test_a_folder_for_results(tmp_path):
    folder = tmp_path / "a" / "b"
    require_writable(folder)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for impossible in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ProfileError, match=rf"^out: {impossible}: .*; give another --out$"):
            require_writable(impossible)
