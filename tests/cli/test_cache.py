"""`fakel cache`: shows and clears what is kept, in the folder that `fakel doctor` names."""

from __future__ import annotations

import pytest

from fakel.cli import doctor
from fakel.cli.main import main
from fakel.runtime.native import kernel_cache


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("FAKEL_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_cache_shows_and_clears(folder, capsys):
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"folder:  {folder}/kernels",
        "entries: 0",
        "size:    0.0 MiB, at most 256 MiB",
    ]
    for number in range(3):
        kernel_cache().write(str(number), bytes(2**20))
    assert main(["cache", "show"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "entries: 3",
        "size:    3.0 MiB, at most 256 MiB",
    ]
    assert f"{folder} (3 files, 3.0 MiB)" in doctor.report()
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"removed 3 entries (3.0 MiB) from {folder}/kernels\n"
    assert kernel_cache().usage().entries == 0


def test_cache_takes_no_other_word(folder, capsys):
    with pytest.raises(SystemExit):
        main(["cache", "burn"])
    assert "burn" in capsys.readouterr().err
