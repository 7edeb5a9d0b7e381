"""Tests of the runtime have a cache folder of their own, and leave the team as it was."""

from __future__ import annotations

import pytest

from fakel.runtime import get_num_threads, set_num_threads


@pytest.fixture(scope="session")
def folder_of_the_session(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, folder_of_the_session):
    monkeypatch.setenv("FAKEL_CACHE", str(folder_of_the_session))


@pytest.fixture
def threads():
    """Sets the number of threads for one test."""
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)
